//! Moving a room to another branch: which messages are current, and what becomes of the replies on the one that is left.

use super::cancel::{Cancelled, cancel_reply};
use super::sql;
use crate::clock::Moment;
use crate::ids::{ChatroomId, MessageId};
use crate::jobs::Locked;
use crate::store::{self, Tx};

/// Makes `parent` with its ancestors the current branch, and nothing else; None: the room's beginning. Replies on the branch
/// that is left are cancelled.
///
/// What comes back is being written: its holders are to be told after the commit.
pub(super) async fn turn_to(
    tx: &mut Tx,
    queue: &Locked,
    room: ChatroomId,
    parent: Option<MessageId>,
    now: Moment,
) -> store::Result<Vec<MessageId>> {
    let fork = match parent {
        Some(parent) => sql::fork_seq(tx, parent).await?,
        None => 0,
    };
    let left = sql::leave_branch(tx, room, fork, queue.rev).await?;
    if let Some(parent) = parent {
        sql::take_up_branch(tx, parent, queue.rev).await?;
    }
    let mut being_written = Vec::new();
    for reply in left {
        if cancel_reply(tx, queue, room, reply, now).await? == Cancelled::Requested {
            being_written.push(reply);
        }
    }
    Ok(being_written)
}
