//! What an operator may do with replies: look at the failed ones, have one written after all.

use super::sql;
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId, MessageId, UserId};
use crate::jobs::{self, Waiting};
use crate::store;

/// A reply that ended without an answer. Its prompt was given back.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FailedReply {
    pub id: MessageId,
    pub chatroom_id: ChatroomId,
    pub user_id: UserId,
    pub code: String,
    pub message: String,
    pub failed_at: Moment,
    pub attempt: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no failed reply with this id")]
    NotFailed,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The newest failed replies.
pub async fn failed_replies(app: &App, most: u32) -> store::Result<Vec<FailedReply>> {
    let rows = sql::failed(&mut app.store.read().await?, i64::from(most)).await?;
    Ok(rows
        .into_iter()
        .map(|(id, chatroom_id, user_id, code, message, failed_at, attempt)| FailedReply {
            id,
            chatroom_id,
            user_id,
            code,
            message,
            failed_at,
            attempt,
        })
        .collect())
}

/// Promises a failed reply once more, free of charge. Its attempts go on counting from where they were.
pub async fn retry_reply(app: &App, reply: MessageId) -> Result<(), RetryError> {
    let now = app.clock.now();
    let (owner, room) = crate::transaction!(app.store, |tx| {
        let (owner, ..) = sql::failed_one(tx, reply).await?.ok_or(RetryError::NotFailed)?;
        let queue = jobs::lock(tx, owner).await?.ok_or(RetryError::NotFailed)?;
        // Read again under the lock: another operator may have been quicker.
        let (_, room, seq, attempt) = sql::failed_one(tx, reply).await?.ok_or(RetryError::NotFailed)?;
        if sql::raise_rev(tx, room, queue.rev).await?.is_none() || !sql::reopen(tx, reply, queue.rev).await? {
            return Err(RetryError::NotFailed);
        }
        jobs::enqueue(tx, &queue, Waiting { id: JobId::from(reply), lane: room, seq, attempt }, now).await?;
        Ok::<_, RetryError>((owner, room))
    })?;
    app.live.ring(owner, room);
    app.live.ring_for_jobs_everywhere();
    Ok(())
}
