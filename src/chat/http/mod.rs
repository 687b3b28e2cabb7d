//! Chatrooms and messages over HTTP: JSON in and out, errors to status.

mod accepted;
mod attachments;
mod branches;
mod context;
mod events;
mod export;
mod messages;
mod models;
mod problems;
mod rooms;
mod search;
mod views;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::openapi::alias;

pub use attachments::{UPLOAD_TIME, UPLOADS};
pub use export::{ExportedRoomView, write_rooms};

/// All of the feature's routes.
pub fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(rooms::list, rooms::open))
        .routes(alias(routes!(rooms::open), "/chatroom/create"))
        .routes(routes!(rooms::show, rooms::change, rooms::remove))
        .routes(routes!(export::export))
        .routes(routes!(messages::list))
        .routes(alias(routes!(messages::list), "/chatroom/{id}/message"))
        .routes(routes!(messages::post))
        .routes(alias(routes!(messages::post), "/chatroom/{id}/messages"))
        .routes(routes!(messages::show, branches::edit))
        .routes(routes!(branches::cancel))
        .routes(routes!(context::show))
        .routes(routes!(attachments::post))
        .routes(routes!(attachments::take, attachments::remove))
        .routes(routes!(branches::regenerate))
        .routes(routes!(events::of_room))
        .routes(routes!(events::of_rooms))
        .routes(routes!(models::list))
        .routes(routes!(search::search))
}
