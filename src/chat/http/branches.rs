//! Cancelling, editing and asking again over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::accepted::{self, Wanted};
use super::messages::{PostMessage, request, sender, taken_in};
use super::views::{AcceptedView, MessageView};
use crate::app::App;
use crate::auth::SignedIn;
use crate::chat::{self, Said};
use crate::http::replay::Request;
use crate::http::{ApiError, IdempotencyKey, Json, Path};
use crate::ids::{ChatroomId, MessageId};

/// Cancels a reply. One that waits ends at once and costs nothing; one that is being written keeps its text so far, and costs
/// its prompt if there is any. To one that has ended it does nothing.
#[utoipa::path(
    post, path = "/chatroom/{id}/messages/{message_id}/cancel", tag = "Messages",
    params(("id" = ChatroomId, Path), ("message_id" = MessageId, Path)),
    responses((status = 200, description = "The reply as it stands now; after a second's wait perhaps still `generating`, \
        to be cancelled soon", body = MessageView)),
    extensions(("x-problems" = json!(["chatroom_not_found", "message_not_found", "not_a_reply"]))),
    security(("bearer" = [])),
)]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((id, message)): Path<(ChatroomId, MessageId)>,
) -> Result<Json<MessageView>, ApiError> {
    // In a task of its own: what was cancelled must be told to whoever writes it, though the client hangs up.
    let work = {
        let app = Arc::clone(&app);
        async move { chat::cancel(&app, signed_in.user, id, message).await }
    };
    Ok(Json(app.tasks.spawn(work).await.map_err(ApiError::internal)??.into()))
}

/// Has the question of a reply answered once more. The old answer stays as an alternative.
#[utoipa::path(
    post, path = "/chatroom/{id}/messages/{message_id}/regenerate", tag = "Messages",
    params(("id" = ChatroomId, Path), ("message_id" = MessageId, Path), IdempotencyKey, Wanted),
    responses(
        (status = 202, description = "Another reply will be written; `message` is the question", body = AcceptedView,
            headers(("Location" = String, description = "The reply"), ("Idempotency-Replayed" = String),
                ("Preference-Applied" = String))),
        (status = 200, description = "With `Prefer: wait=30` the reply has ended within that time; with `Accept: text/event-stream` \
            the reply's live events", content((AcceptedView = "application/json"), (String = "text/event-stream")),
            headers(("Location" = String, description = "The reply"), ("Idempotency-Replayed" = String),
                ("Preference-Applied" = String))),
    ),
    extensions(("x-problems" = json!(["chatroom_not_found", "message_not_found", "not_a_reply", "reply_in_progress",
        "idempotency_mismatch", "context_overflow", "attachments_too_large", "budget_exhausted",
        {"code": "prompt_limit_reached", "members": {"prompts": {"$ref": "#/components/schemas/Prompts"}}}]))),
    security(("bearer" = [])),
)]
pub(super) async fn regenerate(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((id, reply)): Path<(ChatroomId, MessageId)>,
    key: Option<IdempotencyKey>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let parts = ["regenerate", &id.to_string(), &reply.to_string()];
    let request = key.map(|key| Request::new(key.as_str().to_owned(), &parts));
    let (sender, house) = (sender(&app, &signed_in), Arc::clone(&app));
    let work = async move { chat::regenerate(&house, sender, id, reply, request.as_ref()).await };
    let accepted = taken_in(&app, work).await?;
    Ok(accepted::answer(app, signed_in, accepted, wanted).await)
}

/// Says something else instead: a new message beside one of the caller's own, and a reply to it. The old one stays as an
/// alternative, with what followed it.
#[utoipa::path(
    patch, path = "/chatroom/{id}/messages/{message_id}", tag = "Messages",
    params(("id" = ChatroomId, Path), ("message_id" = MessageId, Path), IdempotencyKey, Wanted), request_body = PostMessage,
    responses(
        (status = 202, description = "Taken in as a new message; a reply to it will be written", body = AcceptedView,
            headers(("Location" = String, description = "The reply"), ("Idempotency-Replayed" = String),
                ("Preference-Applied" = String))),
        (status = 200, description = "With `Prefer: wait=30` the reply has ended within that time; with `Accept: text/event-stream` \
            the reply's live events", content((AcceptedView = "application/json"), (String = "text/event-stream")),
            headers(("Location" = String, description = "The reply"), ("Idempotency-Replayed" = String),
                ("Preference-Applied" = String))),
    ),
    extensions(("x-problems" = json!(["chatroom_not_found", "message_not_found", "not_a_user_message",
        "idempotency_mismatch", "context_overflow", "attachments_too_large", "budget_exhausted",
        {"code": "prompt_limit_reached", "members": {"prompts": {"$ref": "#/components/schemas/Prompts"}}}]))),
    security(("bearer" = [])),
)]
pub(super) async fn edit(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((id, message)): Path<(ChatroomId, MessageId)>,
    key: Option<IdempotencyKey>,
    wanted: Wanted,
    Json(body): Json<PostMessage>,
) -> Result<Response, ApiError> {
    let (text, files) = body.said()?;
    let parts = ["edit", &id.to_string(), &message.to_string(), text.as_str()];
    let request = key.map(|key| request(&key, &parts, files.as_deref()));
    let (sender, house) = (sender(&app, &signed_in), Arc::clone(&app));
    let work = async move {
        let said = Said { text: &text, files: files.as_deref() };
        chat::edit(&house, sender, id, message, said, request.as_ref()).await
    };
    let accepted = taken_in(&app, work).await?;
    Ok(accepted::answer(app, signed_in, accepted, wanted).await)
}
