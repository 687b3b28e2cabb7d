//! Reading messages: what the database says, and the text so far of what is being written.

use super::{Chatroom, Message, Status, alternatives, attachments, sql};
use crate::app::App;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::{self, On, Reader};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("no such chatroom")]
    NoSuchRoom,
    #[error("no such message")]
    NoSuchMessage,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A part of the current branch, by `seq`, both bounds excluded.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub above: i64,
    pub below: i64,
    pub oldest_first: bool,
    pub most: i64,
}

/// One message of a room of the caller's.
pub async fn message(app: &App, owner: UserId, room: ChatroomId, id: MessageId) -> Result<Message, ReadError> {
    message_and_rev(app, owner, room, id).await.map(|(message, _)| message)
}

pub(super) async fn message_and_rev(
    app: &App,
    owner: UserId,
    room: ChatroomId,
    id: MessageId,
) -> Result<(Message, i64), ReadError> {
    let mut reader = app.store.read().await?;
    let rev = sql::room(&mut reader, owner, room).await?.ok_or(ReadError::NoSuchRoom)?.rev;
    let message = sql::message(&mut reader, room, id).await?.ok_or(ReadError::NoSuchMessage)?;
    let mut message = with_live_text(app, &mut reader, message).await?;
    alternatives::add(&mut reader, std::slice::from_mut(&mut message)).await?;
    attachments::add(&mut reader, std::slice::from_mut(&mut message)).await?;
    Ok((message, rev))
}

/// Messages of a room of the caller's. `after` is a message to begin behind.
pub async fn messages(
    app: &App,
    owner: UserId,
    room: ChatroomId,
    after: Option<MessageId>,
    slice: Slice,
) -> Result<Vec<Message>, ReadError> {
    let mut reader = app.store.read().await?;
    sql::room(&mut reader, owner, room).await?.ok_or(ReadError::NoSuchRoom)?;
    let above = match after {
        None => slice.above,
        Some(id) => {
            let after = sql::message(&mut reader, room, id).await?.ok_or(ReadError::NoSuchMessage)?;
            slice.above.max(after.seq)
        }
    };
    Ok(read_slice(app, &mut reader, room, Slice { above, ..slice }).await?)
}

/// A room of the caller's with its newest messages, newest first.
pub async fn room_with_messages(
    app: &App,
    owner: UserId,
    room: ChatroomId,
    most: i64,
) -> Result<(Chatroom, Vec<Message>), ReadError> {
    let mut reader = app.store.read().await?;
    let newest = Slice { above: 0, below: i64::MAX, oldest_first: false, most };
    loop {
        let found = sql::room(&mut reader, owner, room).await?.ok_or(ReadError::NoSuchRoom)?;
        let messages = read_slice(app, &mut reader, room, newest).await?;
        // Live events go on from the room's rev: it has to be that of these very messages.
        if sql::room(&mut reader, owner, room).await?.is_some_and(|now| now.rev == found.rev) {
            return Ok((found, messages));
        }
    }
}

async fn read_slice(app: &App, reader: &mut Reader, room: ChatroomId, slice: Slice) -> store::Result<Vec<Message>> {
    let Slice { above, below, oldest_first, most } = slice;
    let found = if oldest_first {
        sql::oldest_first(reader, room, above, below, most).await?
    } else {
        sql::newest_first(reader, room, above, below, most).await?
    };
    let mut messages = Vec::with_capacity(found.len());
    for message in found {
        messages.push(with_live_text(app, reader, message).await?);
    }
    alternatives::add(reader, &mut messages).await?;
    attachments::add(reader, &mut messages).await?;
    Ok(messages)
}

/// About how long until a reply that waits is written, unless it waits for a moment that is known.
pub(super) fn estimate_wait(app: &App, message: &mut Message) {
    let position =
        message.position.filter(|_| message.retry_at.is_none()).and_then(|position| u64::try_from(position).ok());
    message.eta_seconds = position.zip(app.live.answers_take()).map(|(position, each)| {
        position.saturating_mul(u64::try_from(each.as_millis()).unwrap_or(u64::MAX)).div_ceil(1000)
    });
}

/// Adds the text so far. When there is none although the reply is being written, it may have ended between the two
/// looks: then the database has it, and a reader who saw its text must not see it vanish.
async fn with_live_text(app: &App, on: &mut impl On, mut message: Message) -> store::Result<Message> {
    estimate_wait(app, &mut message);
    for _ in 0..2 {
        if message.status != Status::Generating {
            break;
        }
        match app.live.read(message.id) {
            Some(writing) if writing.attempt >= message.attempt => {
                message.content = writing.text;
                message.attempt = writing.attempt;
                break;
            }
            _ => match sql::message(on, message.chatroom_id, message.id).await? {
                Some(newer) => message = newer,
                None => break,
            },
        }
    }
    Ok(message)
}
