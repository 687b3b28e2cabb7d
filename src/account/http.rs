//! The profile over HTTP.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::http::{UserView, fields};
use crate::auth::{self, SignedIn};
use crate::billing::{self, Prompts};
use crate::http::{ApiError, Code, Json};

/// All of the feature's routes.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show, change))
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

async fn profile(app: &App, me: &SignedIn) -> Result<ProfileView, ApiError> {
    let user = auth::find(app, me.user).await?.ok_or_else(|| ApiError::new(Code::SessionEnded))?;
    let limit = billing::daily_limit(&app.settings.quota, me.plan);
    let prompts = billing::prompts(&mut app.store.read().await?, me.user, limit, app.clock.now()).await?;
    Ok(ProfileView { user: user.into(), prompts })
}
