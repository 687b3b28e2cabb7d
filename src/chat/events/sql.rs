//! The statements of live events.

use super::Follows;
use crate::chat::Chatroom;
use crate::chat::sql::chatrooms;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::{On, Result};
use crate::{fetch_all, fetch_optional};

/// When a message was made, ended and changed last, without its text.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Trace {
    pub id: MessageId,
    pub chatroom_id: ChatroomId,
    pub seq: i64,
    pub made_rev: i64,
    pub ended_rev: Option<i64>,
    pub rev: i64,
    /// A reply without its end.
    pub is_open: bool,
    /// Whether it lies on the current branch.
    pub is_current: bool,
}

/// How far a person's changes are, and of a room of theirs the last that changed it, the last that changed what it shows, and the
/// reply at the head of its lane.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Standing {
    pub newest: i64,
    pub room: Option<i64>,
    pub shown: Option<i64>,
    pub head: Option<MessageId>,
}

/// None when the person is gone.
pub(super) async fn standing(on: &mut impl On, owner: UserId, room: Option<ChatroomId>) -> Result<Option<Standing>> {
    fetch_optional!(
        on,
        Standing,
        "select q.rev as newest, r.rev as room, r.shown_rev as shown,
                (select id from jobs where lane = r.id and head and finished_at is null) as head
         from queue_users q left join chatrooms r on r.id = $2 and r.owner = q.user_id where q.user_id = $1",
        owner,
        room
    )
}

/// Replies at the head of their lanes in all rooms of a person: those that may be being written.
pub(super) async fn heads(on: &mut impl On, owner: UserId) -> Result<Vec<Head>> {
    fetch_all!(
        on,
        Head,
        "select id, lane from jobs where owner = $1 and head and finished_at is null and lane is not null",
        owner
    )
}

#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Head {
    pub id: MessageId,
    #[sqlx(rename = "lane")]
    pub room: ChatroomId,
}

macro_rules! traces {
    ($rest:literal) => {
        concat!(
            "select id, chatroom_id, seq, made_rev, ended_rev, rev, status = 'queued' as is_open, current as is_current from messages where ",
            $rest
        )
    };
}

/// What changed after `rev`, in any order, `most` of it. Of one reply also what else the transaction did that `promised` it.
pub(super) async fn traces(
    on: &mut impl On,
    owner: UserId,
    (what, promised): (Follows, Option<i64>),
    rev: i64,
    most: i64,
) -> Result<Vec<Trace>> {
    match what {
        Follows::Room(room) => {
            fetch_all!(on, Trace, traces!("chatroom_id = $1 and rev > $2 limit $3"), room, rev, most)
        }
        Follows::Reply { room, question, reply } => fetch_all!(
            on,
            Trace,
            traces!("(id in ($1, $2) and rev > $3) or (chatroom_id = $4 and rev = $5) limit $6"),
            question,
            reply,
            rev,
            room,
            promised,
            most
        ),
        Follows::Rooms => {
            fetch_all!(
                on,
                Trace,
                traces!(
                    "chatroom_id in (select id from chatrooms where owner = $1 and rev > $2) and rev > $2 limit $3"
                ),
                owner,
                rev,
                most
            )
        }
    }
}

/// Rooms whose name, model, instruction or place in the archive was changed after `rev`.
pub(super) async fn shown(on: &mut impl On, owner: UserId, what: Follows, rev: i64) -> Result<Vec<Chatroom>> {
    let room = match what {
        Follows::Reply { .. } => return Ok(Vec::new()),
        Follows::Room(room) => Some(room),
        Follows::Rooms => None,
    };
    let sql = chatrooms!("where owner = $1 and id = coalesce($2, id) and shown_rev > $3");
    fetch_all!(on, Chatroom, sql, owner, room, rev)
}

/// Rooms of a person that the transactions after `rev` changed, those of one or all.
pub(super) async fn changed_rooms(on: &mut impl On, owner: UserId, what: Follows, rev: i64) -> Result<Vec<ChatroomId>> {
    let sql = "select id from chatrooms where owner = $1 and id = coalesce($2, id) and rev > $3";
    let rows = fetch_all!(on, (ChatroomId,), sql, owner, what.room(), rev)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
