//! Cancelling a reply: at once while it waits, through its holder while it is being written.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::end::give_back;
use super::{Message, ReadError, Role, read, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId, MessageId, UserId};
use crate::jobs::{self, Locked, Standing};
use crate::live::{Heard, Listener, Place};
use crate::store::{self, Tx};

/// How long a cancel waits for the holder's word.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks meanwhile, should no bell be heard.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error("no such chatroom")]
    NoSuchRoom,
    #[error("no such message")]
    NoSuchMessage,
    #[error("a person's message cannot be cancelled")]
    NotAReply,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<ReadError> for CancelError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoSuchRoom => Self::NoSuchRoom,
            ReadError::NoSuchMessage => Self::NoSuchMessage,
            ReadError::Store(cause) => Self::Store(cause),
        }
    }
}

/// What a cancel came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// It waited: it has ended, and its prompt was given back.
    Ended,
    /// It is being written: whoever holds it is to end it, and is told after the commit.
    Requested,
    /// It had ended before.
    Over,
}

/// Cancels a reply; the message as it stands then. One that is being written keeps the text that readers saw, and may
/// still be seen at work if its holder is slow to hear. Safe to repeat, and nothing to one that has ended.
pub async fn cancel(app: &App, owner: UserId, room: ChatroomId, reply: MessageId) -> Result<Message, CancelError> {
    let mut bell = app.live.listen(Place::Room(room));
    let now = app.clock.now();
    let cancelled = crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, owner).await?.ok_or(CancelError::NoSuchRoom)?;
        sql::lock_room(tx, owner, room).await?.ok_or(CancelError::NoSuchRoom)?;
        let message = sql::message(tx, room, reply).await?.ok_or(CancelError::NoSuchMessage)?;
        if message.role != Role::Model {
            return Err(CancelError::NotAReply);
        }
        Ok(cancel_reply(tx, &queue, room, reply, now).await?)
    })?;
    match cancelled {
        Cancelled::Ended => {
            app.live.ring(owner, room);
            app.live.ring_for_jobs();
        }
        Cancelled::Requested => app.live.stop(reply),
        Cancelled::Over => {}
    }
    let patience = Instant::now() + PATIENCE;
    loop {
        let message = read::message(app, owner, room, reply).await?;
        if message.status.is_end() || Instant::now() >= patience {
            return Ok(message);
        }
        tokio::select! {
            () = changed(&mut bell) => {}
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// Returns when the database says something new of the room, whatever is written there meanwhile.
async fn changed(bell: &mut Listener) {
    while bell.rung().await != Heard::Change {}
}

/// Cancels a reply in the transaction that holds its owner's lock.
pub(super) async fn cancel_reply(
    tx: &mut Tx,
    queue: &Locked,
    room: ChatroomId,
    reply: MessageId,
    now: Moment,
) -> store::Result<Cancelled> {
    match jobs::standing(tx, queue, JobId::from(reply)).await? {
        Standing::Waiting(waiter) => {
            let refunded_at = give_back(tx, queue.user_id, reply, now).await?;
            sql::raise_rev(tx, room, queue.rev).await?;
            let ending = sql::Ending { refunded_at, ..sql::Ending::blank("cancelled", waiter.attempt, queue.rev) };
            sql::end_reply(tx, reply, &ending, now).await?;
            jobs::withdraw(tx, queue, &waiter, now).await?;
            Ok(Cancelled::Ended)
        }
        Standing::InHand => {
            sql::request_cancel(tx, reply, now).await?;
            Ok(Cancelled::Requested)
        }
        Standing::Over => Ok(Cancelled::Over),
    }
}

/// Tells those who write in this process what was cancelled elsewhere.
pub async fn heed_cancels(app: &App) -> store::Result<()> {
    for reply in sql::to_cancel(&mut app.store.read().await?).await? {
        app.live.stop(reply);
    }
    Ok(())
}
