//! Promising a reply: prompt, message, reply and job in one transaction.
//!
//! To [`send`], to [`edit`] and to [`regenerate`] are one act that differs in where the reply hangs.

use super::read::estimate_wait;
use super::{Message, Role, Text, alternatives, branch, context, models, search, sql};
use crate::app::App;
use crate::billing::{self, Budget, Prompts};
use crate::clock::Moment;
use crate::http::replay::{self, Before, Request};
use crate::ids::{ChatroomId, JobId, MessageId, UserId};
use crate::jobs::{self, Waiting};
use crate::store::{self, Tx};

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
    accept(app, sender, room, Act::Send(text), request).await
}

/// Takes in what the sender would rather have said than `message`, beside it, and promises a reply to that: as [`send`] does.
/// The old message stays with what followed it, off the current branch.
pub async fn edit(
    app: &App,
    sender: Sender,
    room: ChatroomId,
    message: MessageId,
    text: &Text,
    request: Option<&Request>,
) -> Result<Accepted, SendError> {
    accept(app, sender, room, Act::Edit(message, text), request).await
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

#[derive(Clone, Copy)]
enum Act<'a> {
    Send(&'a Text),
    Edit(MessageId, &'a Text),
    Regenerate(MessageId),
}

/// What the new reply answers.
enum Question<'a> {
    /// Something that is said now, behind `parent`.
    New { parent: Option<MessageId>, text: &'a str },
    /// Something that was said before.
    Old(Box<Message>),
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
        let question = act.question(tx, room, &place).await?;
        context::must_fit(app, &place, question.text(), &listed, counted).map_err(Refused::TooLong)?;
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

impl<'a> Act<'a> {
    /// What is said with it.
    const fn text(self) -> Option<&'a Text> {
        match self {
            Self::Send(text) | Self::Edit(_, text) => Some(text),
            Self::Regenerate(_) => None,
        }
    }

    /// Finds what is to be answered, or why it cannot be.
    async fn question(self, tx: &mut Tx, room: ChatroomId, place: &sql::Place) -> Result<Question<'a>, SendError> {
        match self {
            Self::Send(text) => Ok(Question::New { parent: place.head, text: text.as_str() }),
            Self::Edit(message, text) => {
                let message = sql::message(tx, room, message).await?.ok_or(SendError::NoSuchMessage)?;
                if message.role != Role::User {
                    return Err(SendError::NotAUserMessage);
                }
                Ok(Question::New { parent: message.parent_id, text: text.as_str() })
            }
            Self::Regenerate(reply) => {
                let reply = sql::message(tx, room, reply).await?.ok_or(SendError::NoSuchMessage)?;
                let asked = reply.parent_id.filter(|_| reply.role == Role::Model).ok_or(SendError::NotAReply)?;
                if !reply.status.is_end() {
                    return Err(SendError::ReplyInProgress);
                }
                let asked = sql::message(tx, room, asked).await?.ok_or(SendError::NoSuchMessage)?;
                Ok(Question::Old(Box::new(asked)))
            }
        }
    }
}

impl Question<'_> {
    fn text(&self) -> &str {
        match self {
            Self::New { text, .. } => text,
            Self::Old(message) => &message.content,
        }
    }

    /// The last message of the branch that the new one goes on.
    fn behind(&self) -> Option<MessageId> {
        match self {
            Self::New { parent, .. } => *parent,
            Self::Old(message) => Some(message.id),
        }
    }
}

/// Writes the reply, the question before it unless it is there, and that the room ends with them now.
async fn write_down(
    tx: &mut Tx,
    room: ChatroomId,
    place: &sql::Place,
    question: Question<'_>,
    (message_id, reply_id): (MessageId, MessageId),
    rev: i64,
    now: Moment,
) -> store::Result<(Message, Message)> {
    let new = |id, parent, seq| sql::NewMessage { id, room, parent, seq, rev, now };
    let (message, reply) = match question {
        Question::New { parent, text } => {
            let message = new(message_id, parent, place.next_seq);
            let reply = new(reply_id, Some(message_id), place.next_seq + 1);
            sql::insert_pair(tx, &message, text, &reply).await?;
            (message.as_inserted(Some(text)), reply)
        }
        Question::Old(message) => {
            let reply = new(reply_id, Some(message.id), place.next_seq);
            sql::insert_reply(tx, &reply).await?;
            (Message { is_current: true, ..*message }, reply)
        }
    };
    sql::advance_room(tx, &reply).await?;
    let mut written = [message, reply.as_inserted(None)];
    // Nothing was ever said behind a room's head.
    if written[0].parent_id != place.head || written[0].id != message_id {
        alternatives::add(tx, &mut written).await?;
    }
    let [message, reply] = written;
    Ok((message, reply))
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
