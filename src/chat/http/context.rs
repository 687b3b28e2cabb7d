//! What the model saw, over HTTP.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::auth::SignedIn;
use crate::chat::{self, LeftOut, Reason, Role, Shown, Thinking, Turn};
use crate::http::{ApiError, Json, Path};
use crate::ids::{ChatroomId, MessageId};

/// What the model was shown for a reply.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Context, example = json!({
    "message_id": "0199f7aa-d6a8-7d10-9c9e-3b1f0c5d7e22", "model": "gemini-3.8-flash",
    "system_instruction": "Answer briefly.", "thinking": null, "summary": null,
    "sent": [{"message_id": "0199f7aa-d6a8-7a4c-8f51-6a2d9e0b4c33", "seq": 3, "role": "user"}],
    "left_out": [
        {"message_id": "0199f7a5-11f0-7e02-9a55-0c44d0b7e901", "seq": 1, "role": "user", "reason": "not_answered"},
        {"message_id": "0199f7a5-11f0-7b3d-8e21-77a0c1d2f302", "seq": 2, "role": "model", "reason": "not_answered"},
    ],
    "left_out_count": 2, "tokens": {"limit": 32000, "estimated": 20, "counted": null, "used": 12},
}))]
pub(super) struct ContextView {
    /// The reply.
    message_id: MessageId,
    /// The model that was asked.
    model: String,
    #[schema(required)]
    system_instruction: Option<String>,
    #[schema(required)]
    thinking: Option<Thinking>,
    /// What stood in for the older part of the conversation; null: nothing did.
    #[schema(required)]
    summary: Option<SummaryView>,
    /// The messages that were sent, oldest first; the last is the question.
    sent: Vec<SentView>,
    /// Earlier messages of the branch that were not, oldest first; the newest 200 of them.
    left_out: Vec<LeftOutView>,
    /// How many there are of them.
    left_out_count: u64,
    tokens: TokensView,
}

/// What came earlier, in the model's words.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ContextSummary)]
pub(super) struct SummaryView {
    text: String,
    /// The reply up to which it tells.
    ends_at: MessageId,
}

/// A message that was sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SentMessage)]
struct SentView {
    message_id: MessageId,
    seq: i64,
    role: Role,
}

/// A message that was not sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = LeftOutMessage)]
struct LeftOutView {
    #[serde(flatten)]
    message: SentView,
    /// `did_not_fit`: older than what fitted. `summarised`: the summary tells of it. `not_answered`: its question got no
    /// answer.
    reason: Reason,
}

/// How long the question was.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ContextTokens)]
struct TokensView {
    /// What fitted: the smaller of `CONTEXT_MAX_TOKENS` and what the model takes in beside its answer.
    limit: u64,
    /// At most so many, as the service estimates.
    estimated: u64,
    /// As Gemini counted before it was asked, which it is near the limit only.
    #[schema(required)]
    counted: Option<u64>,
    /// As Gemini counted with its answer.
    #[schema(required)]
    used: Option<i64>,
}

#[utoipa::path(
    get, path = "/chatroom/{id}/messages/{message_id}/context", tag = "Messages", operation_id = "context",
    params(("id" = ChatroomId, Path), ("message_id" = MessageId, Path)),
    responses((status = 200, description = "What the model was shown for this reply", body = ContextView)),
    extensions(("x-problems" = json!([
        "chatroom_not_found", "message_not_found", "not_a_reply", "reply_in_progress", "context_not_found",
    ]))),
    security(("bearer" = [])),
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((room, reply)): Path<(ChatroomId, MessageId)>,
) -> Result<Json<ContextView>, ApiError> {
    Ok(Json(chat::context(&app, signed_in.user, room, reply).await?.into()))
}

impl From<Shown> for ContextView {
    fn from(shown: Shown) -> Self {
        Self {
            message_id: shown.reply,
            model: shown.model,
            system_instruction: shown.system_instruction,
            thinking: shown.thinking,
            summary: shown.summary.map(SummaryView::from),
            sent: shown.sent.into_iter().map(SentView::from).collect(),
            left_out: shown.left_out.into_iter().map(LeftOutView::from).collect(),
            left_out_count: shown.left_out_count,
            tokens: TokensView {
                limit: shown.limit,
                estimated: shown.estimated,
                counted: shown.counted,
                used: shown.usage.map(|usage| usage.prompt_tokens),
            },
        }
    }
}

impl From<chat::Summary> for SummaryView {
    fn from(summary: chat::Summary) -> Self {
        let chat::Summary { text, ends_at } = summary;
        Self { text, ends_at }
    }
}

impl From<Turn> for SentView {
    fn from(turn: Turn) -> Self {
        Self { message_id: turn.id, seq: turn.seq, role: turn.role }
    }
}

impl From<LeftOut> for LeftOutView {
    fn from(left: LeftOut) -> Self {
        Self { message: left.turn.into(), reason: left.reason }
    }
}
