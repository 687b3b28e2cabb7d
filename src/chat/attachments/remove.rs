//! Files go: the row first, in one transaction with the word that the object is to follow, the object after.

use super::{AttachmentError, sql};
use crate::app::App;
use crate::chat::sql::lock_room;
use crate::clock::Moment;
use crate::files::{self, Discarded};
use crate::ids::{AttachmentId, ChatroomId, UserId};
use crate::jobs;
use crate::store::{self, Tx};

/// Removes a file that no message carries.
pub async fn remove(app: &App, owner: UserId, room: ChatroomId, id: AttachmentId) -> Result<(), AttachmentError> {
    let now = app.clock.now();
    let gone = crate::transaction!(app.store, |tx| {
        jobs::lock(tx, owner).await?.ok_or(AttachmentError::NoSuchRoom)?;
        lock_room(tx, owner, room).await?.ok_or(AttachmentError::NoSuchRoom)?;
        sql::find(tx, owner, room, id).await?.ok_or(AttachmentError::NoSuchAttachment)?;
        let gone = sql::delete_unused(tx, id).await?.ok_or(AttachmentError::InUse)?;
        files::discard(tx, &[gone], now).await?;
        Ok::<_, AttachmentError>(gone)
    })?;
    drop_objects(app, &[gone]).await;
    Ok(())
}

/// Removes rows of a room that is nobody's, at most so many, and notes that their objects are to follow.
pub(in crate::chat) async fn clear(
    tx: &mut Tx,
    room: ChatroomId,
    most: u32,
    now: Moment,
) -> store::Result<Vec<Discarded>> {
    let gone = sql::delete_of_room(tx, room, most).await?;
    files::discard(tx, &gone, now).await?;
    Ok(gone)
}

/// Removes what no message has carried since before then; how many rows went, at most so many. Those whose upload was cut by
/// a dead process are among them.
pub async fn sweep_unused(app: &App, before: Moment, most: u32) -> store::Result<u64> {
    let now = app.clock.now();
    let gone = crate::transaction!(app.store, |tx| {
        let gone = sql::delete_old_unused(tx, before, most).await?;
        files::discard(tx, &gone, now).await?;
        Ok::<_, store::Error>(gone)
    })?;
    drop_objects(app, &gone).await;
    Ok(gone.len() as u64)
}

/// Deletes objects whose rows are gone, right after the commit. What cannot be deleted now stays in the outbox, as does
/// what may come into the store late.
pub(in crate::chat) async fn drop_objects(app: &App, gone: &[Discarded]) {
    for object in gone {
        if let Err(cause) = app.files.delete(object.id).await {
            // Nor would the others go: nobody waits for that.
            tracing::warn!(%cause, object = %object.id, "objects wait to be deleted");
            return;
        }
        if object.is_stored
            && let Err(cause) = files::forget(&app.store, object.id).await
        {
            tracing::debug!(%cause, "an object that is gone will be looked for again");
        }
    }
}
