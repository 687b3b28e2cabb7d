//! The sandbox's own addresses: its clock, what it should do, what it has seen.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::customers::{self, Card, Customer};
use super::delivery::{self, Webhooks};
use super::error::Refusal;
use super::pay::{Action, Outcome};
use super::script::Rule;
use super::subscription::Status;
use super::world::Object;
use super::{Sandbox, disputes, force, forward, refunds};

/// - `/sandbox/script`: `GET` shows the rules that wait, `POST` adds one or a list, `DELETE` forgets them.
/// - `/sandbox/journal?after=<id>&path=<beginning>`: `GET` shows what was asked, `DELETE` forgets it.
/// - `POST /sandbox/release` lets go on what is held.
/// - `/sandbox/clock`: `GET` shows the time, `POST` moves it.
/// - `/sandbox/webhooks`: `GET` shows how they are delivered and what was tried, `POST` changes it.
/// - `POST /sandbox/events/{id}/deliver` delivers one, once more.
/// - `POST /sandbox/checkout/{session}`, `/sandbox/subscriptions/{id}`, `/sandbox/customers/{id}/card`,
///   `/sandbox/disputes`, `/sandbox/disputes/{id}`, `/sandbox/refunds/{id}/fail`: what only people, banks and time can do at
///   Stripe.
pub(super) fn router() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/sandbox/script", get(rules).post(add).delete(forget_rules))
        .route("/sandbox/journal", get(journal).delete(forget_journal))
        .route("/sandbox/release", post(release))
        .route("/sandbox/clock", get(clock).post(turn))
        .route("/sandbox/webhooks", get(webhooks).post(set_webhooks))
        .route("/sandbox/events/{id}/deliver", post(deliver))
        .route("/sandbox/checkout/{id}", post(checkout))
        .route("/sandbox/subscriptions/{id}", post(subscription))
        .route("/sandbox/customers/{id}/card", post(card))
        .route("/sandbox/disputes", post(dispute))
        .route("/sandbox/disputes/{id}", post(close_dispute))
        .route("/sandbox/refunds/{id}/fail", post(fail_refund))
}

async fn rules(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    Json(json!({"rules": sandbox.script.waiting()}))
}

async fn add(State(sandbox): State<Arc<Sandbox>>, Json(body): Json<Value>) -> Response {
    let rules = if body.is_array() { body } else { json!([body]) };
    match read::<Vec<Rule>>(rules, "a rule") {
        Ok(rules) => {
            for rule in rules {
                sandbox.script.add(rule);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refused) => refused,
    }
}

async fn forget_rules(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.script.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    path: String,
}

async fn journal(State(sandbox): State<Arc<Sandbox>>, Query(which): Query<Which>) -> Json<Value> {
    let entries = sandbox.journal.entries(which.after, |entry| entry.path.starts_with(&which.path));
    Json(json!({"entries": entries}))
}

async fn forget_journal(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.journal.clear();
    StatusCode::NO_CONTENT
}

async fn release(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.release();
    StatusCode::NO_CONTENT
}

async fn clock(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    Json(json!({"now": sandbox.with(|world| world.now)}))
}

async fn turn(State(sandbox): State<Arc<Sandbox>>, Json(body): Json<Value>) -> Response {
    let turn = match read::<forward::Turn>(body, "a move of the clock") {
        Ok(turn) => turn,
        Err(refused) => return refused,
    };
    match forward::seconds(&sandbox, &turn) {
        Ok(seconds) => Json(json!({"now": sandbox.advance(seconds)})).into_response(),
        Err(why) => unprocessable(why),
    }
}

async fn webhooks(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    Json(json!({"ways": sandbox.delivery.ways(), "attempts": sandbox.delivery.attempts()}))
}

async fn set_webhooks(State(sandbox): State<Arc<Sandbox>>, Json(body): Json<Value>) -> Response {
    match read::<Webhooks>(body, "a way to deliver webhooks") {
        Ok(ways) => {
            sandbox.delivery.set(ways);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refused) => refused,
    }
}

async fn deliver(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>) -> Response {
    let Some(event) = sandbox.with(|world| world.events.get(&id).cloned()) else { return missing("event") };
    let once = Webhooks { tries: 1, ..sandbox.delivery.ways() };
    Json(json!({"statuses": delivery::deliver(&sandbox, &event, &once).await})).into_response()
}

#[derive(Deserialize)]
struct Act {
    action: Action,
}

async fn checkout(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    let Act { action } = match read(body, "an action") {
        Ok(act) => act,
        Err(refused) => return refused,
    };
    match sandbox.with(|world| world.act(&id, action)) {
        None => missing("session"),
        Some(Outcome::Leaves(url)) => Json(json!({"redirect": url})).into_response(),
        Some(Outcome::Stays(message)) => Json(json!({"redirect": null, "message": message})).into_response(),
    }
}

async fn subscription(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    #[derive(Deserialize)]
    struct Forced {
        status: Status,
    }
    let Forced { status } = match read(body, "a status") {
        Ok(forced) => forced,
        Err(refused) => return refused,
    };
    shown(sandbox.with(|world| force::status(world, &id, status)))
}

/// `{"declines": true}`, or `{"card": "none"}`.
async fn card(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    #[derive(Deserialize)]
    struct Given {
        card: Option<Card>,
        declines: Option<bool>,
    }
    let Given { card, declines } = match read(body, "a card") {
        Ok(given) => given,
        Err(refused) => return refused,
    };
    let card = card.unwrap_or(if declines == Some(true) { Card::Declining } else { Card::Good });
    shown(sandbox.with(|world| {
        let customer = world.find::<Customer>(&id)?;
        if customer.is_deleted {
            return customers::retrieve(world, &id);
        }
        world.change::<Customer>(&id, "customer.updated", |customer| customer.card = card);
        world.find::<Customer>(&id).map(Object::view)
    }))
}

async fn dispute(State(sandbox): State<Arc<Sandbox>>, Json(body): Json<Value>) -> Response {
    #[derive(Deserialize)]
    struct Disputed {
        charge: String,
        reason: Option<String>,
    }
    match read::<Disputed>(body, "a dispute") {
        Ok(Disputed { charge, reason }) => shown(sandbox.with(|world| disputes::open(world, &charge, reason))),
        Err(refused) => refused,
    }
}

async fn close_dispute(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    #[derive(Deserialize)]
    struct Closed {
        won: bool,
    }
    match read::<Closed>(body, "an end of a dispute") {
        Ok(Closed { won }) => shown(sandbox.with(|world| disputes::close(world, &id, won))),
        Err(refused) => refused,
    }
}

async fn fail_refund(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>) -> Response {
    shown(sandbox.with(|world| refunds::fail(world, &id)))
}

#[expect(clippy::result_large_err, reason = "it is the answer")]
fn read<T: serde::de::DeserializeOwned>(body: Value, what: &str) -> Result<T, Response> {
    serde_json::from_value(body).map_err(|error| unprocessable(format!("not {what}: {error}")))
}

fn unprocessable(why: impl std::fmt::Display) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response()
}

fn missing(what: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("no such {what}\n")).into_response()
}

fn shown(made: Result<Value, Refusal>) -> Response {
    match made {
        Ok(value) => Json(value).into_response(),
        Err(fault) => fault.answer("req_control"),
    }
}
