//! Putting work into the queue, in the caller's transaction.

use super::{BASIC_WEIGHT, Job, PRO_WEIGHT, sql};
use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId, UserId};
use crate::store::{Result, Tx};

/// A person's row in the queue, locked until the transaction ends: nothing of theirs is claimed or ended meanwhile.
#[derive(Debug, sqlx::FromRow)]
pub struct Locked {
    pub user_id: UserId,
    pub vtime: i64,
    pub in_flight: i64,
    pub next_due: Option<Moment>,
    /// The number of this transaction among all of the person's, in the order of their commits.
    pub rev: i64,
    /// The least vtime among users with waiting work, by whether they can be claimed for now; and the persisted floor.
    least_claimable: Option<i64>,
    least_held: Option<i64>,
    floor: i64,
}

/// A job that waits in a lane.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub id: JobId,
    pub lane: ChatroomId,
    /// Place in the lane; higher than any before it.
    pub seq: i64,
    /// The attempts that were made before (an operator's retry goes on counting).
    pub attempt: i64,
}

/// Makes a person known to the queue, once, when the account is made.
pub async fn open_account(tx: &mut Tx, user: UserId, replies_at_once: u32) -> Result<()> {
    sql::insert_user(tx, user, BASIC_WEIGHT, i64::from(replies_at_once)).await
}

/// Makes the queue forget a person, with whatever still waits or runs for them; done when the account goes.
pub async fn close_account(tx: &mut Tx, user: UserId) -> Result<()> {
    sql::delete_user(tx, user).await
}

/// Sets a person's share of the queue by plan.
pub async fn set_weight(tx: &mut Tx, user: UserId, pro: bool, replies_at_once: u32) -> Result<()> {
    let weight = if pro { PRO_WEIGHT } else { BASIC_WEIGHT };
    sql::set_weight(tx, user, weight, i64::from(replies_at_once)).await
}

/// Sets how many replies Basic and Pro users have written at once.
pub async fn set_replies_at_once(tx: &mut Tx, basic: u32, pro: u32) -> Result<()> {
    sql::set_at_once(tx, BASIC_WEIGHT, i64::from(basic)).await?;
    sql::set_at_once(tx, PRO_WEIGHT, i64::from(pro)).await
}

/// Locks a person's row: the first statement of every transaction that changes their jobs.
/// None when there is no such person (any more).
pub async fn lock(tx: &mut Tx, user: UserId) -> Result<Option<Locked>> {
    sql::lock(tx, user).await
}

/// Adds a reply's job behind whatever waits in its lane; its place there, 1 for the next.
pub async fn enqueue(tx: &mut Tx, user: &Locked, waiting: Waiting, now: Moment) -> Result<i64> {
    let job = Job::Reply { id: crate::ids::MessageId(waiting.id.0) };
    let is_head = sql::insert_in_lane(tx, user.user_id, waiting, &job, now).await?;
    if !is_head {
        return sql::place_in_lane(tx, waiting.lane, waiting.seq).await;
    }
    // Whoever was idle starts where the queue stands, not where they left it long ago.
    let was_idle = user.next_due.is_none() && user.in_flight == 0;
    let least = user.least_claimable.into_iter().chain(user.least_held).min().unwrap_or(0);
    let vtime = if was_idle { user.vtime.max(least).max(user.floor) } else { user.vtime };
    let next_due = user.next_due.map_or(now, |due| due.min(now));
    sql::set_user(tx, user.user_id, vtime, next_due).await?;
    Ok(1)
}

/// Adds a job of the house, due at once.
pub async fn enqueue_house(tx: &mut Tx, job: &Job, now: Moment) -> Result<JobId> {
    enqueue_house_for(tx, job, now).await
}

/// Adds a job of the house that is due later.
pub async fn enqueue_house_for(tx: &mut Tx, job: &Job, due: Moment) -> Result<JobId> {
    let id = JobId::new(due);
    sql::insert_house(tx, id, job, due).await?;
    Ok(id)
}

/// Sees to it that the job of the house with this id is in the queue, due no later than this. One that runs is left alone,
/// one that ended is taken up again.
pub async fn keep_house(tx: &mut Tx, id: JobId, job: &Job, due: Moment) -> Result<()> {
    sql::keep_house(tx, id, job, due).await
}
