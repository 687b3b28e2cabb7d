//! Taking a job out of the queue that nobody has in hand.

use super::{Locked, sql};
use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId};
use crate::store::{Result, Tx};

/// How a lane's job stands. While its owner's row is locked a waiting one stays so, and one in hand is not ended.
#[derive(Debug)]
pub enum Standing {
    Waiting(Waiter),
    /// Somebody holds it, though the lease may have lapsed.
    InHand,
    /// It has ended, or never was.
    Over,
}

/// A job that waits: for its turn, or to be tried again.
#[derive(Debug)]
pub struct Waiter {
    id: JobId,
    lane: ChatroomId,
    is_head: bool,
    /// How often it was begun.
    pub attempt: i64,
}

/// Looks at a job of a lane.
pub async fn standing(tx: &mut Tx, _user: &Locked, id: JobId) -> Result<Standing> {
    Ok(match sql::state(tx, id).await? {
        Some((state, attempt, is_head, Some(lane))) if state == "queued" => {
            Standing::Waiting(Waiter { id, lane, is_head, attempt })
        }
        Some((state, ..)) if state == "running" => Standing::InHand,
        _ => Standing::Over,
    })
}

/// Whether a job is still to be done, or being done.
pub async fn is_ahead(tx: &mut Tx, id: JobId) -> Result<bool> {
    Ok(matches!(sql::state(tx, id).await?, Some((state, ..)) if state == "queued" || state == "running"))
}

/// Ends a waiting job undone and lets the next of its lane come forward.
pub async fn withdraw(tx: &mut Tx, user: &Locked, waiter: &Waiter, now: Moment) -> Result<()> {
    sql::withdraw(tx, waiter.id, now).await?;
    // Behind a head there may be one with a lower place: a reply that an operator put back.
    if waiter.is_head {
        sql::promote(tx, waiter.lane).await?;
    }
    sql::release(tx, user.user_id, 0).await
}
