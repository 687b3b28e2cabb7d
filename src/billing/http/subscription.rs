//! The caller's subscription over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;

use super::leading;
use super::views::{CheckoutView, LineView, PortalView, StatusView};
use crate::app::App;
use crate::auth::{Plan, SignedIn};
use crate::billing;
use crate::http::replay::{REPLAYED, Request};
use crate::http::{ApiError, Code, IdempotencyKey, Json, List, Page};

/// Where checkout leads back to; nothing at all is fine.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
pub(super) struct PostSubscribe {
    /// After paying; `{CHECKOUT_SESSION_ID}` in it becomes the session's id. One that `CHECKOUT_RETURN_URLS` allows.
    #[schema(max_length = 2000, example = "http://localhost:3000/paid?session_id={CHECKOUT_SESSION_ID}")]
    success_url: Option<String>,
    /// When the person turns back.
    #[schema(max_length = 2000, example = "http://localhost:3000/plans")]
    cancel_url: Option<String>,
}

/// Where the portal leads back to.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
pub(super) struct PostPortal {
    /// One that `CHECKOUT_RETURN_URLS` allows.
    #[schema(max_length = 2000, example = "http://localhost:3000/account")]
    return_url: Option<String>,
}

#[utoipa::path(
    post, path = "/subscribe/pro", tag = "Subscription", operation_id = "subscribe", params(IdempotencyKey),
    request_body = Option<PostSubscribe>,
    responses((status = 200, description = "A page of Stripe's to pay on; the one that is open, while it lives",
        body = CheckoutView, headers(("Idempotency-Replayed" = String)))),
    extensions(("x-problems" = json!(["already_subscribed", "idempotency_mismatch", "checkout_not_found",
        "billing_not_configured", "billing_unavailable"]))),
    security(("bearer" = [])),
)]
pub(super) async fn subscribe(
    State(app): State<Arc<App>>,
    me: SignedIn,
    key: Option<IdempotencyKey>,
    body: Option<Json<PostSubscribe>>,
) -> Result<Response, ApiError> {
    let body = body.map(|Json(body)| body).unwrap_or_default();
    let leading = leading::of_checkout(&app, body.success_url, body.cancel_url)?;
    let request =
        key.map(|key| Request::new(key.as_str().to_owned(), &["subscribe", &leading.success_url, &leading.cancel_url]));
    // In a task of its own: a client that hangs up must not leave an attempt without its end.
    let work = {
        let app = Arc::clone(&app);
        async move { billing::subscribe(&app, me.user, &leading, request.as_ref()).await }
    };
    let open = app.tasks.spawn(work).await.map_err(ApiError::internal)??;
    let replayed = open.is_replay.then_some(REPLAYED);
    Ok((AppendHeaders(replayed), Json(CheckoutView::from(open))).into_response())
}

#[utoipa::path(
    get, path = "/subscription/status", tag = "Subscription", operation_id = "show_subscription",
    responses((status = 200, description = "How the caller stands", body = StatusView)),
    security(("bearer" = [])),
)]
pub(super) async fn show(State(app): State<Arc<App>>, me: SignedIn) -> Result<Json<StatusView>, ApiError> {
    view(&app, &me, me.plan).await.map(Json)
}

#[utoipa::path(
    post, path = "/subscription/cancel", tag = "Subscription", operation_id = "cancel_subscription",
    responses((status = 200, description = "It ends with its period", body = StatusView)),
    extensions(("x-problems" = json!(["not_subscribed", "billing_not_configured", "billing_unavailable"]))),
    security(("bearer" = [])),
)]
pub(super) async fn cancel(State(app): State<Arc<App>>, me: SignedIn) -> Result<Json<StatusView>, ApiError> {
    set_cancels(app, me, true).await
}

#[utoipa::path(
    post, path = "/subscription/resume", tag = "Subscription", operation_id = "resume_subscription",
    responses((status = 200, description = "It goes on", body = StatusView)),
    extensions(("x-problems" = json!(["not_subscribed", "billing_not_configured", "billing_unavailable"]))),
    security(("bearer" = [])),
)]
pub(super) async fn resume(State(app): State<Arc<App>>, me: SignedIn) -> Result<Json<StatusView>, ApiError> {
    set_cancels(app, me, false).await
}

#[utoipa::path(
    post, path = "/subscription/portal", tag = "Subscription", operation_id = "open_portal",
    request_body = Option<PostPortal>,
    responses((status = 200, description = "A page of Stripe's for cards, invoices and the subscription", body = PortalView)),
    extensions(("x-problems" = json!(["not_subscribed", "billing_not_configured", "billing_unavailable"]))),
    security(("bearer" = [])),
)]
pub(super) async fn portal(
    State(app): State<Arc<App>>,
    me: SignedIn,
    body: Option<Json<PostPortal>>,
) -> Result<Json<PortalView>, ApiError> {
    let named = body.and_then(|Json(body)| body.return_url);
    let return_url = leading::of_portal(&app, "return_url", named)?;
    let url = billing::portal(&app, me.user, &return_url).await?;
    Ok(Json(PortalView { url }))
}

#[utoipa::path(
    get, path = "/subscription/history", tag = "Subscription", operation_id = "list_billing_history", params(Page),
    responses((status = 200, description = "What changed the caller's plan or subscription, newest first", body = List<LineView>)),
    security(("bearer" = [])),
)]
pub(super) async fn history(
    State(app): State<Arc<App>>,
    me: SignedIn,
    page: Page,
) -> Result<Json<List<LineView>>, ApiError> {
    let before = page.after::<i64>()?.unwrap_or(i64::MAX);
    let lines = billing::history(&app, me.user, before, page.rows()).await?;
    Ok(Json(List::of(lines, &page, |line| line.seq, LineView::from)))
}

async fn set_cancels(app: Arc<App>, me: SignedIn, cancels: bool) -> Result<Json<StatusView>, ApiError> {
    let work = {
        let app = Arc::clone(&app);
        async move { billing::set_cancels(&app, me.user, cancels).await }
    };
    app.tasks.spawn(work).await.map_err(ApiError::internal)??;
    // What was fetched just now may have changed the plan.
    let plan = crate::auth::find(&app, me.user).await?.ok_or_else(|| ApiError::new(Code::SessionEnded))?.plan;
    view(&app, &me, plan).await.map(Json)
}

async fn view(app: &App, me: &SignedIn, plan: Plan) -> Result<StatusView, ApiError> {
    let limit = billing::daily_limit(&app.settings.quota, plan);
    let status = billing::status(app, me.user).await?;
    let prompts = billing::prompts(&mut app.store.read().await?, me.user, limit, app.clock.now()).await?;
    Ok(StatusView::new(plan, status, prompts))
}
