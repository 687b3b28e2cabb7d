//! Attachments: pictures and PDFs that people send along with what they say.
//!
//! A file is [`upload`]ed to a room, then a message carries it, and what that is edited into may carry it too. Its object
//! lies in [`files`](crate::files); here are the rows, which are there before it is and go before it. At every step the
//! process may die: a row without its object is read by nobody (`stored_at`), an object without its row stands in the
//! outbox of what is to be deleted.

mod carry;
mod kind;
mod name;
mod pages;
mod pixels;
mod remove;
mod show;
mod sql;
mod take;
mod upload;

use crate::ids::AttachmentId;
use crate::store;

pub(super) use carry::{add, carry, of_message, of_room, usable};
pub use kind::Kind;
pub use name::Name;
pub(super) use remove::{clear, drop_objects};
pub use remove::{remove, sweep_unused};
pub(super) use show::{ByTurn, Room, Shown, Unreadable, load};
pub use take::take;
pub use upload::{NewFile, upload};

/// Files that one message may carry.
pub const MOST_PER_MESSAGE: usize = 10;

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Attachment {
    pub id: AttachmentId,
    pub name: String,
    pub media_type: Kind,
    pub bytes: i64,
    /// What it costs to show it to the model, at most.
    pub tokens: i64,
}

impl Attachment {
    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(0)
    }

    /// In tokens, at most.
    pub(super) fn cost(&self) -> u64 {
        u64::try_from(self.tokens).unwrap_or(0)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    #[error("no such chatroom")]
    NoSuchRoom,
    #[error("no such attachment")]
    NoSuchAttachment,
    /// What it says it is does not count.
    #[error("the file is none of those that are taken")]
    UnsupportedFile,
    #[error("a message carries the attachment")]
    InUse,
    #[error("too many attachments wait for a message")]
    TooManyUnused { most: u32 },
    #[error("this key was used for another request")]
    IdempotencyMismatch,
    #[error("the files cannot be reached")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] store::Error),
}
