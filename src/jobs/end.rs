//! A job's end, or its return to the queue: always where `attempt` and holder are still ours, else [`EndError::Lost`].

use super::{Claim, EndError, Locked, sql};
use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId, NodeId};
use crate::store::{self, Tx};

/// Ends a lane's job and lets the next of the lane come forward.
pub async fn finish(tx: &mut Tx, user: &Locked, holder: NodeId, claim: &Claim, now: Moment) -> Result<(), EndError> {
    if !sql::end(tx, holder, claim, "done", "", now).await? {
        return Err(EndError::Lost);
    }
    if let Some((_, lane)) = claim.lane {
        sql::promote(tx, lane).await?;
    }
    sql::release(tx, user.user_id, 1).await?;
    Ok(())
}

/// Puts a lane's job back after a passing fault, due again at `due`; it keeps its place at the head of its lane. `note`
/// says why it waits; a job without one would not wait.
pub async fn retry(
    tx: &mut Tx,
    user: &Locked,
    holder: NodeId,
    claim: &Claim,
    due: Moment,
    note: &str,
) -> Result<(), EndError> {
    put_back(tx, user, holder, claim, due, 1, note).await
}

/// Puts a lane's job back that cannot be done before `due`, by no fault of its own.
pub async fn wait(
    tx: &mut Tx,
    user: &Locked,
    holder: NodeId,
    claim: &Claim,
    due: Moment,
    note: &str,
) -> Result<(), EndError> {
    put_back(tx, user, holder, claim, due, 0, note).await
}

/// Puts a lane's job back because this process ends: neither a fault nor a crash.
pub async fn hand_back(tx: &mut Tx, user: &Locked, holder: NodeId, claim: &Claim, now: Moment) -> Result<(), EndError> {
    put_back(tx, user, holder, claim, now, 0, "").await
}

async fn put_back(
    tx: &mut Tx,
    user: &Locked,
    holder: NodeId,
    claim: &Claim,
    due: Moment,
    faults: i64,
    note: &str,
) -> Result<(), EndError> {
    if !sql::put_back(tx, holder, claim, due, faults, note).await? {
        return Err(EndError::Lost);
    }
    sql::release(tx, user.user_id, 1).await?;
    Ok(())
}

/// Removes all that waits or runs in a lane that is about to go; whoever runs it finds out at its next renewal.
pub async fn drop_lane(tx: &mut Tx, user: &Locked, lane: ChatroomId) -> store::Result<()> {
    let running = sql::delete_lane(tx, lane).await?;
    sql::release(tx, user.user_id, running).await
}

/// Ends a job of the house; with a note it is parked, to be looked at.
pub async fn finish_house(tx: &mut Tx, holder: NodeId, claim: &Claim, note: &str, now: Moment) -> Result<(), EndError> {
    let state = if note.is_empty() { "done" } else { "parked" };
    if sql::end(tx, holder, claim, state, note, now).await? { Ok(()) } else { Err(EndError::Lost) }
}

/// Says that a job of the house is still ours, for what is written with it before its end.
pub async fn hold(tx: &mut Tx, holder: NodeId, claim: &Claim) -> Result<(), EndError> {
    if sql::is_held(tx, holder, claim).await? { Ok(()) } else { Err(EndError::Lost) }
}

/// Removes a job of the house, done, with whatever it named.
pub async fn forget_house(tx: &mut Tx, id: JobId) -> Result<(), EndError> {
    Ok(sql::delete_house(tx, id).await?)
}

/// Puts a job of the house back after a passing fault.
pub async fn retry_house(tx: &mut Tx, holder: NodeId, claim: &Claim, due: Moment, note: &str) -> Result<(), EndError> {
    if sql::put_back(tx, holder, claim, due, 1, note).await? { Ok(()) } else { Err(EndError::Lost) }
}

/// Puts a job of the house back that was done and is to be done again at `due`: whatever it met counts no more.
pub async fn wait_house(tx: &mut Tx, holder: NodeId, claim: &Claim, due: Moment) -> Result<(), EndError> {
    if sql::begin_anew(tx, holder, claim, due).await? { Ok(()) } else { Err(EndError::Lost) }
}
