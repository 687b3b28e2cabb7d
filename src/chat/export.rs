//! Reading whole conversations, every branch, a page at a time, so that no export holds more than a page.

use super::{Chatroom, Message, sql};
use crate::app::App;
use crate::ids::{ChatroomId, UserId};
use crate::store;

/// Messages and rooms read at a time.
const PAGE: i64 = 50;

/// Some of a person's rooms, archived ones too, the oldest first, behind one of them; none at the end.
pub async fn rooms_after(app: &App, owner: UserId, after: Option<ChatroomId>) -> store::Result<Vec<Chatroom>> {
    let after = after.unwrap_or(ChatroomId(uuid::Uuid::nil()));
    sql::all_rooms(&mut app.store.read().await?, owner, after, PAGE).await
}

/// Some of a room's messages, those on branches that were left too, in the room's order, behind a `seq`; none at the end.
pub async fn messages_after(app: &App, room: ChatroomId, seq: i64) -> store::Result<Vec<Message>> {
    sql::all_messages(&mut app.store.read().await?, room, seq, PAGE).await
}

/// The same of the current branch alone.
pub async fn branch_after(app: &App, room: ChatroomId, seq: i64) -> store::Result<Vec<Message>> {
    sql::oldest_first(&mut app.store.read().await?, room, seq, i64::MAX, PAGE).await
}
