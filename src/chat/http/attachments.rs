//! Attachments over HTTP: files in and out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};

use super::views::AttachmentView;
use crate::app::App;
use crate::auth::SignedIn;
use crate::billing;
use crate::chat;
use crate::chat::attachments::{self, Name, NewFile};
use crate::http::replay::{REPLAYED, Request};
use crate::http::{ApiError, IdempotencyKey, Json, Path, read_upload, stored};
use crate::ids::{AttachmentId, ChatroomId};

pub use crate::http::UPLOAD_TIME;

/// The route that bodies are sent to for longer than others may take.
pub const UPLOADS: &str = "/chatroom/{id}/attachments";

/// A form with one file in it.
#[derive(Debug, utoipa::ToSchema)]
#[schema(as = PostAttachment)]
#[expect(dead_code, reason = "it is read piece by piece, and stands here for the document")]
pub(super) struct PostAttachment {
    /// PNG, JPEG, WebP, GIF or PDF, by its content; of 15 MiB at most, unless the plan says otherwise (`GET /plans`).
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
}

/// Uploads a file for a message of this chatroom to carry. One that no message carries within a day is deleted.
#[utoipa::path(
    post, path = "/chatroom/{id}/attachments", tag = "Attachments", operation_id = "upload",
    params(("id" = ChatroomId, Path), IdempotencyKey),
    request_body(content = PostAttachment, content_type = "multipart/form-data"),
    responses((status = 201, description = "The file is there, for a message to carry", body = AttachmentView,
        headers(("Location" = String, description = "Where it is to be had"), ("Idempotency-Replayed" = String)))),
    extensions(("x-problems" = json!(["chatroom_not_found", "attachment_not_found", "attachment_limit_reached",
        "idempotency_mismatch", "storage_unavailable"]))),
    security(("bearer" = [])),
)]
pub(super) async fn post(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
    key: Option<IdempotencyKey>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    // Before fifteen megabytes come for nothing.
    chat::room(&app, signed_in.user, id).await?;
    let most = billing::attachment_bytes(&app.settings.quota, signed_in.plan);
    let mut share = app.files.incoming.share(signed_in.user);
    let uploaded = read_upload(&headers, body, most, |bytes| share.grow(bytes)).await?;
    let file = NewFile { name: Name::of(&uploaded.name), content: uploaded.content };
    let request = key.map(|key| {
        let parts = ["attach", &id.to_string(), file.name.as_str(), &file.fingerprint()];
        Request::new(key.as_str().to_owned(), &parts)
    });
    // In a task of its own: a client that hangs up leaves no half of it.
    let work = {
        let app = Arc::clone(&app);
        async move {
            let made = attachments::upload(&app, signed_in.user, id, &file, request.as_ref()).await;
            drop((file, share));
            made
        }
    };
    let (made, is_replay) = app.tasks.spawn(work).await.map_err(ApiError::internal)??;
    let view = AttachmentView::from(made);
    let location = format!("{}/chatroom/{id}/attachments/{}", app.settings.server.base_path(), view.id);
    let headers = ([(header::LOCATION, location)], AppendHeaders(is_replay.then_some(REPLAYED)));
    Ok((StatusCode::CREATED, headers, Json(view)).into_response())
}

#[utoipa::path(
    get, path = "/chatroom/{id}/attachments/{attachment_id}", tag = "Attachments", operation_id = "download",
    params(("id" = ChatroomId, Path), ("attachment_id" = AttachmentId, Path)),
    responses((status = 200, description = "The file, to keep and not to be shown", content(
        (String = "image/png"), (String = "image/jpeg"), (String = "image/webp"), (String = "image/gif"),
        (String = "application/pdf")),
        headers(("Content-Disposition" = String, description = "attachment, with its name"), ("Cache-Control" = String),
            ("X-Content-Type-Options" = String), ("Content-Security-Policy" = String)))),
    extensions(("x-problems" = json!(["chatroom_not_found", "attachment_not_found", "storage_unavailable"]))),
    security(("bearer" = [])),
)]
pub(super) async fn take(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((id, attachment)): Path<(ChatroomId, AttachmentId)>,
) -> Result<Response, ApiError> {
    let (file, content) = attachments::take(&app, signed_in.user, id, attachment).await?;
    let bytes = u64::try_from(file.bytes).unwrap_or(0);
    Ok(stored(file.media_type.as_str(), &file.name, bytes, content))
}

#[utoipa::path(
    delete, path = "/chatroom/{id}/attachments/{attachment_id}", tag = "Attachments", operation_id = "remove",
    params(("id" = ChatroomId, Path), ("attachment_id" = AttachmentId, Path)),
    responses((status = 204, description = "The file is gone")),
    extensions(("x-problems" = json!(["chatroom_not_found", "attachment_not_found", "attachment_in_use"]))),
    security(("bearer" = [])),
)]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((id, attachment)): Path<(ChatroomId, AttachmentId)>,
) -> Result<StatusCode, ApiError> {
    let work = {
        let app = Arc::clone(&app);
        async move { attachments::remove(&app, signed_in.user, id, attachment).await }
    };
    app.tasks.spawn(work).await.map_err(ApiError::internal)??;
    Ok(StatusCode::NO_CONTENT)
}
