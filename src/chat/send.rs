//! Promising a reply: prompt, message, reply and job in one transaction.
//!
//! To [`send`], to [`edit`] and to [`regenerate`] are one act that differs in where the reply hangs.

use super::question::{Act, write_down};
use super::read::estimate_wait;
use super::{Message, Text, branch, context, models, search, sql};
use crate::app::App;
use crate::billing::{self, Budget, Prompts};
use crate::http::replay::{self, Before, Request};
use crate::ids::{AttachmentId, ChatroomId, JobId, MessageId, UserId};
use crate::jobs::{self, Waiting};
use crate::store;

/// Who sends, and what they may.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub user: UserId,
    /// Prompts a day; None: no limit.
    pub daily_limit: Option<u32>,
}

/// What somebody says.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub text: &'a Text,
    /// The files that go with it, in their order. None: no word of them, so that what is edited keeps its own.
    pub files: Option<&'a [AttachmentId]>,
}

impl<'a> From<&'a Text> for Said<'a> {
    fn from(text: &'a Text) -> Self {
        Self { text, files: None }
    }
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
    #[error("no such message")]
    NoSuchMessage,
    #[error("a person's message cannot be written again by the model")]
    NotAReply,
    #[error("the model's message cannot be edited")]
    NotAUserMessage,
    #[error("the reply has not ended")]
    ReplyInProgress,
    #[error("the day's prompts are spent")]
    PromptLimitReached { prompts: Prompts },
    #[error("the message is about {estimated} tokens, of which {fits} fit")]
    ContextOverflow { estimated: u64, fits: u64 },
    /// Not in the room, not whole, in another message, named twice, or too many.
    #[error("a file that is named cannot go with the message")]
    UnusableAttachment,
    #[error("the files are {bytes} bytes, of which {most} may go with a question")]
    AttachmentsTooLarge { bytes: u64, most: u64 },
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
pub async fn send<'a>(
    app: &App,
    sender: Sender,
    room: ChatroomId,
    said: impl Into<Said<'a>>,
    request: Option<&Request>,
) -> Result<Accepted, SendError> {
    accept(app, sender, room, Act::Send(said.into()), request).await
}

/// Takes in what the sender would rather have said than `message`, beside it, and promises a reply to that: as [`send`] does.
/// The old message stays with what followed it, off the current branch.
pub async fn edit<'a>(
    app: &App,
    sender: Sender,
    room: ChatroomId,
    message: MessageId,
    said: impl Into<Said<'a>>,
    request: Option<&Request>,
) -> Result<Accepted, SendError> {
    accept(app, sender, room, Act::Edit(message, said.into()), request).await
}

/// Promises another reply to the question that `reply` has answered: as [`send`] does. The old one stays as an alternative,
/// off the current branch.
pub async fn regenerate(
    app: &App,
    sender: Sender,
    room: ChatroomId,
    reply: MessageId,
    request: Option<&Request>,
) -> Result<Accepted, SendError> {
    accept(app, sender, room, Act::Regenerate(reply), request).await
}

enum Outcome {
    New { accepted: Box<Accepted>, rooms_rev: i64, being_written: Vec<MessageId> },
    Replay(MessageId),
}

/// Why nothing was promised.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// By our own estimate: Gemini may count otherwise.
    #[error("the message is about {} tokens", .0.estimated)]
    TooLong(context::TooLong),
    #[error(transparent)]
    Other(#[from] SendError),
}

impl From<store::Error> for Refused {
    fn from(cause: store::Error) -> Self {
        Self::Other(cause.into())
    }
}

async fn accept(
    app: &App,
    sender: Sender,
    room: ChatroomId,
    act: Act<'_>,
    request: Option<&Request>,
) -> Result<Accepted, SendError> {
    let mut counted = None;
    loop {
        match accept_once(app, sender, room, act, request, counted.as_ref()).await {
            Ok(accepted) => return Ok(accepted),
            Err(Refused::TooLong(message)) if counted.is_none() && context::does_fit(app, &message).await => {
                counted = Some(message.setting);
            }
            Err(Refused::TooLong(context::TooLong { estimated, fits, .. })) => {
                return Err(SendError::ContextOverflow { estimated, fits });
            }
            Err(Refused::Other(error)) => return Err(error),
        }
    }
}

async fn accept_once(
    app: &App,
    sender: Sender,
    room: ChatroomId,
    act: Act<'_>,
    request: Option<&Request>,
    counted: Option<&context::Setting>,
) -> Result<Accepted, Refused> {
    let listed = models::listed(app).await;
    let budget = billing::budget(app).await?;
    let now = app.clock.now();
    let ids = (MessageId::new(now), MessageId::new(now));
    let terms = act.text().map(|text| search::Terms::of(sender.user, text.as_str()));
    let change = app.people.change(sender.user);
    let outcome = crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, sender.user).await?.ok_or(SendError::NoSuchRoom)?;
        if let Some(request) = request {
            match replay::look_up(tx, sender.user, request).await? {
                Before::Same(reply) => return Ok(Outcome::Replay(MessageId(reply))),
                Before::Other => return Err(SendError::IdempotencyMismatch.into()),
                Before::Never => {}
            }
        }
        let place = sql::lock_room(tx, sender.user, room).await?.ok_or(SendError::NoSuchRoom)?;
        let question = act.question(app, tx, sender.user, (room, &place)).await?;
        context::must_fit(app, &place, (question.text(), question.files()), &listed, counted)
            .map_err(Refused::TooLong)?;
        (budget != Budget::Exhausted).then_some(()).ok_or(SendError::BudgetExhausted)?;
        // Before a prompt is spent: what is wanted no more may give one back.
        let being_written = match act {
            // It goes on where the branch ends.
            Act::Send(_) => Vec::new(),
            Act::Edit(..) | Act::Regenerate(_) => branch::turn_to(tx, &queue, room, question.behind(), now).await?,
        };
        let Some(prompts) = billing::spend_one(tx, sender.user, sender.daily_limit, now).await? else {
            let prompts = billing::prompts(tx, sender.user, sender.daily_limit, now).await?;
            return Err(SendError::PromptLimitReached { prompts }.into());
        };
        let (message, mut reply) = write_down(tx, room, &place, question, ids, queue.rev, now).await?;
        if let Some(terms) = &terms {
            search::index(tx, message.id, terms).await?;
        }
        let waiting = Waiting { id: JobId::from(reply.id), lane: room, seq: reply.seq, attempt: 0 };
        reply.position = Some(jobs::enqueue(tx, &queue, waiting, now).await?);
        let rooms_rev = sql::raise_rooms_rev(tx, sender.user).await?;
        if let Some(request) = request {
            replay::keep(tx, sender.user, request, reply.id.0, now).await?;
        }
        let accepted = Box::new(Accepted { message, reply, prompts, room_rev: queue.rev, is_replay: false });
        Ok::<_, Refused>(Outcome::New { accepted, rooms_rev, being_written })
    });
    match &outcome {
        Ok(Outcome::New { rooms_rev, .. }) => change.rooms(*rooms_rev),
        // Whether it was committed is not known.
        Err(Refused::Other(SendError::Store(_))) => drop(change),
        Ok(Outcome::Replay(_)) | Err(_) => change.nothing(),
    }
    match outcome? {
        Outcome::New { mut accepted, being_written, .. } => {
            for reply in being_written {
                app.live.stop(reply);
            }
            app.live.ring_for_jobs();
            app.live.ring(sender.user, room);
            estimate_wait(app, &mut accepted.reply);
            Ok(*accepted)
        }
        Outcome::Replay(reply) => Ok(replayed(app, sender, room, reply).await?),
    }
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
