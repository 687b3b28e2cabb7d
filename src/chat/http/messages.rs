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
use crate::chat::{self, Accepted, SendError, Sender, Slice, Text};
use crate::http::replay::Request;
use crate::http::{ApiError, IdempotencyKey, Json, List, Page, Path, Query};
use crate::ids::{ChatroomId, MessageId};

/// What a person says.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub(super) struct PostMessage {
    /// 1 to 32,000 characters, any Unicode but NUL; not only white space. Also taken as `user_message` or `message`.
    #[serde(alias = "user_message", alias = "message")]
    #[schema(min_length = 1, max_length = 32000, example = "What is the capital of France?")]
    content: String,
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
        "context_overflow", "budget_exhausted",
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
    let text = body.text()?;
    let request = key.map(|key| Request::new(key.as_str().to_owned(), &["send", &id.to_string(), text.as_str()]));
    let (sender, house) = (sender(&app, &signed_in), Arc::clone(&app));
    let accepted = taken_in(&app, async move { chat::send(&house, sender, id, &text, request.as_ref()).await }).await?;
    Ok(accepted::answer(app, signed_in, accepted, wanted).await)
}

impl PostMessage {
    pub(super) fn text(self) -> Result<Text, ApiError> {
        Text::try_from(self.content).map_err(|error| ApiError::field("content", error.to_string()))
    }
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
