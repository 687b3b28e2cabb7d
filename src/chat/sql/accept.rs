//! Taking a message in: the room's place, what is written there, and how the room moves on.

use crate::chat::{Message, Revs, Role, Status};
use crate::clock::Moment;
use crate::execute;
use crate::fetch_optional;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::{Result, Tx};

/// Where a room stands: what the next message hangs on.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::chat) struct Place {
    pub head: Option<MessageId>,
    pub next_seq: i64,
    pub model: Option<String>,
    pub system_instruction: Option<String>,
}

/// A message or a reply about to be written, by what it hangs on.
#[derive(Clone, Copy, Debug)]
pub(in crate::chat) struct NewMessage {
    pub id: MessageId,
    pub room: ChatroomId,
    pub parent: Option<MessageId>,
    pub seq: i64,
    pub rev: i64,
    pub now: Moment,
    /// How many files it carries.
    pub files: i64,
}

impl NewMessage {
    /// What [`insert_pair`] or [`insert_reply`] makes of it, without reading it back; a reply has no text yet.
    pub(in crate::chat) fn as_inserted(&self, text: Option<&str>) -> Message {
        Message {
            id: self.id,
            chatroom_id: self.room,
            seq: self.seq,
            parent_id: self.parent,
            is_current: true,
            alternatives: Vec::new(),
            files: self.files,
            attachments: Vec::new(),
            role: if text.is_some() { Role::User } else { Role::Model },
            content: text.unwrap_or_default().to_owned(),
            status: if text.is_some() { Status::Sent } else { Status::Queued },
            created_at: self.now,
            completed_at: None,
            finish_reason: None,
            model: None,
            fallback_for: None,
            thoughts: None,
            usage: None,
            error: None,
            retry_at: None,
            position: None,
            eta_seconds: None,
            attempt: 0,
            charged: None,
            revs: Revs { made: self.rev, ended: None, last: self.rev },
        }
    }
}

/// The room, when it is this person's. Its owner's queue row is locked already, and with it all of their rooms.
pub(in crate::chat) async fn lock_room(tx: &mut Tx, owner: UserId, room: ChatroomId) -> Result<Option<Place>> {
    fetch_optional!(
        tx,
        Place,
        "select head, next_seq, model, system_instruction from chatrooms where id = $1 and owner = $2",
        room,
        owner
    )
}

/// A message of a person's, and its reply right behind it.
pub(in crate::chat) async fn insert_pair(
    tx: &mut Tx,
    message: &NewMessage,
    text: &str,
    reply: &NewMessage,
) -> Result<()> {
    execute!(
        tx,
        "insert into messages (id, chatroom_id, seq, parent_id, current, role, content, status, created_at, attempt, charged_day,
                               made_rev, rev, files)
         values ($1, $2, $3, $4, true, 'user', $5, 'sent', $6, 0, null, $9, $9, $10),
                ($7, $2, $3 + 1, $1, true, 'model', '', 'queued', $6, 0, $8, $9, $9, 0)",
        message.id,
        message.room,
        message.seq,
        message.parent,
        text,
        message.now,
        reply.id,
        message.now.day(),
        message.rev,
        message.files
    )?;
    Ok(())
}

/// Another reply to a message that is there.
pub(in crate::chat) async fn insert_reply(tx: &mut Tx, reply: &NewMessage) -> Result<()> {
    execute!(
        tx,
        "insert into messages (id, chatroom_id, seq, parent_id, current, role, content, status, created_at, attempt, charged_day,
                               made_rev, rev)
         values ($1, $2, $3, $4, true, 'model', '', 'queued', $5, 0, $6, $7, $7)",
        reply.id,
        reply.room,
        reply.seq,
        reply.parent,
        reply.now,
        reply.now.day(),
        reply.rev
    )?;
    Ok(())
}

/// The new reply becomes the room's newest.
pub(in crate::chat) async fn advance_room(tx: &mut Tx, reply: &NewMessage) -> Result<()> {
    execute!(
        tx,
        "update chatrooms set head = $2, next_seq = $3, rev = $4, last_message_at = $5, active_at = $5 where id = $1",
        reply.room,
        reply.id,
        reply.seq + 1,
        reply.rev,
        reply.now
    )?;
    Ok(())
}
