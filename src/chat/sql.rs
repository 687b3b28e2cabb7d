//! Every statement about chatrooms and messages.

mod accept;
mod branches;
mod context;

use super::{Chatroom, Fault, Message, Revs, Role, Status, Thinking, Usage};
use crate::auth::Plan;
use crate::clock::Moment;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::sql::{Fork, Ids};
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_one, fetch_optional};

pub(super) use accept::*;
pub(super) use branches::*;
pub(super) use context::*;

pub(super) async fn raise_rooms_rev(tx: &mut Tx, user: UserId) -> Result<i64> {
    let (rev,) =
        fetch_one!(tx, (i64,), "update users set rooms_rev = rooms_rev + 1 where id = $1 returning rooms_rev", user)?;
    Ok(rev)
}

pub(super) async fn insert_room(tx: &mut Tx, owner: UserId, room: &Chatroom) -> Result<()> {
    execute!(
        tx,
        "insert into chatrooms (id, owner, name, model, system_instruction, archived, created_at, updated_at, active_at,
                                next_seq, shown_rev, rev, thinking)
         values ($1, $2, $3, $4, $5, false, $6, $6, $6, 1, $7, $7, $8)",
        room.id,
        owner,
        &room.name,
        &room.model,
        &room.system_instruction,
        room.created_at,
        room.rev,
        room.thinking
    )?;
    Ok(())
}

/// Whole rooms.
macro_rules! chatrooms {
    ($rest:literal) => {
        concat!(
            "select id, name, model, system_instruction, thinking, archived, created_at, updated_at, last_message_at, active_at, rev,
                    shown_rev
             from chatrooms ",
            $rest
        )
    };
}
pub(super) use chatrooms;

pub(super) async fn room(on: &mut impl On, owner: UserId, room: ChatroomId) -> Result<Option<Chatroom>> {
    fetch_optional!(on, Chatroom, chatrooms!("where id = $1 and owner = $2"), room, owner)
}

pub(super) async fn update_room(tx: &mut Tx, room: &Chatroom, now: Moment) -> Result<()> {
    execute!(
        tx,
        "update chatrooms set name = $2, model = $3, system_instruction = $4, archived = $5, updated_at = $6, shown_rev = $7,
                rev = $7, thinking = $8
         where id = $1",
        room.id,
        &room.name,
        &room.model,
        &room.system_instruction,
        room.archived,
        now,
        room.rev,
        room.thinking
    )?;
    Ok(())
}

/// Whose deleted rooms are.
pub(super) const NOBODY: UserId = UserId(uuid::Uuid::nil());

/// Takes a room from its owner, with what they called it and told it.
pub(super) async fn disown_room(tx: &mut Tx, room: ChatroomId) -> Result<()> {
    execute!(
        tx,
        "update chatrooms set owner = $2, name = null, model = null, system_instruction = null where id = $1",
        room,
        NOBODY
    )?;
    Ok(())
}

/// At most so many of a room's messages, the oldest first; how many went.
pub(super) async fn delete_messages(tx: &mut Tx, room: ChatroomId, most: i64) -> Result<u64> {
    execute!(
        tx,
        "delete from messages where id in (select id from messages where chatroom_id = $1 order by seq limit $2)",
        room,
        most
    )
}

/// Removes a room of which nothing is left; whether it is gone now.
pub(super) async fn delete_empty_room(tx: &mut Tx, room: ChatroomId) -> Result<bool> {
    execute!(
        tx,
        "delete from chatrooms where id = $1 and not exists (select 1 from messages where chatroom_id = $1)
             and not exists (select 1 from attachments where chatroom_id = $1)",
        room
    )?;
    let left = fetch_optional!(tx, (ChatroomId,), "select id from chatrooms where id = $1", room)?;
    Ok(left.is_none())
}

/// Replies of a room that have not ended: id, and the day their prompt was taken from unless it was given back.
pub(super) async fn unfinished(tx: &mut Tx, room: ChatroomId) -> Result<Vec<(MessageId, Option<String>)>> {
    fetch_all!(
        tx,
        (MessageId, Option<String>),
        "select id, case when refunded_at is null then charged_day end from messages
         where chatroom_id = $1 and status = 'queued'",
        room
    )
}

/// Some of a person's rooms, archived ones too.
pub(super) async fn room_ids(on: &mut impl On, owner: UserId, most: i64) -> Result<Vec<ChatroomId>> {
    let rows = fetch_all!(on, (ChatroomId,), "select id from chatrooms where owner = $1 limit $2", owner, most)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Rooms by latest activity, those after (`active_at`, `id`).
pub(super) async fn rooms(
    on: &mut impl On,
    owner: UserId,
    archived: bool,
    after: Option<(Moment, ChatroomId)>,
    most: i64,
) -> Result<Vec<Chatroom>> {
    let (at, id) = after.unwrap_or((Moment::LAST, ChatroomId(uuid::Uuid::max())));
    fetch_all!(
        on,
        Chatroom,
        chatrooms!(
            "where owner = $1 and archived = $2 and (active_at, id) < ($3, $4)
         order by active_at desc, id desc limit $5"
        ),
        owner,
        archived,
        at,
        id,
        most
    )
}

/// A person's rooms of either kind in the order of their ids, those after one of them.
pub(super) async fn all_rooms(on: &mut impl On, owner: UserId, after: ChatroomId, most: i64) -> Result<Vec<Chatroom>> {
    fetch_all!(on, Chatroom, chatrooms!("where owner = $1 and id > $2 order by id limit $3"), owner, after, most)
}

/// Rooms of a person, messages and files in them.
pub(super) async fn count_rooms(on: &mut impl On, owner: UserId) -> Result<(i64, i64, i64)> {
    fetch_one!(
        on,
        (i64, i64, i64),
        "select (select count(*) from chatrooms where owner = $1),
                (select count(*) from messages m join chatrooms r on r.id = m.chatroom_id where r.owner = $1),
                (select count(*) from attachments a join chatrooms r on r.id = a.chatroom_id where r.owner = $1)",
        owner
    )
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: MessageId,
    chatroom_id: ChatroomId,
    seq: i64,
    parent_id: Option<MessageId>,
    current: bool,
    role: String,
    content: String,
    status: String,
    created_at: Moment,
    completed_at: Option<Moment>,
    finish_reason: Option<String>,
    model: Option<String>,
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    thought_tokens: Option<i64>,
    total_tokens: Option<i64>,
    error_code: Option<String>,
    error_message: Option<String>,
    error_retryable: Option<bool>,
    attempt: i64,
    charged_day: Option<String>,
    refunded_at: Option<Moment>,
    made_rev: i64,
    ended_rev: Option<i64>,
    rev: i64,
    thoughts: Option<String>,
    fallback_for: Option<String>,
    files: i64,
    job_state: Option<String>,
    job_attempt: Option<i64>,
    job_due_at: Option<Moment>,
    job_note: Option<String>,
    position: Option<i64>,
}

impl From<Row> for Message {
    fn from(row: Row) -> Self {
        let running = row.job_state.as_deref() == Some("running");
        let status = match row.status.as_str() {
            "sent" => Status::Sent,
            "complete" => Status::Complete,
            "failed" => Status::Failed,
            "cancelled" => Status::Cancelled,
            _ if running => Status::Generating,
            _ => Status::Queued,
        };
        let waits_for = row.job_note.filter(|_| status == Status::Queued);
        let stored = row.error_code.map(|code| Fault {
            code,
            message: row.error_message.unwrap_or_default(),
            retryable: row.error_retryable.unwrap_or(false),
        });
        let ended = status.is_end();
        Self {
            id: row.id,
            chatroom_id: row.chatroom_id,
            seq: row.seq,
            parent_id: row.parent_id,
            is_current: row.current,
            alternatives: Vec::new(),
            files: row.files,
            attachments: Vec::new(),
            role: if row.role == "model" { Role::Model } else { Role::User },
            content: row.content,
            status,
            created_at: row.created_at,
            completed_at: row.completed_at,
            finish_reason: row.finish_reason,
            // Until then it is the one to ask, which may not answer.
            model: row.model.filter(|_| ended),
            fallback_for: row.fallback_for,
            thoughts: row.thoughts,
            usage: row.total_tokens.map(|total| Usage {
                prompt_tokens: row.prompt_tokens.unwrap_or(0),
                completion_tokens: row.completion_tokens.unwrap_or(0),
                thought_tokens: row.thought_tokens.unwrap_or(0),
                total_tokens: total,
            }),
            retry_at: row.job_due_at.filter(|_| waits_for.is_some()),
            position: row.position.filter(|_| status == Status::Queued),
            eta_seconds: None,
            error: waits_for.map(Fault::from_note).or(stored),
            attempt: row.job_attempt.unwrap_or(row.attempt),
            charged: ended.then_some(row.charged_day.is_some() && row.refunded_at.is_none()),
            revs: Revs { made: row.made_rev, ended: row.ended_rev, last: row.rev },
        }
    }
}

/// Whole messages, with what their jobs say.
macro_rules! messages {
    ($rest:literal) => {
        concat!(
            "select m.id, m.chatroom_id, m.seq, m.parent_id, m.current, m.role, m.content, m.status, m.created_at, m.completed_at,
                    m.finish_reason, m.model, m.prompt_tokens, m.completion_tokens, m.thought_tokens, m.total_tokens,
                    m.error_code, m.error_message, m.error_retryable, m.attempt, m.charged_day, m.refunded_at,
                    m.made_rev, m.ended_rev, m.rev, m.thoughts, m.fallback_for, m.files,
                    case when m.status = 'queued' then
                        (select count(*) from jobs k where k.lane = j.lane and k.finished_at is null and k.lane_seq <= j.lane_seq)
                    end as position,
                    j.state as job_state, j.attempt as job_attempt, j.due_at as job_due_at, j.note as job_note
             from messages m left join jobs j on j.id = m.id and m.status = 'queued' ",
            $rest
        )
    };
}

pub(super) async fn message(on: &mut impl On, room: ChatroomId, id: MessageId) -> Result<Option<Message>> {
    let row = fetch_optional!(on, Row, messages!("where m.id = $1 and m.chatroom_id = $2"), id, room)?;
    Ok(row.map(Message::from))
}

const THESE: Fork = Fork {
    sqlite: messages!("where m.id in (select unhex(value) from json_each($1))"),
    postgres: messages!("where m.id = any ($1)"),
};

/// These messages, as far as they are there, in any order.
pub(super) async fn messages_by_id(on: &mut impl On, ids: Vec<MessageId>) -> Result<Vec<Message>> {
    let ids = Ids(ids.into_iter().map(|id| id.0).collect());
    Ok(fetch_all!(on, Row, THESE, &ids)?.into_iter().map(Message::from).collect())
}

/// Messages of the current branch, newest first, with `seq` between the two (both excluded).
pub(super) async fn newest_first(
    on: &mut impl On,
    room: ChatroomId,
    above: i64,
    below: i64,
    most: i64,
) -> Result<Vec<Message>> {
    let rows = fetch_all!(
        on,
        Row,
        messages!("where m.chatroom_id = $1 and m.current and m.seq > $2 and m.seq < $3 order by m.seq desc limit $4"),
        room,
        above,
        below,
        most
    )?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// The same, oldest first.
pub(super) async fn oldest_first(
    on: &mut impl On,
    room: ChatroomId,
    above: i64,
    below: i64,
    most: i64,
) -> Result<Vec<Message>> {
    let rows = fetch_all!(
        on,
        Row,
        messages!("where m.chatroom_id = $1 and m.current and m.seq > $2 and m.seq < $3 order by m.seq limit $4"),
        room,
        above,
        below,
        most
    )?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// Messages of every branch, oldest first, behind a `seq`.
pub(super) async fn all_messages(on: &mut impl On, room: ChatroomId, seq: i64, most: i64) -> Result<Vec<Message>> {
    let rows = fetch_all!(
        on,
        Row,
        messages!("where m.chatroom_id = $1 and m.seq > $2 order by m.seq limit $3"),
        room,
        seq,
        most
    )?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// What the writing of a reply begins with.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Task {
    pub parent_id: MessageId,
    /// The room's own.
    pub model: Option<String>,
    /// The one to ask instead.
    pub fallback: Option<String>,
    pub system_instruction: Option<String>,
    pub thinking: Option<Thinking>,
    pub plan: Plan,
    pub is_cancelled: bool,
}

pub(super) async fn task(on: &mut impl On, reply: MessageId) -> Result<Option<Task>> {
    fetch_optional!(
        on,
        Task,
        "select m.parent_id, r.model, m.model as fallback, r.system_instruction, r.thinking, u.plan,
                m.cancel_requested_at is not null as is_cancelled
         from messages m join chatrooms r on r.id = m.chatroom_id join users u on u.id = r.owner
         where m.id = $1 and m.status = 'queued' and m.parent_id is not null",
        reply
    )
}

/// Says that the transaction `rev` changes the room. None when the room is gone; else whether it has no name and nobody
/// was asked for one.
pub(super) async fn raise_rev(tx: &mut Tx, room: ChatroomId, rev: i64) -> Result<Option<bool>> {
    let row = fetch_optional!(
        tx,
        (bool,),
        "update chatrooms set rev = $2 where id = $1 returning name is null and not titled",
        room,
        rev
    )?;
    Ok(row.map(|(is_untitled,)| is_untitled))
}

/// Marks a reply that waits as changed by the transaction that made `rev`, and keeps which model to ask instead of the
/// room's own.
pub(super) async fn set_waiting(tx: &mut Tx, reply: MessageId, rev: i64, fallback: Option<&str>) -> Result<()> {
    execute!(tx, "update messages set rev = $2, model = $3 where id = $1", reply, rev, fallback)?;
    Ok(())
}

/// How a reply ended, as it is stored.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    pub status: &'static str,
    pub content: &'a str,
    pub finish_reason: Option<&'a str>,
    pub model: Option<&'a str>,
    pub usage: Option<Usage>,
    pub error: Option<&'a Fault>,
    pub refunded_at: Option<Moment>,
    pub thoughts: Option<&'a str>,
    pub fallback_for: Option<&'a str>,
    pub receipt: Option<&'a str>,
    pub attempt: i64,
    pub rev: i64,
}

impl Ending<'_> {
    /// The end of `attempt` with nothing to show for it.
    pub(super) const fn blank(status: &'static str, attempt: i64, rev: i64) -> Self {
        Self {
            status,
            content: "",
            finish_reason: None,
            model: None,
            usage: None,
            error: None,
            refunded_at: None,
            thoughts: None,
            fallback_for: None,
            receipt: None,
            attempt,
            rev,
        }
    }
}

pub(super) async fn end_reply(tx: &mut Tx, reply: MessageId, ending: &Ending<'_>, now: Moment) -> Result<bool> {
    let done = execute!(
        tx,
        "update messages set status = $2, content = $3, finish_reason = $4, model = $5, prompt_tokens = $6,
                completion_tokens = $7, thought_tokens = $8, total_tokens = $9, error_code = $10, error_message = $11,
                error_retryable = $12, refunded_at = coalesce(refunded_at, $13), attempt = $14, rev = $15,
                ended_rev = $15, completed_at = $16, thoughts = $17, fallback_for = $18, receipt = $19
         where id = $1 and status = 'queued'",
        reply,
        ending.status,
        ending.content,
        ending.finish_reason,
        ending.model,
        ending.usage.map(|usage| usage.prompt_tokens),
        ending.usage.map(|usage| usage.completion_tokens),
        ending.usage.map(|usage| usage.thought_tokens),
        ending.usage.map(|usage| usage.total_tokens),
        ending.error.map(|error| error.code.as_str()),
        ending.error.map(|error| error.message.as_str()),
        ending.error.map(|error| error.retryable),
        ending.refunded_at,
        ending.attempt,
        ending.rev,
        now,
        ending.thoughts,
        ending.fallback_for,
        ending.receipt
    )?;
    Ok(done == 1)
}

/// The day a reply's prompt was taken from, when it has not been given back.
pub(super) async fn charged_day(tx: &mut Tx, reply: MessageId) -> Result<Option<String>> {
    let row = fetch_optional!(
        tx,
        (Option<String>,),
        "select charged_day from messages where id = $1 and refunded_at is null",
        reply
    )?;
    Ok(row.and_then(|(day,)| day))
}

/// A failed reply, with its owner and room.
pub(super) type Failed = (MessageId, ChatroomId, UserId, String, String, Moment, i64);

pub(super) async fn failed(on: &mut impl On, most: i64) -> Result<Vec<Failed>> {
    fetch_all!(
        on,
        Failed,
        "select m.id, m.chatroom_id, r.owner, m.error_code, m.error_message, m.completed_at, m.attempt
         from messages m join chatrooms r on r.id = m.chatroom_id where m.status = 'failed'
         order by m.completed_at desc, m.id desc limit $1",
        most
    )
}

/// Owner, room, place and attempts of a failed reply.
pub(super) async fn failed_one(on: &mut impl On, reply: MessageId) -> Result<Option<(UserId, ChatroomId, i64, i64)>> {
    fetch_optional!(
        on,
        (UserId, ChatroomId, i64, i64),
        "select r.owner, m.chatroom_id, m.seq, m.attempt from messages m join chatrooms r on r.id = m.chatroom_id
         where m.id = $1 and m.status = 'failed'",
        reply
    )
}

/// A failed reply becomes a promised one again, free of charge: its prompt was given back and stays so.
pub(super) async fn reopen(tx: &mut Tx, reply: MessageId, rev: i64) -> Result<bool> {
    let done = execute!(
        tx,
        "update messages set status = 'queued', content = '', error_code = null, error_message = null,
                error_retryable = null, finish_reason = null, completed_at = null, thoughts = null, fallback_for = null,
                receipt = null, cancel_requested_at = null, ended_rev = null, rev = $2
         where id = $1 and status = 'failed'",
        reply,
        rev
    )?;
    Ok(done == 1)
}
