//! Objects whose rows are gone: noted in the transaction that deletes the row, deleted after it, until they are gone.

use std::time::Duration;

use super::{Files, SETTLED, sql};
use crate::clock::Moment;
use crate::ids::AttachmentId;
use crate::store::{self, Store, Tx};

/// Between two tries, times two for each that failed, at most so long.
const PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(6);

/// After so many that cannot be deleted the others are left for the next time: the place is down.
const MOST_FAILURES: u32 = 3;

/// An object that loses its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discarded {
    pub id: AttachmentId,
    /// False: it may still be on its way into the store, and be there after it was deleted.
    pub is_stored: bool,
}

/// Notes, in the transaction that deletes their rows, that these objects are to go.
pub async fn discard(tx: &mut Tx, objects: &[Discarded], now: Moment) -> store::Result<()> {
    for object in objects {
        let due = if object.is_stored { now } else { now.plus(SETTLED) };
        sql::insert(tx, object.id, due).await?;
    }
    Ok(())
}

/// An object is gone: nothing is left to do.
pub async fn forget(store: &Store, id: AttachmentId) -> store::Result<()> {
    crate::transaction!(store, |tx| { sql::forget(tx, id).await })
}

/// Deletes at most so many objects that are due; how many went. Those that cannot be deleted now are due again later.
/// Many may sweep at once: what is gone is gone.
pub async fn sweep(files: &Files, store: &Store, now: Moment, most: u32) -> store::Result<u64> {
    let due = sql::due(&mut store.read().await?, now, most).await?;
    let (mut gone, mut failures) = (0, 0);
    for (id, tries) in due {
        match files.delete(id).await {
            Ok(()) => {
                forget(store, id).await?;
                gone += 1;
            }
            Err(cause) => {
                tracing::warn!(%cause, object = %id, "an object that nobody has any more was not deleted yet");
                let pause = PAUSE.saturating_mul(1 << tries.clamp(0, 10)).min(LONGEST_PAUSE);
                crate::transaction!(store, |tx| { sql::put_off(tx, id, now.plus(pause)).await })?;
                failures += 1;
                if failures == MOST_FAILURES {
                    break;
                }
            }
        }
    }
    Ok(gone)
}
