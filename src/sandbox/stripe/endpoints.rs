//! Where webhooks go.

use serde_json::{Map, Value, json};

use super::error::{Fault, Refusal};
use super::events;
use super::form::Form;
use super::ids;
use super::list;
use super::versions;
use super::world::{Object, World, object};

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) enabled_events: Vec<String>,
    /// None: the account's.
    pub(super) api_version: Option<String>,
    description: Option<String>,
    metadata: Map<String, Value>,
    is_disabled: bool,
}

object!(Endpoint, "webhook_endpoint", endpoints);

impl Endpoint {
    /// One for all events.
    pub(super) fn new(url: String, secret: String, now: i64) -> Self {
        Self {
            id: ids::fresh("we_"),
            created: now,
            url,
            secret,
            enabled_events: vec!["*".to_owned()],
            api_version: None,
            description: None,
            metadata: Map::new(),
            is_disabled: false,
        }
    }

    pub(super) fn wants(&self, kind: &str) -> bool {
        !self.is_disabled && self.enabled_events.iter().any(|pattern| events::fits(pattern, kind))
    }

    pub(super) fn version<'a>(&'a self, world: &'a World) -> &'a str {
        self.api_version.as_deref().unwrap_or(&world.habits.api_version)
    }

    fn show(&self) -> Value {
        json!({
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": self.api_version,
            "application": null,
            "created": self.created,
            "description": self.description,
            "enabled_events": self.enabled_events,
            "livemode": false,
            "metadata": self.metadata,
            "status": if self.is_disabled { "disabled" } else { "enabled" },
            "url": self.url,
        })
    }

    fn apply(&mut self, form: &Form<'_>) -> Result<(), Refusal> {
        if let Some(url) = form.text("url")? {
            // What it stands in for asks for https; this one is for the same machine.
            if !url.starts_with("http://") || url::Url::parse(&url).is_err() {
                return Err(Fault::invalid("The sandbox sends webhooks to http:// addresses only").param("url"));
            }
            self.url = url;
        }
        let wanted = form.texts("enabled_events")?;
        if !wanted.is_empty() {
            self.enabled_events = wanted.into_iter().map(str::to_owned).collect();
        }
        if form.has("description") {
            self.description = form.text("description")?;
        }
        if let Some(is_disabled) = form.boolean("disabled")? {
            self.is_disabled = is_disabled;
        }
        form.metadata(&mut self.metadata)
    }
}

/// The one answer that shows the secret.
pub(super) fn create(world: &mut World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &["api_version", "connect", "description", "enabled_events", "metadata", "url"])?;
    form.required("url")?;
    if form.texts("enabled_events")?.is_empty() {
        return Err(Fault::missing("enabled_events"));
    }
    let mut endpoint = Endpoint::new(String::new(), ids::fresh("whsec_"), world.now);
    endpoint.api_version = form.text("api_version")?;
    if let Some(version) = &endpoint.api_version {
        versions::check(version)?;
    }
    endpoint.apply(&form)?;
    let mut view = endpoint.view();
    view["secret"] = endpoint.secret.as_str().into();
    world.endpoints.add(endpoint);
    Ok(view)
}

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Endpoint>(id).map(Object::view)
}

pub(super) fn update(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &["description", "disabled", "enabled_events", "metadata", "url"])?;
    let mut changed = world.find::<Endpoint>(id)?.clone();
    changed.apply(&form)?;
    world.set::<Endpoint>(id, |endpoint| *endpoint = changed);
    retrieve(world, id)
}

pub(super) fn delete(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    Form::root(asked, &[])?;
    world.endpoints.remove(id).ok_or_else(|| Fault::gone("webhook_endpoint", id))?;
    Ok(json!({"id": id, "object": "webhook_endpoint", "deleted": true}))
}

pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["created"]))?;
    list::of(world, &form, "/v1/webhook_endpoints", |_: &Endpoint| true)
}
