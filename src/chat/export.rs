//! Reading whole conversations, every branch, a page at a time, so that no export holds more than a page.

use super::{Attachment, Chatroom, Message, alternatives, attachments, sql};
use crate::app::App;
use crate::ids::{AttachmentId, ChatroomId, UserId};
use crate::store;

/// Messages and rooms read at a time.
const PAGE: i64 = 50;

/// Some of a person's rooms, archived ones too, the oldest first, behind one of them; none at the end.
pub async fn rooms_after(app: &App, owner: UserId, after: Option<ChatroomId>) -> store::Result<Vec<Chatroom>> {
    let after = after.unwrap_or(ChatroomId(uuid::Uuid::nil()));
    sql::all_rooms(&mut app.store.read().await?, owner, after, PAGE).await
}

/// Some of a room's files, also those that no message carries, in the order of their ids, behind one of them; none at the end.
pub async fn attachments_after(
    app: &App,
    room: ChatroomId,
    after: Option<AttachmentId>,
) -> store::Result<Vec<Attachment>> {
    let after = after.unwrap_or(AttachmentId(uuid::Uuid::nil()));
    attachments::of_room(&mut app.store.read().await?, room, after, PAGE).await
}

/// Some of a room's messages, those on branches that were left too, in the room's order, behind a `seq`; none at the end.
/// None when the room is not this person's any more.
pub async fn messages_after(
    app: &App,
    owner: UserId,
    room: ChatroomId,
    seq: i64,
) -> store::Result<Option<Vec<Message>>> {
    let mut reader = app.store.read().await?;
    if sql::room(&mut reader, owner, room).await?.is_none() {
        return Ok(None);
    }
    let mut messages = sql::all_messages(&mut reader, room, seq, PAGE).await?;
    alternatives::add(&mut reader, &mut messages).await?;
    attachments::add(&mut reader, &mut messages).await?;
    Ok(Some(messages))
}

/// The same of the current branch alone, behind one of its messages. None also when that is not on it any more.
pub async fn branch_after(
    app: &App,
    owner: UserId,
    room: ChatroomId,
    after: Option<&Message>,
) -> store::Result<Option<Vec<Message>>> {
    let mut reader = app.store.read().await?;
    if sql::room(&mut reader, owner, room).await?.is_none() {
        return Ok(None);
    }
    let above = after.map_or(0, |after| after.seq);
    let mut messages = sql::oldest_first(&mut reader, room, above, i64::MAX, PAGE).await?;
    attachments::add(&mut reader, &mut messages).await?;
    if let Some(after) = after {
        let now = sql::message(&mut reader, room, after.id).await?;
        if now.is_none_or(|now| !now.is_current) {
            return Ok(None);
        }
    }
    Ok(Some(messages))
}
