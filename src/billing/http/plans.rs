//! What the plans give, for everybody to read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;

use super::views::{PlanView, PriceView};
use crate::app::App;
use crate::auth::Plan;
use crate::billing;
use crate::http::{Json, List};

/// Nobody waits longer than this for a price; the rest of the answer is known.
const PATIENCE: Duration = Duration::from_secs(3);

#[utoipa::path(
    get, path = "/plans", tag = "Subscription", operation_id = "list_plans",
    responses((status = 200, description = "What Basic and Pro give", body = List<PlanView>)),
)]
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<List<PlanView>> {
    let offer = |plan, price| PlanView {
        plan,
        daily_prompts: billing::daily_limit(&app.settings.quota, plan),
        replies_at_once: billing::replies_at_once(&app.settings.quota, plan),
        price,
    };
    let data = vec![offer(Plan::Basic, None), offer(Plan::Pro, price(&app).await)];
    Json(List { data, next_cursor: None })
}

/// What Pro costs, as Stripe said within the last minute.
async fn price(app: &App) -> Option<PriceView> {
    if let Some(known) = app.prices.get(&()) {
        return known.map(PriceView::from);
    }
    let (stripe, id) = (app.stripe.as_ref()?, app.settings.stripe.pro_price.as_deref()?);
    let price = match tokio::time::timeout(PATIENCE, stripe.price(id)).await {
        Ok(Ok(price)) => Some(price),
        Ok(Err(cause)) => {
            tracing::warn!(%cause, "Stripe did not say what Pro costs");
            None
        }
        Err(_) => None,
    };
    app.prices.insert((), price.clone());
    price.map(PriceView::from)
}
