//! Live events: what a reader of a room, of one reply or of all of a person's rooms is told, and in which order.
//!
//! Readers go on from state, not from a log: what the database says changed since their [`Cursor`], and the text that is
//! being written. Begin at [`Follower`].

mod cursor;
mod follow;
mod sql;
mod tell;

pub use cursor::{BadCursor, Cursor};
pub use follow::Follower;

use super::{Chatroom, Message};
use crate::ids::{ChatroomId, MessageId};

/// What a reader follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// All that happens in a room.
    Room(ChatroomId),
    /// One reply, from the change that promised it to its end.
    Reply { room: ChatroomId, question: MessageId, reply: MessageId },
    /// All rooms of the person: what begins and ends, without text.
    Rooms,
}

/// Something that a reader is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A person's message was taken in.
    Created(Message),
    /// A reply waits: it was promised, or is to be tried again.
    Queued(Message),
    /// A reply's first attempt of which the reader hears.
    Started {
        room: ChatroomId,
        reply: MessageId,
        attempt: i64,
    },
    /// The text so far is void: the reply is written anew.
    Restarted {
        room: ChatroomId,
        reply: MessageId,
        attempt: i64,
    },
    Delta {
        reply: MessageId,
        attempt: i64,
        text: String,
    },
    /// A reply is complete, failed or cancelled, which its status tells.
    Ended(Message),
    /// The current branch is another one, from this `seq` on.
    Changed {
        room: ChatroomId,
        seq: i64,
    },
    RoomUpdated(Chatroom),
    /// The room is gone, or the person whose rooms they were; nothing follows.
    Gone,
}
