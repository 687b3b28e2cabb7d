//! `/healthz`: the process lives. `/readyz`: it can serve; why it cannot is for operators only.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use secrecy::ExposeSecret;
use serde::Serialize;
use subtle::ConstantTimeEq;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{ApiError, Code, Json};
use crate::store;

/// A database that takes longer than this to say 1 is not there.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Marks the listener that only operators reach (`METRICS_BIND`).
#[derive(Clone, Copy, Debug)]
pub(super) struct AsksNoToken;

#[derive(Serialize, utoipa::ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Each part that has to work, `ok` or what is wrong with it.
#[derive(Clone, Serialize, utoipa::ToSchema)]
struct Checks {
    #[schema(example = "ok")]
    database: String,
    #[schema(example = "ok")]
    migrations: String,
    #[schema(example = "ok")]
    clock: &'static str,
    #[schema(example = "ok")]
    process: &'static str,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Ready {
    #[schema(example = "ready")]
    status: &'static str,
    /// For operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Checks>,
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "Operations", responses((status = 200, description = "It does", body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether it can serve: the database answers, its schema is there, the clock is sure, nobody said stop
#[utoipa::path(get, path = "/readyz", tag = "Operations", responses((status = 200, description = "It can", body = Ready)),
    extensions(("x-problems" = json!([{"code": "not_ready", "members": {"checks": {"$ref": "#/components/schemas/Checks"}}}]))))]
async fn readyz(
    State(app): State<Arc<App>>,
    asks_no_token: Option<Extension<AsksNoToken>>,
    headers: HeaderMap,
) -> Result<Json<Ready>, ApiError> {
    let (is_ready, checks) = look(&app).await;
    let shown = may_see(&app, asks_no_token.is_some(), &headers).is_ok().then_some(checks);
    if is_ready {
        return Ok(Json(Ready { status: "ready", checks: shown }));
    }
    let refusal = ApiError::new(Code::NotReady).retry_after(2);
    Err(match shown {
        Some(checks) => refusal.with("checks", checks),
        None => refusal,
    })
}

async fn look(app: &App) -> (bool, Checks) {
    let pending = tokio::time::timeout(PATIENCE, store::pending(&app.store)).await;
    let (database, migrations) = match pending {
        Ok(Ok(0)) => ("ok".to_owned(), "ok".to_owned()),
        Ok(Ok(missing)) => ("ok".to_owned(), format!("{missing} have not run")),
        Ok(Err(cause)) => (cause.to_string(), "unknown".to_owned()),
        Err(_) => ("does not answer".to_owned(), "unknown".to_owned()),
    };
    let clock = if app.clock.is_sure() { "ok" } else { "not sure" };
    let process = if app.stop.is_cancelled() { "stopping" } else { "ok" };
    let checks = Checks { database, migrations, clock, process };
    let is_ready = [&*checks.database, &*checks.migrations, clock, process].iter().all(|state| *state == "ok");
    (is_ready, checks)
}

/// Whether the one who asks is an operator: on `METRICS_BIND`, or with `METRICS_TOKEN`.
///
/// # Errors
/// 404 where no token is set, so that nothing tells that there is something to see; else 401.
pub(super) fn may_see(app: &App, asks_no_token: bool, headers: &HeaderMap) -> Result<(), ApiError> {
    if asks_no_token {
        return Ok(());
    }
    let Some(wanted) = &app.settings.server.metrics_token else {
        return Err(ApiError::new(Code::NotFound));
    };
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.ok_or_else(|| ApiError::new(Code::TokenMissing))?.strip_prefix("Bearer ").unwrap_or_default();
    let is_right = sent.as_bytes().ct_eq(wanted.expose_secret().as_bytes());
    if is_right.into() { Ok(()) } else { Err(ApiError::new(Code::TokenInvalid)) }
}
