//! What was said in deleted rooms goes a batch at a time, so that nobody who writes waits long behind it. A deleted room
//! is nobody's from the first transaction on; one whose messages were not all removed then (the process died, the client
//! went away) is found by that, and swept.

use super::{attachments, sql};
use crate::app::App;
use crate::ids::ChatroomId;
use crate::store;

/// Messages that go in one transaction at most: taking one out of the search's index costs more than the message itself.
const MESSAGES_AT_ONCE: u32 = 100;
/// How many rooms are looked up at a time.
const ROOMS_AT_ONCE: i64 = 100;

/// Removes a room that is nobody's, with all that was said in it; how many messages went. Safe to repeat.
pub(super) async fn clear_room(app: &App, room: ChatroomId) -> store::Result<u64> {
    let batch = app.settings.retention.batch.min(MESSAGES_AT_ONCE);
    clear_files(app, room, batch).await?;
    let mut cleared = 0;
    loop {
        let cut = crate::transaction!(app.store, |tx| {
            let gone = sql::delete_messages(tx, room, i64::from(batch)).await?;
            // While somebody else clears it, too, a batch that is not full does not say that there is no more.
            let is_clear = gone < u64::from(batch) && sql::delete_empty_room(tx, room).await?;
            Ok::<_, store::Error>((gone, is_clear))
        });
        let (gone, is_clear) = cut?;
        cleared += gone;
        if is_clear {
            return Ok(cleared);
        }
        if gone < u64::from(batch) {
            clear_files(app, room, batch).await?;
        }
    }
}

/// Removes the files that were sent there: their rows in small transactions, each followed by its objects.
async fn clear_files(app: &App, room: ChatroomId, batch: u32) -> store::Result<()> {
    loop {
        let now = app.clock.now();
        let gone = crate::transaction!(app.store, |tx| { attachments::clear(tx, room, batch, now).await })?;
        attachments::drop_objects(app, &gone).await;
        if gone.len() < batch as usize {
            return Ok(());
        }
    }
}

/// Removes what is left of deleted rooms; how many messages went.
pub async fn sweep_deleted(app: &App) -> store::Result<u64> {
    let mut cleared = 0;
    loop {
        let rooms = sql::room_ids(&mut app.store.read().await?, sql::NOBODY, ROOMS_AT_ONCE).await?;
        if rooms.is_empty() {
            return Ok(cleared);
        }
        for room in rooms {
            cleared += clear_room(app, room).await?;
        }
    }
}
