//! `/billing/return`: where checkout leads back to. It does what the webhook does, so that whoever comes back has what they
//! paid for; for a browser it says so in words.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::views::LandingView;
use crate::app::App;
use crate::billing;
use crate::http::{ApiError, ClientAddress, Json, Query};
use crate::limits::Limit;

const TEN_MINUTES: Duration = Duration::from_mins(10);

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Of the checkout; without it the person turned back.
    #[param(max_length = 255, example = "cs_test_a1")]
    session_id: Option<String>,
}

#[utoipa::path(
    get, path = "/billing/return", tag = "Subscription", operation_id = "return_from_checkout", params(Asked),
    responses((status = 200, description = "What became of the checkout; a page for browsers", content(
        (LandingView = "application/json"), (String = "text/html")))),
    extensions(("x-problems" = json!(["rate_limited", "checkout_not_found", "billing_not_configured", "billing_unavailable"]))),
)]
pub(super) async fn come_back(
    State(app): State<Arc<App>>,
    client: ClientAddress,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let limit = Limit::new(app.settings.throttles.checkout_returns_by_address, TEN_MINUTES);
    app.limits.hit("checkout-returns", &client.throttle_key(), limit, app.clock.now()).await?;
    let view = match asked.session_id {
        None => LandingView { session_id: None, status: "cancelled" },
        Some(session) => {
            let work = {
                let app = Arc::clone(&app);
                async move { billing::come_back(&app, &session).await }
            };
            let returned = app.tasks.spawn(work).await.map_err(ApiError::internal)??;
            LandingView { status: LandingView::word(returned.stage), session_id: Some(returned.session) }
        }
    };
    let kept_by_nobody = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    if wants_page(&headers) {
        return Ok((kept_by_nobody, Html(page(view.status))).into_response());
    }
    Ok((kept_by_nobody, Json(view)).into_response())
}

/// Browsers name `text/html` first, programs do not name it at all.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html"))
}

fn page(status: &str) -> String {
    let (title, text) = match status {
        "complete" => ("Thank you", "Your payment has arrived, or is on its way. You can go back to the chat."),
        "open" => ("Not paid yet", "The payment was not finished. You can go back and try again."),
        "expired" => ("Too late", "This checkout is over, and nothing was paid. You can begin a new one."),
        // Whoever turned back at checkout, and whoever comes from the portal.
        _ => ("Welcome back", "Whoever turned back before paying has paid nothing. You can go back to the chat."),
    };
    include_str!("landing.html").replace("{title}", title).replace("{text}", text)
}
