//! Stripe's webhook: the raw body's signature, then the event stored together with its job, then 200.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use serde::Serialize;

use crate::app::App;
use crate::billing::{self, NotConfigured, Source};
use crate::http::{ApiError, Code, Json, read_body};
use crate::stripe::{Event, signature};

/// Stripe's events are a few kilobytes.
const MAX_BYTES: usize = 1024 * 1024;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = WebhookReceived)]
pub(super) struct ReceivedView {
    /// It is recorded for good; the same event again changes nothing.
    #[schema(example = true)]
    received: bool,
}

#[utoipa::path(
    post, path = "/webhook/stripe", tag = "Subscription", operation_id = "take_stripe_event",
    request_body(content = Object, description = "An event as Stripe sends it, signed in `Stripe-Signature`"),
    params(("Stripe-Signature" = Option<String>, Header, description = "`t=<unix seconds>,v1=<hex>`")),
    responses((status = 200, description = "Recorded", body = ReceivedView)),
    extensions(("x-problems" = json!(["signature_invalid", "billing_not_configured"]))),
)]
pub(super) async fn take(State(app): State<Arc<App>>, request: Request) -> Result<Json<ReceivedView>, ApiError> {
    let (parts, body) = request.into_parts();
    let stripe = app.stripe.as_ref().ok_or(NotConfigured)?;
    let body = read_body(body, MAX_BYTES).await?;
    let header = signature_of(&parts.headers);
    signature::check(header, &body, &app.settings.stripe.webhook_secrets, app.clock.now())
        .map_err(|unsigned| ApiError::new(Code::SignatureInvalid).detail(unsigned.to_string()))?;
    let event =
        serde_json::from_slice(&body).map_err(|error| ApiError::new(Code::NotJson).detail(error.to_string()))?;
    let event = Event::of(&event).ok_or_else(|| ApiError::field("id", "is not an event of Stripe's"))?;
    billing::take_in(&app, stripe, &event, Source::Webhook).await?;
    Ok(Json(ReceivedView { received: true }))
}

/// Two signatures are none: a proxy and we might read different ones.
fn signature_of(headers: &HeaderMap) -> &str {
    let mut values = headers.get_all(signature::HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    }
}
