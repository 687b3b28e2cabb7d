//! What is told of every change. Events last thirty days.

use std::sync::Arc;

use serde_json::{Value, json};

use super::endpoints::Endpoint;
use super::error::{Fault, Refusal};
use super::form::Form;
use super::ids;
use super::list;
use super::versions;
use super::world::{Object, World, object};

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) kind: String,
    /// In the pinned version's shape.
    body: Arc<Value>,
    /// To so many endpoints it was not delivered yet.
    pub(super) pending: usize,
}

object!(Event, "event", events);

impl Event {
    pub(super) fn new(world: &World, kind: &str, object: &Value, previous: Option<Value>) -> Self {
        let id = ids::fresh("evt_");
        let pending = world.endpoints.iter().filter(|endpoint| endpoint.wants(kind)).count();
        let mut data = json!({"object": object});
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let (request, key) = world.cause.clone().unzip();
        let body = json!({
            "id": id,
            "object": "event",
            "api_version": world.habits.api_version,
            "created": world.now,
            "data": data,
            "livemode": false,
            "pending_webhooks": pending,
            "request": {"id": request, "idempotency_key": key.flatten()},
            "type": kind,
        });
        Self { id, created: world.now, kind: kind.to_owned(), body: Arc::new(body), pending }
    }

    fn show(&self) -> Value {
        let mut body = (*self.body).clone();
        body["pending_webhooks"] = self.pending.into();
        body
    }
}

/// An event as an endpoint of this version gets it.
pub(super) fn body_for(world: &World, event: &Event, endpoint: &Endpoint) -> Value {
    let mut body = event.show();
    versions::event(world, &mut body, endpoint.version(world));
    body
}

/// As this account's version shows it, whichever version asks.
fn shown(world: &World, mut body: Value) -> Value {
    versions::event(world, &mut body, &world.habits.api_version);
    body
}

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Event>(id).map(|event| shown(world, event.view()))
}

pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["created", "delivery_success", "type", "types"]))?;
    let (one, several) = (form.text("type")?, form.texts("types")?);
    if one.is_some() && !several.is_empty() {
        return Err(Fault::invalid("You may only specify one of these parameters: type, types."));
    }
    let delivered = form.boolean("delivery_success")?;
    let mut page = list::of(world, &form, "/v1/events", |event: &Event| {
        one.as_ref().is_none_or(|pattern| fits(pattern, &event.kind))
            && (several.is_empty() || several.iter().any(|pattern| fits(pattern, &event.kind)))
            && delivered.is_none_or(|delivered| delivered == (event.pending == 0))
    })?;
    if let Some(events) = page["data"].as_array_mut() {
        for event in events {
            *event = shown(world, event.take());
        }
    }
    Ok(page)
}

/// `invoice.paid`, `invoice.*`, `*`.
pub(super) fn fits(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => kind.starts_with(beginning),
        None => pattern == kind,
    }
}
