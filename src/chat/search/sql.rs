//! Every statement of the search. The engines keep terms each in their own way, so most of them are forks.

use super::terms::Terms;
use crate::chat::Chatroom;
use crate::chat::sql::{NOBODY, chatrooms};
use crate::clock::Moment;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::sql::{Fork, Ids};
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_optional};

/// The row is held until the transaction ends: what is indexed late must not outlive its message.
const INDEX: Fork = Fork {
    sqlite: "insert or replace into message_terms (rowid, terms) select n, $2 from messages where id = $1",
    postgres: "insert into message_terms (id, n, chatroom_id, terms)
               select id, n, chatroom_id, array_to_tsvector(string_to_array($2, ' ')) from messages where id = $1
               for key share
               on conflict (id) do update set terms = excluded.terms",
};

pub(super) async fn index(tx: &mut Tx, message: MessageId, terms: &Terms) -> Result<()> {
    execute!(tx, INDEX, message, terms.as_str())?;
    Ok(())
}

/// A message that was found: its room, and its place among all messages.
pub(super) type Hit = (MessageId, ChatroomId, i64);

/// `match` gives the newest first by itself, so that a limit ends it early; the rooms are looked up one by one.
const HITS: Fork = Fork {
    sqlite: "select m.id, m.chatroom_id, m.n
             from message_terms cross join messages m on m.n = message_terms.rowid
                  cross join chatrooms r on r.id = m.chatroom_id
             where message_terms match $1 and message_terms.rowid < $2 and r.owner = $3
             order by message_terms.rowid desc limit $4",
    postgres: "select t.id, t.chatroom_id, t.n
               from message_terms t join chatrooms r on r.id = t.chatroom_id
               where t.terms @@ $1::tsquery and t.n < $2 and r.owner = $3
               order by t.n desc limit $4",
};

/// What meets an expression in a person's rooms, the newest first, below a place.
pub(super) async fn hits(on: &mut impl On, owner: UserId, expression: &str, below: i64, most: i64) -> Result<Vec<Hit>> {
    fetch_all!(on, Hit, HITS, expression, below, owner, most)
}

const ROOMS: Fork = Fork {
    sqlite: chatrooms!("where owner = $2 and id in (select unhex(value) from json_each($1))"),
    postgres: chatrooms!("where owner = $2 and id = any ($1)"),
};

pub(super) async fn rooms_by_id(on: &mut impl On, owner: UserId, ids: Vec<ChatroomId>) -> Result<Vec<Chatroom>> {
    let ids = Ids(ids.into_iter().map(|id| id.0).collect());
    fetch_all!(on, Chatroom, ROOMS, &ids, owner)
}

/// How far the messages from before were looked through, and since when; None once that is over.
pub(super) async fn progress(on: &mut impl On) -> Result<Option<(MessageId, Option<Moment>)>> {
    fetch_optional!(on, (MessageId, Option<Moment>), "select until, since from message_terms_progress where id = 1")
}

pub(super) async fn begin_progress(tx: &mut Tx, now: Moment) -> Result<()> {
    execute!(tx, "update message_terms_progress set since = coalesce(since, $1) where id = 1", now)?;
    Ok(())
}

/// Another process may have come further.
pub(super) async fn set_progress(tx: &mut Tx, until: MessageId) -> Result<()> {
    execute!(tx, "update message_terms_progress set until = $1 where id = 1 and until < $1", until)?;
    Ok(())
}

pub(super) async fn end_progress(tx: &mut Tx) -> Result<()> {
    execute!(tx, "delete from message_terms_progress where id = 1")?;
    Ok(())
}

/// The message so many after another, in the order of ids; None when there are fewer.
pub(super) async fn step(on: &mut impl On, from: MessageId, size: i64) -> Result<Option<MessageId>> {
    let sql = "select id from messages where id > $1 order by id limit 1 offset $2";
    Ok(fetch_optional!(on, (MessageId,), sql, from, size - 1)?.map(|(id,)| id))
}

macro_rules! unindexed {
    ($it:literal) => {
        concat!(
            "select m.id, r.owner, m.content from messages m join chatrooms r on r.id = m.chatroom_id
             where m.id > $1 and m.id <= $2 and m.status <> 'queued' and m.content <> '' and r.owner <> $3
               and not exists (select 1 from message_terms t where ",
            $it,
            ")"
        )
    };
}

const UNINDEXED: Fork = Fork { sqlite: unindexed!("t.rowid = m.n"), postgres: unindexed!("t.id = m.id") };

/// Messages without terms between two ids (the second included), with their owners and texts.
pub(super) async fn unindexed(
    on: &mut impl On,
    from: MessageId,
    to: MessageId,
) -> Result<Vec<(MessageId, UserId, String)>> {
    fetch_all!(on, (MessageId, UserId, String), UNINDEXED, from, to, NOBODY)
}
