//! Sessions: one row per device that is or was signed in.

use crate::auth::{Device, Session};
use crate::clock::Moment;
use crate::ids::{SessionId, UserId};
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all};

pub(in crate::auth) async fn insert_session(
    tx: &mut Tx,
    id: SessionId,
    user: UserId,
    device: &Device,
    now: Moment,
    expires_at: Moment,
) -> Result<()> {
    execute!(
        tx,
        "insert into sessions (id, user_id, created_at, last_seen_at, expires_at, generation, used_generation,
             user_agent, address)
         values ($1, $2, $3, $3, $4, 1, 0, $5, $6)",
        id,
        user,
        now,
        expires_at,
        device.user_agent.as_deref(),
        &device.address
    )?;
    Ok(())
}

/// Something of a generation was used.
pub(in crate::auth) async fn note_use(tx: &mut Tx, session: SessionId, generation: i64, now: Moment) -> Result<()> {
    execute!(
        tx,
        "update sessions set last_seen_at = $3,
             used_generation = case when used_generation < $2 then $2 else used_generation end
         where id = $1 and ended_at is null",
        session,
        generation,
        now
    )?;
    Ok(())
}

/// Moves a living session from `generation` to the next; false when it has moved on, ended or expired already.
pub(in crate::auth) async fn advance(
    tx: &mut Tx,
    session: SessionId,
    generation: i64,
    now: Moment,
    expires_at: Moment,
) -> Result<bool> {
    // A database restored from a backup may be behind the newest token: that one is taken as well.
    let changed = execute!(
        tx,
        "update sessions set generation = $2 + 1, last_seen_at = $3, expires_at = $4
         where id = $1 and generation <= $2 and ended_at is null and expires_at > $3",
        session,
        generation,
        now,
        expires_at
    )?;
    Ok(changed == 1)
}

/// Ends one session of a user; false when they have no such living session.
pub(in crate::auth) async fn end_session(tx: &mut Tx, user: UserId, id: SessionId, now: Moment) -> Result<bool> {
    let changed = execute!(
        tx,
        "update sessions set ended_at = $3, expires_at = $3
         where id = $1 and user_id = $2 and ended_at is null and expires_at > $3",
        id,
        user,
        now
    )?;
    Ok(changed == 1)
}

/// Ends a user's sessions but the one to keep; how many there were.
pub(in crate::auth) async fn end_sessions(
    tx: &mut Tx,
    user: UserId,
    keep: Option<SessionId>,
    now: Moment,
) -> Result<u64> {
    execute!(
        tx,
        "update sessions set ended_at = $3, expires_at = $3
         where user_id = $1 and id <> $2 and ended_at is null and expires_at > $3",
        user,
        keep.unwrap_or(SessionId(uuid::Uuid::nil())),
        now
    )
}

pub(in crate::auth) async fn delete_sessions(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(tx, "delete from sessions where user_id = $1", user)?;
    Ok(())
}

/// A user's living sessions, the newest first, older than `before`.
pub(in crate::auth) async fn sessions(
    on: &mut impl On,
    user: UserId,
    before: SessionId,
    now: Moment,
    limit: i64,
) -> Result<Vec<Session>> {
    fetch_all!(
        on,
        Session,
        "select id, created_at, last_seen_at, user_agent, address from sessions
         where user_id = $1 and id < $2 and ended_at is null and expires_at > $3
         order by id desc limit $4",
        user,
        before,
        now,
        limit
    )
}

pub(in crate::auth) async fn sweep_sessions(tx: &mut Tx, before: Moment, batch: i64) -> Result<u64> {
    execute!(
        tx,
        "delete from sessions where id in (select id from sessions where expires_at < $1 limit $2)",
        before,
        batch
    )
}
