//! The sandbox's own addresses: what it should do, what it was given.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Sandbox;
use super::script::Rule;

/// - `GET /sandbox/messages?after=<id>&to=<beginning>` shows what was to be sent, `DELETE` forgets it.
/// - `GET /sandbox/script` shows the rules that wait, `POST` adds one or a list, `DELETE` forgets them.
pub(super) fn router() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/sandbox/messages", get(messages).delete(forget_messages))
        .route("/sandbox/script", get(rules).post(add).delete(forget_rules))
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    to: String,
}

async fn messages(State(sandbox): State<Arc<Sandbox>>, Query(which): Query<Which>) -> Json<Value> {
    // Unescaped, a plus in a query is a space.
    let to = which.to.replace(' ', "+");
    Json(json!({"messages": sandbox.messages.all(which.after, &to)}))
}

async fn forget_messages(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.messages.clear();
    StatusCode::NO_CONTENT
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
