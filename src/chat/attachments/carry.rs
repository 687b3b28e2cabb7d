//! Messages and the files that they carry.

use std::collections::{HashMap, HashSet};

use super::{Attachment, MOST_PER_MESSAGE, sql};
use crate::chat::Message;
use crate::clock::Moment;
use crate::ids::{AttachmentId, ChatroomId, MessageId, UserId};
use crate::store::sql::Ids;
use crate::store::{self, On, Tx};

/// The files that a new message may carry: of its room, whole, and in no other message but the one that it is `instead` of.
/// None: one of them is not, or they are too many, or one is named twice.
pub(in crate::chat) async fn usable(
    tx: &mut Tx,
    owner: UserId,
    room: ChatroomId,
    ids: &[AttachmentId],
    instead: &[Attachment],
) -> store::Result<Option<Vec<Attachment>>> {
    let named: HashSet<_> = ids.iter().collect();
    if ids.len() > MOST_PER_MESSAGE || named.len() < ids.len() {
        return Ok(None);
    }
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        match sql::find(tx, owner, room, *id).await? {
            Some((file, is_used)) if !is_used || instead.iter().any(|other| other.id == *id) => files.push(file),
            _ => return Ok(None),
        }
    }
    Ok(Some(files))
}

/// Has a message carry files, in this order. False when the sweep of unused ones was quicker: nothing may be committed then.
pub(in crate::chat) async fn carry(
    tx: &mut Tx,
    message: MessageId,
    files: &[Attachment],
    now: Moment,
) -> store::Result<bool> {
    for (place, file) in (0..).zip(files) {
        if !sql::carry(tx, message, place, file.id, now).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a message carries.
pub(in crate::chat) async fn of_message(on: &mut impl On, message: MessageId) -> store::Result<Vec<Attachment>> {
    sql::of_message(on, message).await
}

/// Some of a room's files, carried or not, behind one of them.
pub(in crate::chat) async fn of_room(
    on: &mut impl On,
    room: ChatroomId,
    after: AttachmentId,
    most: i64,
) -> store::Result<Vec<Attachment>> {
    sql::of_room(on, room, after, most).await
}

/// Adds to each message the files that it carries: one query for all that carry any.
pub(in crate::chat) async fn add(on: &mut impl On, messages: &mut [Message]) -> store::Result<()> {
    let carrying: Vec<_> = messages.iter().filter(|message| message.files > 0).map(|message| message.id.0).collect();
    if carrying.is_empty() {
        return Ok(());
    }
    let mut files: HashMap<_, Vec<Attachment>> = HashMap::new();
    for carried in sql::of_messages(on, &Ids(carrying)).await? {
        files.entry(carried.message_id).or_default().push(carried.file);
    }
    for message in messages {
        message.attachments = files.remove(&message.id.0).unwrap_or_default();
    }
    Ok(())
}
