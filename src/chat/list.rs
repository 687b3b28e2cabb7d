//! The room list, cached under the user's `rooms_rev`: every write of theirs raises it, so no entry can be older than
//! what they last wrote, on whichever node.

use bytes::Bytes;

use super::{Chatroom, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{ChatroomId, UserId};
use crate::store;

/// Which part of whose list, at which revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomList {
    pub owner: UserId,
    pub rooms_rev: i64,
    pub archived: bool,
    pub after: Option<(Moment, ChatroomId)>,
    pub most: i64,
}

/// The rooms, made into bytes by `render` once per revision; true when they were there already.
pub async fn list_rooms(
    app: &App,
    wanted: RoomList,
    render: impl FnOnce(Vec<Chatroom>) -> Vec<u8>,
) -> store::Result<(Bytes, bool)> {
    let key = (wanted.owner, wanted.rooms_rev, wanted.archived, wanted.after, wanted.most);
    if let Some(kept) = app.room_lists.get(&key) {
        return Ok((kept, true));
    }
    let RoomList { owner, archived, after, most, .. } = wanted;
    // Apart, because a list that is kept need not carry room for it.
    let rooms =
        Box::pin(async { sql::rooms(&mut app.store.read().await?, owner, archived, after, most).await }).await?;
    let bytes: Bytes = render(rooms).into();
    app.room_lists.insert(key, bytes.clone());
    Ok((bytes, false))
}
