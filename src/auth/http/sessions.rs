//! A person's sessions over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::cookie::Carried;
use super::views::SessionView;
use crate::app::App;
use crate::auth::{self, Scope, SignedIn, sql};
use crate::http::{ApiError, Code, Json, List, Page, Path, Query};
use crate::ids::SessionId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Which {
    Others,
    All,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// All of them, or all but the one that asks.
    #[param(inline)]
    scope: Which,
}

#[utoipa::path(
    get, path = "/auth/sessions", tag = "Sign-in", operation_id = "list_sessions", params(Page),
    responses((status = 200, description = "Where the caller is signed in, newest first", body = List<SessionView>)),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    me: SignedIn,
    page: Page,
) -> Result<Json<List<SessionView>>, ApiError> {
    let before = page.after::<SessionId>()?.unwrap_or(SessionId(uuid::Uuid::max()));
    let now = app.clock.now();
    let sessions = sql::sessions(&mut app.store.read().await?, me.user, before, now, page.rows()).await?;
    Ok(Json(List::of(sessions, &page, |session| session.id, |session| SessionView::new(session, me.session))))
}

#[utoipa::path(
    delete, path = "/auth/sessions/{id}", tag = "Sign-in", operation_id = "end_session",
    params(("id" = SessionId, Path)),
    responses((status = 204, description = "That device is signed out",
        headers(("Set-Cookie" = String, description = "Ending the own one takes its cookie away")))),
    extensions(("x-problems" = json!(["session_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn end(
    State(app): State<Arc<App>>,
    me: SignedIn,
    carried: Carried,
    Path(id): Path<SessionId>,
) -> Result<impl IntoResponse, ApiError> {
    if auth::end(&app, me.user, id).await? {
        return Ok((StatusCode::NO_CONTENT, carried.forget(id == me.session)));
    }
    Err(ApiError::new(Code::SessionNotFound))
}

#[utoipa::path(
    delete, path = "/auth/sessions", tag = "Sign-in", operation_id = "end_sessions", params(Asked),
    responses((status = 204, description = "Those devices are signed out",
        headers(("Set-Cookie" = String, description = "Ending the own one takes its cookie away")))),
    security(("bearer" = [])),
)]
pub(super) async fn end_many(
    State(app): State<Arc<App>>,
    me: SignedIn,
    carried: Carried,
    Query(asked): Query<Asked>,
) -> Result<impl IntoResponse, ApiError> {
    let scope = match asked.scope {
        Which::Others => Scope::Others(me.session),
        Which::All => Scope::All,
    };
    auth::end_many(&app, me.user, scope).await?;
    Ok((StatusCode::NO_CONTENT, carried.forget(scope == Scope::All)))
}
