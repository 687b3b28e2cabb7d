//! The statements of live events.

use super::Follows;
use crate::chat::sql::{Row, messages};
use crate::chat::{Chatroom, Message};
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::sql::{Fork, Ids};
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
}

/// How far a person's changes are, and of a room of theirs the last that changed it and the last that changed what it shows.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Standing {
    pub newest: i64,
    pub room: Option<i64>,
    pub shown: Option<i64>,
}

/// None when the person is gone.
pub(super) async fn standing(on: &mut impl On, owner: UserId, room: Option<ChatroomId>) -> Result<Option<Standing>> {
    fetch_optional!(
        on,
        Standing,
        "select q.rev as newest, r.rev as room, r.shown_rev as shown
         from queue_users q left join chatrooms r on r.id = $2 and r.owner = q.user_id where q.user_id = $1",
        owner,
        room
    )
}

/// Replies at the head of their lanes: those that may be being written.
pub(super) async fn heads(on: &mut impl On, owner: UserId, room: Option<ChatroomId>) -> Result<Vec<Head>> {
    match room {
        None => fetch_all!(
            on,
            Head,
            "select id, lane from jobs where owner = $1 and head and finished_at is null and lane is not null",
            owner
        ),
        Some(room) => {
            fetch_all!(on, Head, "select id, lane from jobs where lane = $1 and head and finished_at is null", room)
        }
    }
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
            "select id, chatroom_id, seq, made_rev, ended_rev, rev, status = 'queued' as is_open from messages where ",
            $rest
        )
    };
}

/// What changed after `rev`, in any order.
pub(super) async fn traces(on: &mut impl On, owner: UserId, what: Follows, rev: i64) -> Result<Vec<Trace>> {
    match what {
        Follows::Room(room) => fetch_all!(on, Trace, traces!("chatroom_id = $1 and rev > $2"), room, rev),
        Follows::Reply { question, reply, .. } => {
            fetch_all!(on, Trace, traces!("id in ($1, $2) and rev > $3"), question, reply, rev)
        }
        Follows::Rooms => {
            fetch_all!(
                on,
                Trace,
                traces!("chatroom_id in (select id from chatrooms where owner = $1 and rev > $2) and rev > $2"),
                owner,
                rev
            )
        }
    }
}

const THESE: Fork = Fork {
    sqlite: messages!("where m.id in (select unhex(value) from json_each($1))"),
    postgres: messages!("where m.id = any ($1)"),
};

pub(super) async fn messages(on: &mut impl On, ids: Vec<MessageId>) -> Result<Vec<Message>> {
    let ids = Ids(ids.into_iter().map(|id| id.0).collect());
    Ok(fetch_all!(on, Row, THESE, &ids)?.into_iter().map(Message::from).collect())
}

/// Rooms whose name, model, instruction or place in the archive was changed after `rev`, with the change that did it.
pub(super) async fn shown(on: &mut impl On, owner: UserId, what: Follows, rev: i64) -> Result<Vec<(i64, Chatroom)>> {
    #[derive(sqlx::FromRow)]
    struct Shown {
        shown_rev: i64,
        #[sqlx(flatten)]
        room: Chatroom,
    }
    let room = match what {
        Follows::Reply { .. } => return Ok(Vec::new()),
        Follows::Room(room) => Some(room),
        Follows::Rooms => None,
    };
    let rows = fetch_all!(
        on,
        Shown,
        "select id, name, model, system_instruction, archived, created_at, updated_at, last_message_at, active_at, rev,
                shown_rev
         from chatrooms where owner = $1 and id = coalesce($2, id) and shown_rev > $3",
        owner,
        room,
        rev
    )?;
    Ok(rows.into_iter().map(|shown| (shown.shown_rev, shown.room)).collect())
}
