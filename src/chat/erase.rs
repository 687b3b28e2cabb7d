//! All of a person's rooms at once, when their account goes.

use super::rooms::{RoomError, delete_room};
use super::{clear, sql};
use crate::app::App;
use crate::ids::UserId;
use crate::store::{self, On, Tx};

/// How many rooms are looked up at a time.
const ROOMS_AT_ONCE: i64 = 100;

/// How much somebody said and was told.
#[derive(Clone, Copy, Debug)]
pub struct RoomCounts {
    pub chatrooms: i64,
    pub messages: i64,
    pub attachments: i64,
}

pub async fn count_rooms(on: &mut impl On, owner: UserId) -> store::Result<RoomCounts> {
    let (chatrooms, messages, attachments) = sql::count_rooms(on, owner).await?;
    Ok(RoomCounts { chatrooms, messages, attachments })
}

/// Deletes all rooms of a person, one transaction each, so that nobody waits long behind it.
pub async fn delete_rooms(app: &App, owner: UserId) -> Result<(), RoomError> {
    loop {
        let rooms = sql::room_ids(&mut app.store.read().await?, owner, ROOMS_AT_ONCE).await?;
        if rooms.is_empty() {
            // An erasure that was cut short may have left some of a room.
            clear::sweep_deleted(app).await?;
            return Ok(());
        }
        for room in rooms {
            match delete_room(app, owner, room).await {
                // Its owner was quicker.
                Ok(()) | Err(RoomError::NoSuchRoom) => {}
                Err(other) => return Err(other),
            }
        }
    }
}

/// Whether a person has a room, asked in the transaction that makes an end of them.
pub async fn has_rooms(tx: &mut Tx, owner: UserId) -> store::Result<bool> {
    Ok(!sql::room_ids(tx, owner, 1).await?.is_empty())
}
