//! Messages over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::accepted::{self, Wanted};
use super::views::{AcceptedView, MessageView};
use crate::app::App;
use crate::auth::SignedIn;
use crate::billing;
use crate::chat::{self, Accepted, Said, SendError, Sender, Slice, Text};
use crate::http::replay::Request;
use crate::http::{ApiError, IdempotencyKey, Json, List, Page, Path, Query};
use crate::ids::{AttachmentId, ChatroomId, MessageId};

/// What a person says.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PostMessage {
    /// 1 to 32,000 characters, any Unicode but NUL; not only white space. Also taken as `user_message` or `message`.
    #[serde(alias = "user_message", alias = "message")]
    #[schema(min_length = 1, max_length = 32000, example = "What is the capital of France?")]
    content: String,
    /// Files that go with it, by the ids that their uploads gave: at most 10, of this chatroom, in no other message. Where
    /// a message is edited, those that it has may be named again; left away, it keeps them.
    #[serde(default)]
    #[schema(max_items = 10, example = json!([]))]
    attachments: Option<Vec<AttachmentId>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    Asc,
    #[default]
    Desc,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Newest first, unless `asc`.
    #[serde(default)]
    #[param(inline)]
    order: Order,
    /// Only what is newer than this message.
    after: Option<MessageId>,
}

#[utoipa::path(
    get, path = "/chatroom/{id}/messages", tag = "Messages", params(("id" = ChatroomId, Path), Page, Asked),
    responses((status = 200, description = "Messages of the current branch", body = List<MessageView>)),
    extensions(("x-problems" = json!(["chatroom_not_found", "message_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
    page: Page,
    Query(asked): Query<Asked>,
) -> Result<Json<List<MessageView>>, ApiError> {
    let seq = page.after::<i64>()?;
    let oldest_first = asked.order == Order::Asc;
    let slice = Slice {
        above: seq.filter(|_| oldest_first).unwrap_or(0),
        below: seq.filter(|_| !oldest_first).unwrap_or(i64::MAX),
        oldest_first,
        most: page.rows(),
    };
    let messages = chat::messages(&app, signed_in.user, id, asked.after, slice).await?;
    Ok(Json(List::of(messages, &page, |message| message.seq, MessageView::from)))
}

#[utoipa::path(
    post, path = "/chatroom/{id}/message", tag = "Messages", params(("id" = ChatroomId, Path), IdempotencyKey, Wanted),
    request_body = PostMessage,
    responses(
        (status = 202, description = "Taken in; the reply will be written", body = AcceptedView,
            headers(("Location" = String, description = "The reply"), ("Idempotency-Replayed" = String),
                ("Preference-Applied" = String))),
        (status = 200, description = "With `Prefer: wait=30` the reply has ended within that time (at most 50 seconds); with \
            `Accept: text/event-stream` the reply's live events",
            content((AcceptedView = "application/json"), (String = "text/event-stream")),
            headers(("Location" = String, description = "The reply"), ("Idempotency-Replayed" = String),
                ("Preference-Applied" = String))),
    ),
    extensions(("x-problems" = json!(["chatroom_not_found", "message_not_found", "idempotency_mismatch",
        "context_overflow", "attachments_too_large", "budget_exhausted",
        {"code": "prompt_limit_reached", "members": {"prompts": {"$ref": "#/components/schemas/Prompts"}}}]))),
    security(("bearer" = [])),
)]
pub(super) async fn post(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
    key: Option<IdempotencyKey>,
    wanted: Wanted,
    Json(body): Json<PostMessage>,
) -> Result<Response, ApiError> {
    let (text, files) = body.said()?;
    let request = key.map(|key| request(&key, &["send", &id.to_string(), text.as_str()], files.as_deref()));
    let (sender, house) = (sender(&app, &signed_in), Arc::clone(&app));
    let work = async move {
        let said = Said { text: &text, files: files.as_deref() };
        chat::send(&house, sender, id, said, request.as_ref()).await
    };
    let accepted = taken_in(&app, work).await?;
    Ok(accepted::answer(app, signed_in, accepted, wanted).await)
}

impl PostMessage {
    /// The text, and the files if they are named.
    pub(super) fn said(self) -> Result<(Text, Option<Vec<AttachmentId>>), ApiError> {
        let text = Text::try_from(self.content).map_err(|error| ApiError::field("content", error.to_string()))?;
        Ok((text, self.attachments))
    }
}

/// What the key stands for. Without files it is what it was before there were any.
pub(super) fn request(key: &IdempotencyKey, parts: &[&str], files: Option<&[AttachmentId]>) -> Request {
    let files: Option<Vec<_>> = files.map(|files| files.iter().map(ToString::to_string).collect());
    let files = files.iter().flat_map(|files| std::iter::once("attachments").chain(files.iter().map(String::as_str)));
    Request::new(key.as_str().to_owned(), &parts.iter().copied().chain(files).collect::<Vec<_>>())
}

pub(super) fn sender(app: &App, signed_in: &SignedIn) -> Sender {
    Sender { user: signed_in.user, daily_limit: billing::daily_limit(&app.settings.quota, signed_in.plan) }
}

/// Does it in a task of its own: a client that hangs up in the middle must not leave a job without its bell.
pub(super) async fn taken_in(
    app: &App,
    work: impl Future<Output = Result<Accepted, SendError>> + Send + 'static,
) -> Result<Accepted, ApiError> {
    app.tasks.spawn(work).await.map_err(ApiError::internal)?.map_err(|error| {
        let now = app.clock.now();
        error.problem(now.next_midnight().since(now).as_secs() + 1)
    })
}

#[utoipa::path(
    get, path = "/chatroom/{id}/messages/{message_id}", tag = "Messages",
    params(("id" = ChatroomId, Path), ("message_id" = MessageId, Path)),
    responses((status = 200, description = "One message; a reply being written shows its text so far", body = MessageView)),
    extensions(("x-problems" = json!(["chatroom_not_found", "message_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((id, message)): Path<(ChatroomId, MessageId)>,
) -> Result<Json<MessageView>, ApiError> {
    Ok(Json(chat::message(&app, signed_in.user, id, message).await?.into()))
}
