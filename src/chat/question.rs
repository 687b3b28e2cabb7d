//! What a new reply answers: something said now, or something said before; and how both are written down.

use super::{Attachment, Message, Role, Said, SendError, Text, alternatives, attachments, context, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::Tx;

/// What somebody does to get a reply.
#[derive(Clone, Copy)]
pub(super) enum Act<'a> {
    Send(Said<'a>),
    Edit(MessageId, Said<'a>),
    Regenerate(MessageId),
}

/// What the new reply answers.
pub(super) enum Question<'a> {
    /// Something that is said now, behind `parent`.
    New { parent: Option<MessageId>, text: &'a str, files: Vec<Attachment> },
    /// Something that was said before.
    Old(Box<Message>),
}

impl<'a> Act<'a> {
    /// What is said with it.
    pub(super) const fn text(self) -> Option<&'a Text> {
        match self {
            Self::Send(said) | Self::Edit(_, said) => Some(said.text),
            Self::Regenerate(_) => None,
        }
    }

    /// Finds what is to be answered, or why it cannot be.
    pub(super) async fn question(
        self,
        app: &App,
        tx: &mut Tx,
        user: UserId,
        (room, place): (ChatroomId, &sql::Place),
    ) -> Result<Question<'a>, SendError> {
        let question = self.find(tx, user, room, place).await?;
        context::may_carry(app, question.files())?;
        Ok(question)
    }

    async fn find(
        self,
        tx: &mut Tx,
        user: UserId,
        room: ChatroomId,
        place: &sql::Place,
    ) -> Result<Question<'a>, SendError> {
        let new = |parent, said: Said<'a>, files| Question::New { parent, text: said.text.as_str(), files };
        match self {
            Self::Send(said) => {
                let files = attachments::usable(tx, user, room, said.files.unwrap_or_default(), &[]).await?;
                Ok(new(place.head, said, files.ok_or(SendError::UnusableAttachment)?))
            }
            Self::Edit(message, said) => {
                let message = sql::message(tx, room, message).await?.ok_or(SendError::NoSuchMessage)?;
                if message.role != Role::User {
                    return Err(SendError::NotAUserMessage);
                }
                let own = attachments::of_message(tx, message.id).await?;
                let files = match said.files {
                    Some(named) => attachments::usable(tx, user, room, named, &own).await?,
                    None => Some(own),
                };
                Ok(new(message.parent_id, said, files.ok_or(SendError::UnusableAttachment)?))
            }
            Self::Regenerate(reply) => {
                let reply = sql::message(tx, room, reply).await?.ok_or(SendError::NoSuchMessage)?;
                let asked = reply.parent_id.filter(|_| reply.role == Role::Model).ok_or(SendError::NotAReply)?;
                if !reply.status.is_end() {
                    return Err(SendError::ReplyInProgress);
                }
                let mut asked = sql::message(tx, room, asked).await?.ok_or(SendError::NoSuchMessage)?;
                asked.attachments = attachments::of_message(tx, asked.id).await?;
                Ok(Question::Old(Box::new(asked)))
            }
        }
    }
}

impl Question<'_> {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::New { text, .. } => text,
            Self::Old(message) => &message.content,
        }
    }

    pub(super) fn files(&self) -> &[Attachment] {
        match self {
            Self::New { files, .. } => files,
            Self::Old(message) => &message.attachments,
        }
    }

    /// The last message of the branch that the new one goes on.
    pub(super) fn behind(&self) -> Option<MessageId> {
        match self {
            Self::New { parent, .. } => *parent,
            Self::Old(message) => Some(message.id),
        }
    }
}

/// Writes the reply, the question before it unless it is there, and that the room ends with them now.
pub(super) async fn write_down(
    tx: &mut Tx,
    room: ChatroomId,
    place: &sql::Place,
    question: Question<'_>,
    (message_id, reply_id): (MessageId, MessageId),
    rev: i64,
    now: Moment,
) -> Result<(Message, Message), SendError> {
    let new = |id, parent, seq| sql::NewMessage { id, room, parent, seq, rev, now, files: 0 };
    let (message, reply) = match question {
        Question::New { parent, text, files } => {
            let count = i64::try_from(files.len()).unwrap_or(i64::MAX);
            let message = sql::NewMessage { files: count, ..new(message_id, parent, place.next_seq) };
            let reply = new(reply_id, Some(message_id), place.next_seq + 1);
            sql::insert_pair(tx, &message, text, &reply).await?;
            let is_carried = attachments::carry(tx, message_id, &files, now).await?;
            is_carried.then_some(()).ok_or(SendError::UnusableAttachment)?;
            (Message { attachments: files, ..message.as_inserted(Some(text)) }, reply)
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
