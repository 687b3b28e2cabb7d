//! The alternatives of a message: what hangs beside it, under the same parent. They came of editing and of asking again.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Message, sql};
use crate::ids::MessageId;
use crate::store::sql::Ids;
use crate::store::{On, Result};

/// What a message hangs on: its parent, or the room itself.
fn place(message: &Message) -> Uuid {
    message.parent_id.map_or(message.chatroom_id.0, |parent| parent.0)
}

/// Adds to each message its alternatives, oldest first. One query for all that are on the current branch.
pub(super) async fn add(on: &mut impl On, messages: &mut [Message]) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let places = Ids(messages.iter().map(place).collect());
    let mut beside: HashMap<Uuid, Vec<(i64, MessageId)>> = HashMap::new();
    for (place, id, seq) in sql::left(on, &places).await? {
        beside.entry(place).or_default().push((seq, id));
    }
    for message in messages {
        let Some(left) = beside.get(&place(message)) else { continue };
        let mut all = left.clone();
        if !message.is_current
            && let Some((id, seq)) = sql::current_child(on, message.chatroom_id, message.parent_id).await?
        {
            all.push((seq, id));
            all.sort_unstable();
        }
        message.alternatives = all.into_iter().map(|(_, id)| id).filter(|id| *id != message.id).collect();
    }
    Ok(())
}
