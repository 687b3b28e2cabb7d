//! What the plans give, for everybody to read.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::State;

use super::views::{PlanView, PriceView};
use crate::app::App;
use crate::auth::Plan;
use crate::billing;
use crate::config;
use crate::http::{Json, List};

/// Nobody waits longer than this for a price; the rest of the answer is known.
const PATIENCE: Duration = Duration::from_secs(3);
const KEPT: Duration = Duration::from_mins(1);

#[utoipa::path(
    get, path = "/plans", tag = "Subscription", operation_id = "list_plans",
    responses((status = 200, description = "What Basic and Pro give", body = List<PlanView>)),
)]
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<List<PlanView>> {
    let offer = |plan, price| PlanView {
        plan,
        daily_prompts: billing::daily_limit(&app.settings.quota, plan),
        replies_at_once: billing::replies_at_once(&app.settings.quota, plan),
        attachment_bytes: billing::attachment_bytes(&app.settings.quota, plan),
        models: models(&app.settings.gemini, plan),
        price,
    };
    let data = vec![offer(Plan::Basic, None), offer(Plan::Pro, price(&app).await)];
    Json(List { data, next_cursor: None })
}

/// None: all that there are.
fn models(gemini: &config::Gemini, plan: Plan) -> Option<Vec<String>> {
    if plan == Plan::Pro || gemini.basic_models.is_empty() {
        return None;
    }
    let mut models: Vec<String> = std::iter::once(&gemini.model).chain(&gemini.basic_models).cloned().collect();
    models.sort_unstable();
    models.dedup();
    Some(models)
}

/// What Pro costs, as Stripe said last; asked once a minute at most, by one request for all. While it asks, the others
/// have what was said before; they wait only where nothing was.
async fn price(app: &App) -> Option<PriceView> {
    let (stripe, id) = (app.stripe.as_ref()?, app.settings.stripe.pro_price.as_deref()?);
    let said = || app.price.said.lock().unwrap_or_else(PoisonError::into_inner);
    let known = said().clone();
    let asking = match &known {
        Some(_) => app.price.asked_at.try_lock().ok(),
        None => Some(app.price.asked_at.lock().await),
    };
    let Some(mut asked_at) = asking else { return known.map(PriceView::from) };
    let now = app.clock.now();
    if asked_at.is_none_or(|at| now.since(at) >= KEPT) {
        match tokio::time::timeout(PATIENCE, stripe.price(id)).await {
            Ok(Ok(price)) => *said() = Some(price),
            Ok(Err(cause)) => tracing::warn!(%cause, "Stripe did not say what Pro costs"),
            Err(_) => tracing::warn!("Stripe did not say what Pro costs in time"),
        }
        // Not before: whoever asked may have hung up.
        *asked_at = Some(now);
    }
    let known = said().clone();
    known.map(PriceView::from)
}
