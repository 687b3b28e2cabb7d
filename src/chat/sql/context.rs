//! What the model is shown: the chain of a reply's ancestors, and the summaries along it.

use crate::clock::Moment;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_optional};

/// One step of a conversation, as the context is made from.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::chat) struct Step {
    pub id: MessageId,
    pub parent_id: Option<MessageId>,
    pub seq: i64,
    pub role: String,
    pub status: String,
    pub content: String,
    /// How many files it carries.
    pub files: i64,
}

impl Step {
    /// Whether it is an answer that the conversation goes on from: one that failed is none, nor one that was cancelled
    /// before its first word.
    pub(in crate::chat) fn is_answer(&self) -> bool {
        self.role == "model" && !self.content.is_empty() && matches!(self.status.as_str(), "complete" | "cancelled")
    }
}

/// A message and its ancestors, nearest first.
macro_rules! ancestors {
    ($columns:literal) => {
        concat!(
            "with recursive chain (id, parent_id, depth) as (
                 select id, parent_id, cast(1 as bigint) from messages where id = $1
                 union all
                 select m.id, m.parent_id, c.depth + 1 from chain c join messages m on m.id = c.parent_id
                 where c.depth < $2)
             select ",
            $columns,
            " from chain c join messages m on m.id = c.id order by c.depth"
        )
    };
}

/// A message and its ancestors, nearest first, `most` of them.
pub(in crate::chat) async fn ancestors(on: &mut impl On, from: MessageId, most: i64) -> Result<Vec<Step>> {
    let sql = ancestors!("m.id, m.parent_id, m.seq, m.role, m.status, m.content, m.files");
    fetch_all!(on, Step, sql, from, most)
}

/// The same with no more of a text than its first letter.
pub(in crate::chat) async fn ancestors_without_text(on: &mut impl On, from: MessageId, most: i64) -> Result<Vec<Step>> {
    let sql = ancestors!("m.id, m.parent_id, m.seq, m.role, m.status, substr(m.content, 1, 1) as content, m.files");
    fetch_all!(on, Step, sql, from, most)
}

/// What was said up to a reply, in the model's words.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::chat) struct Summary {
    /// The reply it ends at.
    pub message_id: MessageId,
    pub seq: i64,
    pub content: String,
}

/// The summary that ends nearest above a message on its branch.
pub(in crate::chat) async fn nearest_summary(on: &mut impl On, from: MessageId) -> Result<Option<Summary>> {
    fetch_optional!(
        on,
        Summary,
        "with recursive chain (id, parent_id, is_summed) as (
             select id, parent_id, false from messages where id = $1
             union all
             select m.id, m.parent_id, exists (select 1 from summaries s where s.message_id = m.id)
             from chain c join messages m on m.id = c.parent_id where not c.is_summed)
         select s.message_id, m.seq, s.content
         from chain c join summaries s on s.message_id = c.id join messages m on m.id = c.id where c.is_summed",
        from
    )
}

/// One summary, as long as its message is there.
pub(in crate::chat) async fn summary(on: &mut impl On, message: MessageId) -> Result<Option<Summary>> {
    fetch_optional!(
        on,
        Summary,
        "select s.message_id, m.seq, s.content from summaries s join messages m on m.id = s.message_id where s.message_id = $1",
        message
    )
}

/// Keeps a summary; the first one that ends at a message stays.
pub(in crate::chat) async fn insert_summary(
    tx: &mut Tx,
    (room, message): (ChatroomId, MessageId),
    content: &str,
    model: &str,
    now: Moment,
) -> Result<()> {
    execute!(
        tx,
        "insert into summaries (message_id, chatroom_id, content, model, created_at) values ($1, $2, $3, $4, $5)
         on conflict (message_id) do nothing",
        message,
        room,
        content,
        model,
        now
    )?;
    Ok(())
}

pub(in crate::chat) async fn delete_summaries(tx: &mut Tx, room: ChatroomId) -> Result<()> {
    execute!(tx, "delete from summaries where chatroom_id = $1", room)?;
    Ok(())
}

/// All of a room's, in the order of what they end at.
pub(in crate::chat) async fn summaries(on: &mut impl On, room: ChatroomId) -> Result<Vec<Summary>> {
    fetch_all!(
        on,
        Summary,
        "select s.message_id, m.seq, s.content from summaries s join messages m on m.id = s.message_id
         where s.chatroom_id = $1 order by m.seq",
        room
    )
}

/// What the model was shown for a reply, as it was kept; None inside when nothing was.
pub(in crate::chat) async fn receipt(on: &mut impl On, reply: MessageId) -> Result<Option<String>> {
    let row = fetch_optional!(on, (Option<String>,), "select receipt from messages where id = $1", reply)?;
    Ok(row.and_then(|(receipt,)| receipt))
}

/// Says that a name was asked for.
pub(in crate::chat) async fn note_titling(tx: &mut Tx, room: ChatroomId) -> Result<()> {
    execute!(tx, "update chatrooms set titled = true where id = $1", room)?;
    Ok(())
}

/// Names a room of this person's that nobody has named meanwhile.
pub(in crate::chat) async fn give_title(
    tx: &mut Tx,
    (owner, room): (UserId, ChatroomId),
    name: &str,
    rev: i64,
    now: Moment,
) -> Result<bool> {
    let done = execute!(
        tx,
        "update chatrooms set name = $3, updated_at = $4, shown_rev = $5, rev = $5
         where id = $1 and owner = $2 and name is null",
        room,
        owner,
        name,
        now,
        rev
    )?;
    Ok(done == 1)
}
