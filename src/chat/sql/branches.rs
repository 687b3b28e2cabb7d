//! Branches: which messages are current, what hangs beside what, and what is wanted no more.

use uuid::Uuid;

use crate::clock::Moment;
use crate::ids::{ChatroomId, MessageId};
use crate::store::sql::{Fork, Ids};
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_optional};

/// From message `$1` up to its nearest ancestor on the current branch, both included.
macro_rules! chain {
    ($rest:literal) => {
        concat!(
            "with recursive chain (id, parent_id, seq, is_current) as (
                 select id, parent_id, seq, current from messages where id = $1
                 union all
                 select m.id, m.parent_id, m.seq, m.current from chain c join messages m on m.id = c.parent_id
                 where not c.is_current) ",
            $rest
        )
    };
}

/// The `seq` of the nearest ancestor of a message, or its own, that lies on the current branch; 0: the room's beginning.
pub(in crate::chat) async fn fork_seq(tx: &mut Tx, message: MessageId) -> Result<i64> {
    let row = fetch_optional!(tx, (i64,), chain!("select seq from chain where is_current"), message)?;
    Ok(row.map_or(0, |(seq,)| seq))
}

/// Takes what lies behind `fork` off the current branch; the replies among it that have not ended.
pub(in crate::chat) async fn leave_branch(
    tx: &mut Tx,
    room: ChatroomId,
    fork: i64,
    rev: i64,
) -> Result<Vec<MessageId>> {
    let left = fetch_all!(
        tx,
        (MessageId, String),
        "update messages set current = false, rev = $3 where chatroom_id = $1 and current and seq > $2 returning id, status",
        room,
        fork,
        rev
    )?;
    Ok(left.into_iter().filter(|(_, status)| status == "queued").map(|(id, _)| id).collect())
}

/// Puts a message and its ancestors on the current branch.
pub(in crate::chat) async fn take_up_branch(tx: &mut Tx, message: MessageId, rev: i64) -> Result<()> {
    execute!(
        tx,
        concat!(
            "update messages set current = true, rev = $2 where not current and id in (",
            chain!("select id from chain"),
            ")"
        ),
        message,
        rev
    )?;
    Ok(())
}

/// Bound as lists of ids are: an array to one engine, JSON to the other.
const LEFT: Fork = Fork {
    sqlite: "select coalesce(parent_id, chatroom_id), id, seq from messages
             where coalesce(parent_id, chatroom_id) in (select unhex(value) from json_each($1)) and not current order by seq",
    postgres: "select coalesce(parent_id, chatroom_id), id, seq from messages
               where coalesce(parent_id, chatroom_id) = any ($1) and not current order by seq",
};

/// What hangs on these (messages, or the room for what has no parent) beside the current branch, oldest first: what it
/// hangs on, id, `seq`.
pub(in crate::chat) async fn left(on: &mut impl On, places: &Ids) -> Result<Vec<(Uuid, MessageId, i64)>> {
    fetch_all!(on, (Uuid, MessageId, i64), LEFT, places)
}

/// What hangs on `parent` (None: the room itself) on the current branch: id and `seq`. It is the first of the branch
/// behind the parent, or nothing there is.
pub(in crate::chat) async fn current_child(
    on: &mut impl On,
    room: ChatroomId,
    parent: Option<MessageId>,
) -> Result<Option<(MessageId, i64)>> {
    let next = fetch_optional!(
        on,
        (MessageId, i64, Option<MessageId>),
        "select id, seq, parent_id from messages
         where chatroom_id = $1 and current and seq > coalesce((select seq from messages where id = $2), 0)
         order by seq limit 1",
        room,
        parent
    )?;
    Ok(next.filter(|(_, _, of)| *of == parent).map(|(id, seq, _)| (id, seq)))
}

/// Notes that a reply which is being written is wanted no more.
pub(in crate::chat) async fn request_cancel(tx: &mut Tx, reply: MessageId, now: Moment) -> Result<()> {
    execute!(
        tx,
        "update messages set cancel_requested_at = coalesce(cancel_requested_at, $2) where id = $1 and status = 'queued'",
        reply,
        now
    )?;
    Ok(())
}

pub(in crate::chat) async fn is_cancel_requested(tx: &mut Tx, reply: MessageId) -> Result<bool> {
    let row = fetch_optional!(
        tx,
        (bool,),
        "select cancel_requested_at is not null from messages where id = $1 and status = 'queued'",
        reply
    )?;
    Ok(row.is_some_and(|(is_requested,)| is_requested))
}

/// Every reply that is being written somewhere and wanted no more.
pub(in crate::chat) async fn to_cancel(on: &mut impl On) -> Result<Vec<MessageId>> {
    let rows = fetch_all!(
        on,
        (MessageId,),
        "select id from messages where cancel_requested_at is not null and status = 'queued'"
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
