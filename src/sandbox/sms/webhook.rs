//! The receiver of the signed webhook.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use super::kept::{Kept, Way};
use super::script::Fault;
use super::{Sandbox, signature};

pub(super) fn router() -> Router<Arc<Sandbox>> {
    Router::new().route("/sms", post(take))
}

/// 401 for a signature that is not right, 422 for a body without `id`, `to` and `text`.
async fn take(State(sandbox): State<Arc<Sandbox>>, headers: HeaderMap, body: Bytes) -> Response {
    let given = headers.get("x-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = sandbox.options.clock.now().seconds();
    let told = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let text = |name: &str| told[name].as_str().unwrap_or_default();
    let checked = match signature::check(given, &body, &sandbox.options.webhook_secret, now) {
        Err(wrong) => Err(Fault::bare(401).message(format!("The signature is not right: {wrong}"))),
        Ok(()) if ["id", "to", "text"].iter().any(|name| text(name).is_empty()) => {
            Err(Fault::bare(422).message("The body has no id, to and text"))
        }
        Ok(()) => Ok(()),
    };
    let asked = Kept { webhook: told.clone(), ..Kept::new(Way::Webhook, text("to"), text("text")) };
    sandbox.answer(asked, checked, |_| Way::Webhook.good().into_response()).await
}
