//! Search over all that a person said and was told: the same messages on either engine, because what a message is found by
//! is made here ([`terms`]) and the databases only keep it (FTS5, a `tsvector`).
//!
//! A message is indexed in the transaction that gives it its text. Whoever asks sees their own rooms alone, archived ones
//! too, and messages on branches that were left.

mod backfill;
mod snippet;
mod sql;
mod terms;
mod tokens;

use std::collections::HashMap;

use super::sql::messages_by_id;
use super::{Chatroom, Message, alternatives, attachments};
use crate::app::App;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::{self, On, Tx};

pub use backfill::index_older;
pub(super) use terms::Terms;

/// Where a message stands in the list of what was found: 0 when it has every word as it was written, 1 when it has one
/// only as the beginning of a longer word; among the same the newest is first.
pub type Place = (u8, i64);

/// A message that was found.
#[derive(Debug)]
pub struct Found {
    pub message: Message,
    pub chatroom: Chatroom,
    /// HTML: the text escaped, the hits in `<mark>`.
    pub snippet: String,
    pub place: Place,
}

/// Makes a message findable, in the transaction that gives it its text; again, by other terms.
pub(super) async fn index(tx: &mut Tx, message: MessageId, terms: &Terms) -> store::Result<()> {
    sql::index(tx, message, terms).await
}

/// The caller's messages that have all that the text names, the best first, behind a place.
pub async fn search(
    app: &App,
    owner: UserId,
    text: &str,
    after: Option<Place>,
    most: i64,
) -> store::Result<Vec<Found>> {
    let query = terms::Query::of(text);
    if query.is_empty() {
        return Ok(Vec::new());
    }
    loop {
        let mut reader = app.store.read().await?;
        let hits = hits(&mut reader, app.store.is_embedded(), owner, &query, after, most).await?;
        let found = read(&mut reader, owner, &hits).await?;
        // What went between the two looks leaves room for others: a page that is not full is the last.
        if found.len() == hits.len() {
            drop(reader);
            return Ok(show(found, query).await);
        }
    }
}

/// Beside the async threads: the hits of a page of long messages are far apart.
async fn show(found: Vec<(Message, Chatroom, Place)>, query: terms::Query) -> Vec<Found> {
    let shown = tokio::task::spawn_blocking(move || {
        let shown = found.into_iter().map(|(message, chatroom, place)| {
            let snippet = snippet::snippet(&message.content, &query);
            Found { message, chatroom, snippet, place }
        });
        shown.collect()
    });
    match shown.await {
        Ok(shown) => shown,
        Err(broken) => std::panic::resume_unwind(broken.into_panic()),
    }
}

async fn hits(
    on: &mut impl On,
    is_sqlite: bool,
    owner: UserId,
    query: &terms::Query,
    after: Option<Place>,
    most: i64,
) -> store::Result<Vec<(MessageId, ChatroomId, Place)>> {
    let (exact, longer) = if is_sqlite { query.to_fts5(owner) } else { query.to_tsquery(owner) };
    let mut hits = Vec::new();
    for (rank, expression) in [(0, Some(exact)), (1, longer)] {
        let left = most - i64::try_from(hits.len()).unwrap_or(most);
        let below = match after {
            Some((after, _)) if rank < after => continue,
            Some((after, n)) if rank == after => n,
            _ => i64::MAX,
        };
        if let Some(expression) = expression.filter(|_| left > 0) {
            let found = sql::hits(on, owner, &expression, below, left).await?;
            hits.extend(found.into_iter().map(|(message, room, n)| (message, room, (rank, n))));
        }
    }
    Ok(hits)
}

/// The messages and rooms of what was found, as far as they are still there.
async fn read(
    on: &mut impl On,
    owner: UserId,
    hits: &[(MessageId, ChatroomId, Place)],
) -> store::Result<Vec<(Message, Chatroom, Place)>> {
    let mut messages = messages_by_id(on, hits.iter().map(|(id, ..)| *id).collect()).await?;
    alternatives::add(on, &mut messages).await?;
    attachments::add(on, &mut messages).await?;
    let rooms = sql::rooms_by_id(on, owner, hits.iter().map(|(_, room, _)| *room).collect()).await?;
    let mut messages: HashMap<_, _> = messages.into_iter().map(|message| (message.id, message)).collect();
    let rooms: HashMap<_, _> = rooms.into_iter().map(|room| (room.id, room)).collect();
    let found = hits.iter().filter_map(|(id, room, place)| {
        let chatroom = rooms.get(room)?.clone();
        Some((messages.remove(id)?, chatroom, *place))
    });
    Ok(found.collect())
}
