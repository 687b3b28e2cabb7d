//! Every statement about objects that are to be deleted.

use crate::clock::Moment;
use crate::ids::AttachmentId;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all};

pub(super) async fn insert(tx: &mut Tx, id: AttachmentId, due: Moment) -> Result<()> {
    execute!(
        tx,
        "insert into objects_to_delete (id, due_at, tries) values ($1, $2, 0) on conflict (id) do nothing",
        id,
        due
    )?;
    Ok(())
}

/// Ids, and how often it was tried.
pub(super) async fn due(on: &mut impl On, now: Moment, most: u32) -> Result<Vec<(AttachmentId, i64)>> {
    fetch_all!(
        on,
        (AttachmentId, i64),
        "select id, tries from objects_to_delete where due_at <= $1 order by due_at, id limit $2",
        now,
        i64::from(most)
    )
}

pub(super) async fn forget(tx: &mut Tx, id: AttachmentId) -> Result<()> {
    execute!(tx, "delete from objects_to_delete where id = $1", id)?;
    Ok(())
}

pub(super) async fn put_off(tx: &mut Tx, id: AttachmentId, due: Moment) -> Result<()> {
    execute!(tx, "update objects_to_delete set due_at = $2, tries = tries + 1 where id = $1", id, due)?;
    Ok(())
}
