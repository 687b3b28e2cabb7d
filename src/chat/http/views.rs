//! What clients see of rooms and messages.

use serde::Serialize;

use crate::billing::Prompts;
use crate::chat::attachments::{Attachment, Kind};
use crate::chat::{self, Chatroom, Fault, Message, Role, Status, Thinking, Usage};
use crate::clock::Moment;
use crate::http::Cursor;
use crate::ids::{AttachmentId, ChatroomId, MessageId};

/// A conversation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Chatroom, example = json!({
    "id": "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11", "name": "Travel", "title": "Travel", "model": null,
    "system_instruction": "Answer briefly.", "thinking": null, "archived": false, "created_at": "2026-11-21T10:40:00.000Z",
    "updated_at": "2026-11-21T10:47:00.000Z", "last_message_at": "2026-11-21T10:47:00.000Z",
}))]
pub(super) struct ChatroomView {
    id: ChatroomId,
    #[schema(required)]
    name: Option<String>,
    /// The same as `name`.
    #[schema(required, deprecated)]
    title: Option<String>,
    /// The model asked; null: the deployment's.
    #[schema(required)]
    model: Option<String>,
    #[schema(required)]
    system_instruction: Option<String>,
    /// How much the model thinks before it answers; null: as it likes.
    #[schema(required)]
    thinking: Option<Thinking>,
    archived: bool,
    created_at: Moment,
    updated_at: Moment,
    #[schema(required)]
    last_message_at: Option<Moment>,
}

impl From<Chatroom> for ChatroomView {
    fn from(room: Chatroom) -> Self {
        Self {
            id: room.id,
            title: room.name.clone(),
            name: room.name,
            model: room.model,
            system_instruction: room.system_instruction,
            thinking: room.thinking,
            archived: room.archived,
            created_at: room.created_at,
            updated_at: room.updated_at,
            last_message_at: room.last_message_at,
        }
    }
}

/// A conversation with its newest messages.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ChatroomWithMessages)]
pub(super) struct OpenRoomView {
    #[serde(flatten)]
    room: ChatroomView,
    /// The newest 50 of the current branch, oldest first.
    messages: Vec<MessageView>,
    /// For what is older, in `GET /chatroom/{id}/messages`; null: these are all.
    #[schema(required)]
    messages_next_cursor: Option<Cursor>,
    /// Where live events go on from here.
    #[schema(example = "7.-.0.0")]
    last_event_id: String,
}

impl OpenRoomView {
    /// `newest` is newest first, with one more than `most` when there are older ones.
    pub(super) fn new(room: Chatroom, mut newest: Vec<Message>, most: usize) -> Self {
        let has_older = newest.len() > most;
        newest.truncate(most);
        let messages_next_cursor = newest.last().filter(|_| has_older).map(|oldest| Cursor::of(&oldest.seq));
        let writing = newest.iter().find(|message| message.status == Status::Generating);
        let last_event_id = event_id(room.rev, writing);
        newest.reverse();
        Self {
            room: room.into(),
            messages: newest.into_iter().map(MessageView::from).collect(),
            messages_next_cursor,
            last_event_id,
        }
    }
}

/// `rev.reply.attempt.offset`: what a reader has seen of a room.
fn event_id(rev: i64, reply: Option<&Message>) -> String {
    match reply {
        Some(reply) => format!("{rev}.{}.{}.{}", reply.id, reply.attempt, reply.content.len()),
        None => format!("{rev}.-.0.0"),
    }
}

/// A message of a person or of the model.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Message, example = json!({
    "id": "0199f7aa-d6a8-7d10-9c9e-3b1f0c5d7e22", "chatroom_id": "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11", "seq": 2,
    "parent_id": "0199f7aa-d6a8-7a4c-8f51-6a2d9e0b4c33", "role": "model", "content": "Paris.", "status": "complete",
    "created_at": "2026-11-21T10:47:00.000Z", "completed_at": "2026-11-21T10:47:02.310Z", "finish_reason": "STOP",
    "model": "gemini-3.8-flash", "attempt": 1, "prompt": {"charged": true, "reason": "complete"},
    "usage": {"prompt_tokens": 12, "completion_tokens": 2, "thought_tokens": 0, "total_tokens": 14},
}))]
pub(super) struct MessageView {
    id: MessageId,
    chatroom_id: ChatroomId,
    /// The room's order.
    seq: i64,
    #[schema(required)]
    parent_id: Option<MessageId>,
    /// What else hangs on the same parent, oldest first: other answers to the same question, other wordings of it. They
    /// and what followed them are not on the current branch, unless this one is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    alternatives: Vec<MessageId>,
    role: Role,
    /// Of a reply that is being written: the text so far.
    content: String,
    /// The files that go with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    attachments: Vec<AttachmentView>,
    status: Status,
    created_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Moment>,
    /// Gemini's word for why the answer ended, such as STOP or `MAX_TOKENS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The room's own model, which could not be asked, so that `model` stood in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_for: Option<String>,
    /// What the model thought before it answered; only where the room's `thinking` is set. No part of `content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    /// Of a reply that waits out a passing fault: when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Moment>,
    /// Of a reply that waits: its place among those of its room, 1 for the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<i64>,
    /// Of a reply that waits: about how long until it is written, once it is known how long answers take.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<u64>,
    /// Of a reply: how often it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i64>,
    /// Of a reply that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<PromptView>,
}

/// A file that somebody sent; `GET /chatroom/{id}/attachments/{attachment_id}` gives it back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Attachment, example = json!({
    "id": "0199f7a9-1f20-7b3c-8d41-7a2e9c0b5d66", "name": "Sea at Goa.jpg", "media_type": "image/jpeg", "bytes": 284_113,
}))]
pub(super) struct AttachmentView {
    pub id: AttachmentId,
    /// At most 255 characters, without folders.
    name: String,
    /// By its content.
    media_type: Kind,
    bytes: i64,
}

impl From<Attachment> for AttachmentView {
    fn from(file: Attachment) -> Self {
        Self { id: file.id, name: file.name, media_type: file.media_type, bytes: file.bytes }
    }
}

/// Whether a reply's prompt was charged.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PromptCharge)]
struct PromptView {
    charged: bool,
    /// The status that decided.
    reason: Status,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let status = message.status;
        Self {
            id: message.id,
            chatroom_id: message.chatroom_id,
            seq: message.seq,
            parent_id: message.parent_id,
            alternatives: message.alternatives,
            role: message.role,
            content: message.content,
            attachments: message.attachments.into_iter().map(AttachmentView::from).collect(),
            status,
            created_at: message.created_at,
            completed_at: message.completed_at,
            finish_reason: message.finish_reason,
            model: message.model,
            fallback_for: message.fallback_for,
            thoughts: message.thoughts,
            usage: message.usage,
            error: message.error,
            retry_at: message.retry_at,
            position: message.position,
            eta_seconds: message.eta_seconds,
            attempt: (message.role == Role::Model).then_some(message.attempt),
            prompt: message.charged.map(|charged| PromptView { charged, reason: status }),
        }
    }
}

/// A message that was taken in, and the reply that was promised.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Accepted, example = json!({
    "message": {
        "id": "0199f7aa-d6a8-7a4c-8f51-6a2d9e0b4c33", "chatroom_id": "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11", "seq": 1,
        "parent_id": null, "role": "user", "content": "What is the capital of France?", "status": "sent",
        "created_at": "2026-11-21T10:47:00.000Z",
    },
    "reply": {
        "id": "0199f7aa-d6a8-7d10-9c9e-3b1f0c5d7e22", "chatroom_id": "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11", "seq": 2,
        "parent_id": "0199f7aa-d6a8-7a4c-8f51-6a2d9e0b4c33", "role": "model", "content": "", "status": "queued",
        "created_at": "2026-11-21T10:47:00.000Z", "attempt": 0,
    },
    "prompts": {"limit": 5, "used": 1, "remaining": 4, "resets_at": "2026-11-22T00:00:00.000Z"},
    "last_event_id": "8.-.0.0",
}))]
pub(super) struct AcceptedView {
    message: MessageView,
    reply: MessageView,
    prompts: Prompts,
    /// Where live events of this reply begin.
    last_event_id: String,
}

impl From<chat::Accepted> for AcceptedView {
    fn from(accepted: chat::Accepted) -> Self {
        let chat::Accepted { message, reply, prompts, room_rev, .. } = accepted;
        let last_event_id = format!("{room_rev}.{}.0.0", reply.id);
        Self { message: message.into(), reply: reply.into(), prompts, last_event_id }
    }
}
