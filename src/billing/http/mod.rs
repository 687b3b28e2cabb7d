//! Plans and subscriptions over HTTP: JSON in and out, errors to status.

mod landing;
mod leading;
mod plans;
mod problems;
mod subscription;
mod views;
mod webhook;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::openapi::alias;

pub use views::LineView;

/// All of the feature's routes.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(plans::list))
        .routes(routes!(subscription::subscribe))
        .routes(alias(routes!(subscription::subscribe), "/subscription/pro"))
        .routes(routes!(subscription::show))
        .routes(routes!(subscription::cancel))
        .routes(routes!(subscription::resume))
        .routes(routes!(subscription::portal))
        .routes(routes!(subscription::history))
        .routes(routes!(landing::come_back))
        .routes(routes!(webhook::take))
}
