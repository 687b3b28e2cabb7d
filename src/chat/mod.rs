//! Conversations: chatrooms, their messages, and the promise of a reply.
//!
//! A message is accepted in one transaction (prompt, message, job) and answered later by the worker.
//! Start reading at [`send`], then [`write_reply`].

mod alternatives;
mod ask;
pub mod attachments;
mod background;
mod branch;
mod cancel;
mod clear;
mod context;
mod end;
mod erase;
mod estimate;
mod events;
mod export;
mod fallback;
pub mod http;
mod judge;
mod list;
mod models;
mod operator;
mod question;
mod read;
mod receipt;
mod rooms;
mod search;
mod send;
mod sql;
mod summarise;
mod text;
mod title;
mod write;

use serde::Serialize;

use crate::clock::Moment;
use crate::gemini;
use crate::ids::{ChatroomId, MessageId};

pub use attachments::Attachment;
pub use cancel::{CancelError, cancel, heed_cancels};
pub use clear::sweep_deleted;
pub use erase::{RoomCounts, count_rooms, delete_rooms, has_rooms};
pub use estimate::tokens;
pub use events::{BadCursor, Cursor, Event, Follower, Follows};
pub use export::{attachments_after, branch_after, messages_after, rooms_after};
pub use list::{RoomList, list_rooms};
pub use models::{NeverListed, Offered, Standing, models, standing, watch_models};
pub use operator::{FailedReply, RetryError, failed_replies, retry_reply};
pub use read::{ReadError, Slice, message, messages, room_with_messages};
pub use receipt::{LeftOut, MOST_NAMED, Reason, ReceiptError, Shown, Summary, Turn, context, summaries};
pub use rooms::{NewRoom, RoomChange, RoomError, change_room, delete_room, open_room, room};
pub use search::{Found, Place, index_older, search};
pub use send::{Accepted, Said, SendError, Sender, edit, regenerate, send};
pub use summarise::summarise;
pub use text::{Text, TextError};
pub use title::name_room;
pub use write::{Stopped, give_up, write_reply};

/// A conversation of one person with the model.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Chatroom {
    pub id: ChatroomId,
    pub name: Option<String>,
    pub model: Option<String>,
    pub system_instruction: Option<String>,
    /// How much the model thinks before it answers; None: as it likes.
    pub thinking: Option<Thinking>,
    pub archived: bool,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub last_message_at: Option<Moment>,
    pub active_at: Moment,
    pub rev: i64,
    /// The rev that last changed what the room itself shows.
    pub shown_rev: i64,
}

crate::words! {
    /// How much a model thinks before it answers, in Gemini's words. Not every model takes every one.
    pub enum Thinking {
        Minimal = "minimal",
        Low = "low",
        Medium = "medium",
        High = "high",
    }
}

impl Thinking {
    /// Whoever asks for thoughts is shown them.
    fn to_gemini(self) -> gemini::Thinking {
        gemini::Thinking { include_thoughts: true, budget: None, level: Some(self.as_str().to_owned()) }
    }
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Model,
}

/// Where a message stands. A person's is `sent`; a reply goes from `queued` to `generating` (and back, while a passing
/// fault is waited out) and ends in one of the last three for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Sent,
    Queued,
    Generating,
    Complete,
    Failed,
    Cancelled,
}

impl Status {
    /// Whether a reply has ended for good.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Cancelled)
    }
}

/// Why a reply failed, or waits to be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ReplyError)]
pub struct Fault {
    /// A stable word.
    pub code: String,
    pub message: String,
    /// Whether asking again may help.
    pub retryable: bool,
}

/// A message as it stands now; of a reply that is being written, with the text so far.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    pub chatroom_id: ChatroomId,
    pub seq: i64,
    pub parent_id: Option<MessageId>,
    /// Whether it lies on the room's current branch.
    pub is_current: bool,
    /// What else hangs on the same parent, oldest first.
    pub alternatives: Vec<MessageId>,
    /// How many files it carries; those themselves are read apart.
    pub files: i64,
    pub attachments: Vec<Attachment>,
    pub role: Role,
    pub content: String,
    pub status: Status,
    pub created_at: Moment,
    pub completed_at: Option<Moment>,
    pub finish_reason: Option<String>,
    pub model: Option<String>,
    /// The model it stood in for.
    pub fallback_for: Option<String>,
    /// What the model thought before it answered, where the room asks for it.
    pub thoughts: Option<String>,
    pub usage: Option<Usage>,
    pub error: Option<Fault>,
    pub retry_at: Option<Moment>,
    /// Of a reply that waits: its place among those of its room, 1 for the next.
    pub position: Option<i64>,
    /// And about how long until it is written, by how long answers take here lately.
    pub eta_seconds: Option<u64>,
    pub attempt: i64,
    /// Of a reply that ended: whether its prompt was charged.
    pub charged: Option<bool>,
    pub revs: Revs,
}

/// The numbers of the transactions that made a message, ended it (a reply) and changed it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revs {
    pub made: i64,
    pub ended: Option<i64>,
    pub last: i64,
}

/// Tokens of one reply, as Gemini counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Usage {
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    pub thought_tokens: i64,
    pub total_tokens: i64,
}
