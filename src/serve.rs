//! The service over HTTP: the features' routes joined, the layers around them, listening, stopping gently.
//!
//! Begin at [`router`]; [`serve`] runs it.

mod bare;
mod docs;
mod health;
mod layers;
mod listen;
mod metrics;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tower::ServiceBuilder;
use utoipa_axum::router::OpenApiRouter;

use crate::account;
use crate::app::App;
use crate::auth;
use crate::billing;
use crate::chat;
use crate::http::{ApiError, Code, openapi};

pub use listen::{serve, serve_operators};

/// Every operation of the service.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(auth::http::router())
        .merge(account::http::router())
        .merge(chat::http::router())
        .merge(billing::http::router())
        .merge(health::router())
        .merge(metrics::router())
        .merge(docs::router())
}

/// The OpenAPI document, for clients that reach the service under `server`.
#[must_use]
pub fn document(server: &str) -> Value {
    openapi::document(operations().get_openapi(), server)
}

/// The service as clients see it.
pub fn router(app: &Arc<App>) -> Router {
    let (routes, api) = operations().split_for_parts();
    let server = app.settings.server.public_url.as_ref().map_or("/", url::Url::as_str);
    let document = docs::Document::new(&openapi::document(&api, server), layers::base_path(app));
    with_layers(routes, app).layer(axum::Extension(Arc::new(document)))
}

/// What `METRICS_BIND` answers: health and metrics alone, without asking for a token.
fn operators_router(app: &Arc<App>) -> Router {
    let routes: Router<Arc<App>> = OpenApiRouter::new().merge(health::router()).merge(metrics::router()).into();
    with_layers(routes, app).layer(axum::Extension(health::AsksNoToken))
}

/// The layers, the outermost first. All in one: the router boxes what it is given once for each, and copies every box that
/// lies in another with each request.
fn with_layers(routes: Router<Arc<App>>, app: &Arc<App>) -> Router {
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .option_layer(layers::cors(&app.settings.server))
        .layer(layers::compression())
        .layer(from_fn_with_state(app.clone(), layers::guard));
    let routes = routes.fallback(no_such_route).method_not_allowed_fallback(other_method);
    routes.layer(layers).with_state(app.clone())
}

async fn no_such_route() -> ApiError {
    ApiError::new(Code::NotFound)
}

/// The router adds `Allow` to whatever is answered here.
async fn other_method(method: axum::http::Method) -> Response {
    if method == axum::http::Method::OPTIONS {
        axum::http::StatusCode::NO_CONTENT.into_response()
    } else {
        ApiError::new(Code::MethodNotAllowed).into_response()
    }
}
