//! Taking a message in: prompt, message, reply and job in one transaction.

use super::{Message, Text, context, models, search, sql};
use crate::app::App;
use crate::billing::{self, Budget, Prompts};
use crate::http::replay::{self, Before, Request};
use crate::ids::{ChatroomId, JobId, MessageId, UserId};
use crate::jobs::{self, Waiting};
use crate::store;

/// Who sends, and what they may.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub user: UserId,
    /// Prompts a day; None: no limit.
    pub daily_limit: Option<u32>,
}

/// A message that will be answered.
#[derive(Debug)]
pub struct Accepted {
    pub message: Message,
    pub reply: Message,
    pub prompts: Prompts,
    pub room_rev: i64,
    /// An earlier request with the same key made these.
    pub is_replay: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("no such chatroom")]
    NoSuchRoom,
    #[error("the day's prompts are spent")]
    PromptLimitReached { prompts: Prompts },
    #[error("the message is about {estimated} tokens, of which {fits} fit")]
    ContextOverflow { estimated: u64, fits: u64 },
    #[error("the deployment's budget for today is spent")]
    BudgetExhausted,
    #[error("this key was used for another request")]
    IdempotencyMismatch,
    /// A replay of something that has been deleted since.
    #[error("what this key made is gone")]
    Gone,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Takes a message in and promises a reply.
///
/// Prompt, message and job share one transaction: a message that was paid for always has its job, and one that was
/// refused leaves no trace. The same `request` again gives the first answer, as it stands now, whatever the limits say.
pub async fn send(
    app: &App,
    sender: Sender,
    room: ChatroomId,
    text: &Text,
    request: Option<&Request>,
) -> Result<Accepted, SendError> {
    let listed = models::listed(app).await;
    let budget = billing::budget(app).await?;
    let now = app.clock.now();
    let pair = sql::Pair { message: MessageId::new(now), reply: MessageId::new(now) };
    let terms = search::Terms::of(sender.user, text.as_str());
    let change = app.people.change(sender.user);
    let outcome = crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, sender.user).await?.ok_or(SendError::NoSuchRoom)?;
        if let Some(request) = request {
            match replay::look_up(tx, sender.user, request).await? {
                Before::Same(reply) => return Ok(Outcome::Replay(MessageId(reply))),
                Before::Other => return Err(SendError::IdempotencyMismatch),
                Before::Never => {}
            }
        }
        let place = sql::lock_room(tx, sender.user, room).await?.ok_or(SendError::NoSuchRoom)?;
        context::must_fit(app, &place, text, &listed)?;
        if budget == Budget::Exhausted {
            return Err(SendError::BudgetExhausted);
        }
        let Some(prompts) = billing::spend_one(tx, sender.user, sender.daily_limit, now).await? else {
            let prompts = billing::prompts(tx, sender.user, sender.daily_limit, now).await?;
            return Err(SendError::PromptLimitReached { prompts });
        };
        sql::insert_pair(tx, room, &place, pair, text.as_str(), now).await?;
        search::index(tx, pair.message, &terms).await?;
        let rev = sql::advance_room(tx, room, &place, pair.reply, now).await?;
        let waiting = Waiting { id: JobId::from(pair.reply), lane: room, seq: place.next_seq + 1, attempt: 0 };
        jobs::enqueue(tx, &queue, waiting, now).await?;
        let rooms_rev = sql::raise_rooms_rev(tx, sender.user).await?;
        if let Some(request) = request {
            replay::keep(tx, sender.user, request, pair.reply.0, now).await?;
        }
        Ok::<_, SendError>(Outcome::New { place, prompts, rev, rooms_rev })
    });
    match &outcome {
        Ok(Outcome::New { rooms_rev, .. }) => change.rooms(*rooms_rev),
        // Whether it was committed is not known.
        Err(SendError::Store(_)) => drop(change),
        Ok(Outcome::Replay(_)) | Err(_) => change.nothing(),
    }
    match outcome? {
        Outcome::New { place, prompts, rev, .. } => {
            app.live.ring_for_jobs();
            let (message, reply) = sql::pair_as_inserted(room, &place, pair, text.as_str(), now);
            Ok(Accepted { message, reply, prompts, room_rev: rev, is_replay: false })
        }
        Outcome::Replay(reply) => replayed(app, sender, room, reply).await,
    }
}

enum Outcome {
    New { place: sql::Place, prompts: Prompts, rev: i64, rooms_rev: i64 },
    Replay(MessageId),
}

async fn replayed(app: &App, sender: Sender, room: ChatroomId, reply: MessageId) -> Result<Accepted, SendError> {
    let gone = |error| match error {
        super::ReadError::NoSuchRoom | super::ReadError::NoSuchMessage => SendError::Gone,
        super::ReadError::Store(cause) => SendError::Store(cause),
    };
    let (reply, room_rev) = super::read::message_and_rev(app, sender.user, room, reply).await.map_err(gone)?;
    let parent = reply.parent_id.ok_or(SendError::Gone)?;
    let message = super::message(app, sender.user, room, parent).await.map_err(gone)?;
    let mut reader = app.store.read().await?;
    let prompts = billing::prompts(&mut reader, sender.user, sender.daily_limit, app.clock.now()).await?;
    Ok(Accepted { message, reply, prompts, room_rev, is_replay: true })
}
