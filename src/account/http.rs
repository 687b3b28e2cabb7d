//! The profile over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::export::{self, ExportedUserView};
use super::{Receipt, leave};
use crate::app::App;
use crate::auth::http::{Carried, UserView, fields, proof};
use crate::auth::{self, Device, SignedIn};
use crate::billing::{self, Prompts};
use crate::clock::Moment;
use crate::http::{ApiError, Code, Json, download};

/// All of the feature's routes.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show, change)).routes(routes!(take_along)).routes(routes!(erase))
}

/// The caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ProfileView {
    #[serde(flatten)]
    user: UserView,
    prompts: Prompts,
}

/// What changes of the profile: a field left away stays, null takes it away.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
struct PatchProfile {
    /// At most 80 characters.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 80)]
    username: Option<Option<String>>,
}

/// Tells null from nothing.
fn said<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[utoipa::path(
    get, path = "/user/me", tag = "Account", operation_id = "show_profile",
    responses((status = 200, description = "The caller", body = ProfileView)),
    security(("bearer" = [])),
)]
async fn show(State(app): State<Arc<App>>, me: SignedIn) -> Result<Json<ProfileView>, ApiError> {
    profile(&app, &me).await.map(Json)
}

#[utoipa::path(
    patch, path = "/user/me", tag = "Account", operation_id = "change_profile", request_body = PatchProfile,
    responses((status = 200, description = "The caller, changed", body = ProfileView)),
    security(("bearer" = [])),
)]
async fn change(
    State(app): State<Arc<App>>,
    me: SignedIn,
    Json(body): Json<PatchProfile>,
) -> Result<Json<ProfileView>, ApiError> {
    if let Some(username) = body.username {
        auth::rename(&app, me.user, fields::username(username)?.as_deref()).await?;
    }
    profile(&app, &me).await.map(Json)
}

#[utoipa::path(
    get, path = "/user/me/export", tag = "Account", operation_id = "export_account",
    responses((status = 200, description = "All that is held about the caller, as a file", body = ExportedUserView,
        headers(("Content-Disposition" = String, description = "attachment"), ("Cache-Control" = String),
            ("X-Content-Type-Options" = String)))),
    security(("bearer" = [])),
)]
async fn take_along(State(app): State<Arc<App>>, me: SignedIn) -> Result<Response, ApiError> {
    let user = auth::find(&app, me.user).await?.ok_or_else(|| ApiError::new(Code::SessionEnded))?;
    let name = format!("gemini-backend-{}.json", app.clock.now().day());
    let tasks = app.tasks.clone();
    Ok(download(&tasks, "application/json", &name, |outlet| async move { export::write(&app, user, &outlet).await }))
}

/// The password, or a code; one of them.
#[derive(Deserialize, utoipa::ToSchema)]
struct PostErasure {
    #[schema(nullable = false)]
    password: Option<String>,
    /// A code to the present number with the purpose `confirm`.
    #[serde(alias = "code")]
    #[schema(nullable = false, example = "271828")]
    otp: Option<String>,
}

/// What was held when the erasure was asked for, and goes with it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ErasureReceipt)]
struct ReceiptView {
    requested_at: Moment,
    /// Null while the last of it is still going: it goes on by itself.
    #[schema(required)]
    completed_at: Option<Moment>,
    erased: ErasedView,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Erased)]
struct ErasedView {
    chatrooms: i64,
    messages: i64,
    /// Files that went with messages, or waited for one.
    attachments: i64,
    sessions: i64,
    /// Days of which prompts were counted.
    prompt_days: i64,
    /// They end at Stripe too, as soon as it can be reached.
    subscriptions: i64,
    checkouts: i64,
    subscription_history: i64,
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> Self {
        let Receipt { requested_at, completed_at, rooms, sessions, billing } = receipt;
        let erased = ErasedView {
            chatrooms: rooms.chatrooms,
            messages: rooms.messages,
            attachments: rooms.attachments,
            sessions,
            prompt_days: billing.prompt_days,
            subscriptions: billing.subscriptions,
            checkouts: billing.checkouts,
            subscription_history: billing.history,
        };
        Self { requested_at, completed_at, erased }
    }
}

#[utoipa::path(
    post, path = "/user/me/delete", tag = "Account", operation_id = "erase_account", request_body = PostErasure,
    responses((status = 202, description = "The account has ended, and all that was held of it goes", body = ReceiptView,
        headers(("Set-Cookie" = String, description = "Takes the session's cookie away")))),
    extensions(("x-problems" = json!(["bad_credentials",
        {"code": "otp_invalid", "members": {"attempts_left": {"type": "integer"}}},
        "otp_expired", "otp_attempts_exhausted"]))),
    security(("bearer" = [])),
)]
async fn erase(
    State(app): State<Arc<App>>,
    me: SignedIn,
    device: Device,
    carried: Carried,
    Json(body): Json<PostErasure>,
) -> Result<impl IntoResponse, ApiError> {
    let proof = proof(body.password, ("otp", body.otp), "password")?;
    // In a task of its own: a client that hangs up leaves nothing half done.
    let leaving = {
        let app = Arc::clone(&app);
        async move { leave(&app, &me, proof, &device).await }
    };
    let receipt = app.tasks.spawn(leaving).await.map_err(ApiError::internal)??;
    Ok((StatusCode::ACCEPTED, carried.forget(true), Json(ReceiptView::from(receipt))))
}

async fn profile(app: &App, me: &SignedIn) -> Result<ProfileView, ApiError> {
    let user = auth::find(app, me.user).await?.ok_or_else(|| ApiError::new(Code::SessionEnded))?;
    let limit = billing::daily_limit(&app.settings.quota, me.plan);
    let prompts = billing::prompts(&mut app.store.read().await?, me.user, limit, app.clock.now()).await?;
    Ok(ProfileView { user: user.into(), prompts })
}
