//! The sandbox's own addresses: what it should do, what it has seen.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Sandbox;
use super::journal::Entry;
use super::script::Rule;

/// - `GET /sandbox/script` shows the rules that wait, `POST` adds one or a list, `DELETE` forgets them.
/// - `GET /sandbox/journal?after=<id>&tag=<beginning>` shows what was asked and sent, `DELETE` forgets it.
/// - `POST /sandbox/release` lets go on what is held.
pub(super) fn router() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/sandbox/script", get(rules).post(add).delete(forget_rules))
        .route("/sandbox/journal", get(journal).delete(forget_journal))
        .route("/sandbox/release", post(release))
}

async fn rules(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    Json(json!({"rules": sandbox.script.waiting()}))
}

async fn add(State(sandbox): State<Arc<Sandbox>>, Json(body): Json<Value>) -> Response {
    let rules = if body.is_array() { body } else { json!([body]) };
    match serde_json::from_value::<Vec<Rule>>(rules) {
        Ok(rules) => {
            for rule in rules {
                sandbox.script.add(rule);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("not a rule: {error}\n")).into_response(),
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
    tag: String,
}

async fn journal(State(sandbox): State<Arc<Sandbox>>, Query(which): Query<Which>) -> Json<Journal> {
    let wanted = |entry: &Entry| entry.tag.as_deref().unwrap_or_default().starts_with(&which.tag);
    Json(Journal { entries: sandbox.journal.entries(which.after, wanted) })
}

#[derive(serde::Serialize)]
struct Journal {
    entries: Vec<Entry>,
}

async fn forget_journal(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.journal.clear();
    StatusCode::NO_CONTENT
}

async fn release(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.releases.send_modify(|count| *count += 1);
    StatusCode::NO_CONTENT
}
