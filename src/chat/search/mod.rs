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

use super::{Chatroom, Message};
use crate::app::App;
use crate::ids::{MessageId, UserId};
use crate::store::{self, Tx};

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
    let (exact, longer) = if app.store.is_embedded() { query.to_fts5(owner) } else { query.to_tsquery(owner) };
    let mut reader = app.store.read().await?;
    let mut hits = Vec::new();
    for (rank, expression) in [(0, Some(exact)), (1, longer)] {
        let (Some(expression), left) = (expression, most - i64::try_from(hits.len()).unwrap_or(most)) else { continue };
        let below = match after {
            Some((after, _)) if rank < after => continue,
            Some((after, n)) if rank == after => n,
            _ => i64::MAX,
        };
        if left > 0 {
            let found = sql::hits(&mut reader, owner, &expression, below, left).await?;
            hits.extend(found.into_iter().map(|(message, room, n)| (message, room, (rank, n))));
        }
    }
    let messages = sql::messages_by_id(&mut reader, hits.iter().map(|(id, ..)| *id).collect()).await?;
    let rooms = sql::rooms_by_id(&mut reader, owner, hits.iter().map(|(_, room, _)| *room).collect()).await?;
    drop(reader);
    let mut found = Vec::with_capacity(hits.len());
    for (id, room, place) in hits {
        let message = messages.iter().find(|message| message.id == id);
        let room = rooms.iter().find(|known| known.id == room);
        // What went between the two looks is gone.
        if let (Some(message), Some(room)) = (message, room) {
            let snippet = snippet::snippet(&message.content, &query);
            found.push(Found { message: message.clone(), chatroom: room.clone(), snippet, place });
        }
    }
    Ok(found)
}
