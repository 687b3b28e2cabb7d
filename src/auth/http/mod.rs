//! Sign-in over HTTP: JSON in and out, errors to status.

mod codes;
mod cookie;
pub mod fields;
mod passwords;
mod problems;
mod sessions;
mod tokens;
mod views;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use cookie::Carried;
pub use passwords::proof;
pub use views::UserView;

/// All of the feature's routes.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(tokens::sign_up))
        .routes(routes!(codes::send))
        .routes(routes!(codes::forgot))
        .routes(routes!(tokens::verify))
        .routes(routes!(tokens::obtain))
        .routes(routes!(tokens::refresh))
        .routes(routes!(tokens::log_out))
        .routes(routes!(tokens::jwks))
        .routes(routes!(sessions::list, sessions::end_many))
        .routes(routes!(sessions::end))
        .routes(routes!(passwords::reset))
        .routes(routes!(passwords::change))
        .routes(routes!(passwords::change_mobile))
}
