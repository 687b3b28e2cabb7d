//! Every statement about attachments.

use uuid::Uuid;

use super::{Attachment, Kind};
use crate::clock::Moment;
use crate::files::Discarded;
use crate::ids::{AttachmentId, ChatroomId, MessageId, UserId};
use crate::store::sql::{Fork, Ids};
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_one, fetch_optional};

/// A file that is about to be stored.
#[derive(Debug)]
pub(super) struct Coming<'a> {
    pub id: AttachmentId,
    pub owner: UserId,
    pub room: ChatroomId,
    pub name: &'a str,
    pub media_type: Kind,
    pub bytes: i64,
    pub tokens: i64,
}

/// Files of a person's that no message carries, those on their way included.
pub(super) async fn count_unused(on: &mut impl On, owner: UserId) -> Result<i64> {
    let sql = "select count(*) from attachments where owner = $1 and used_at is null";
    Ok(fetch_one!(on, (i64,), sql, owner)?.0)
}

pub(super) async fn insert(tx: &mut Tx, file: &Coming<'_>, now: Moment) -> Result<()> {
    execute!(
        tx,
        "insert into attachments (id, owner, chatroom_id, name, media_type, bytes, tokens, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        file.id,
        file.owner,
        file.room,
        file.name,
        file.media_type,
        file.bytes,
        file.tokens,
        now
    )?;
    Ok(())
}

/// Says that the object is there. False when the row is not, or the room is its owner's no more.
pub(super) async fn set_stored(tx: &mut Tx, id: AttachmentId, now: Moment) -> Result<bool> {
    let done = execute!(
        tx,
        "update attachments set stored_at = $2
         where id = $1 and exists (select 1 from chatrooms r where r.id = chatroom_id and r.owner = attachments.owner)",
        id,
        now
    )?;
    Ok(done == 1)
}

/// A file that is there, and whether a message carries it.
pub(super) async fn find(
    on: &mut impl On,
    owner: UserId,
    room: ChatroomId,
    id: AttachmentId,
) -> Result<Option<(Attachment, bool)>> {
    #[derive(sqlx::FromRow)]
    struct Found {
        #[sqlx(flatten)]
        file: Attachment,
        is_used: bool,
    }
    let found = fetch_optional!(
        on,
        Found,
        "select a.id, a.name, a.media_type, a.bytes, a.tokens, a.used_at is not null as is_used
         from attachments a join chatrooms r on r.id = a.chatroom_id
         where a.id = $1 and a.chatroom_id = $2 and r.owner = $3 and a.stored_at is not null",
        id,
        room,
        owner
    )?;
    Ok(found.map(|found| (found.file, found.is_used)))
}

/// Deletes the row of a file that no message carries.
pub(super) async fn delete_unused(tx: &mut Tx, id: AttachmentId) -> Result<Option<Discarded>> {
    let row = fetch_optional!(
        tx,
        Gone,
        "delete from attachments where id = $1 and used_at is null returning id, stored_at is not null as is_stored",
        id
    )?;
    Ok(row.map(Discarded::from))
}

#[derive(sqlx::FromRow)]
struct Gone {
    id: AttachmentId,
    is_stored: bool,
}

impl From<Gone> for Discarded {
    fn from(gone: Gone) -> Self {
        Self { id: gone.id, is_stored: gone.is_stored }
    }
}

/// Deletes rows of files that no message carries from before then, at most so many.
pub(super) async fn delete_old_unused(tx: &mut Tx, before: Moment, most: u32) -> Result<Vec<Discarded>> {
    let gone = fetch_all!(
        tx,
        Gone,
        "delete from attachments where used_at is null and id in
             (select id from attachments where used_at is null and created_at < $1 order by created_at limit $2)
         returning id, stored_at is not null as is_stored",
        before,
        i64::from(most)
    )?;
    Ok(gone.into_iter().map(Discarded::from).collect())
}

/// Deletes rows of a room's files, at most so many, and that messages carried them.
pub(super) async fn delete_of_room(tx: &mut Tx, room: ChatroomId, most: u32) -> Result<Vec<Discarded>> {
    const CARRIED: Fork = Fork {
        sqlite: "delete from message_attachments where attachment_id in (select unhex(value) from json_each($1))",
        postgres: "delete from message_attachments where attachment_id = any ($1)",
    };
    let gone = fetch_all!(
        tx,
        Gone,
        "delete from attachments where id in (select id from attachments where chatroom_id = $1 order by id limit $2)
         returning id, stored_at is not null as is_stored",
        room,
        i64::from(most)
    )?;
    if !gone.is_empty() {
        let ids = Ids(gone.iter().map(|gone| gone.id.0).collect());
        execute!(tx, CARRIED, &ids)?;
    }
    Ok(gone.into_iter().map(Discarded::from).collect())
}

/// What a message carries, in its order.
pub(super) async fn of_message(on: &mut impl On, message: MessageId) -> Result<Vec<Attachment>> {
    fetch_all!(
        on,
        Attachment,
        "select a.id, a.name, a.media_type, a.bytes, a.tokens
         from message_attachments c join attachments a on a.id = c.attachment_id where c.message_id = $1 order by c.place",
        message
    )
}

/// Files of a room that are there, those behind one of them.
pub(super) async fn of_room(
    on: &mut impl On,
    room: ChatroomId,
    after: AttachmentId,
    most: i64,
) -> Result<Vec<Attachment>> {
    fetch_all!(
        on,
        Attachment,
        "select id, name, media_type, bytes, tokens from attachments
         where chatroom_id = $1 and id > $2 and stored_at is not null order by id limit $3",
        room,
        after,
        most
    )
}

#[derive(sqlx::FromRow)]
pub(super) struct Carried {
    pub message_id: Uuid,
    #[sqlx(flatten)]
    pub file: Attachment,
}

macro_rules! carried {
    ($these:literal) => {
        concat!(
            "select c.message_id, a.id, a.name, a.media_type, a.bytes, a.tokens
             from message_attachments c join attachments a on a.id = c.attachment_id where c.message_id ",
            $these,
            " order by c.message_id, c.place"
        )
    };
}

const CARRIED: Fork =
    Fork { sqlite: carried!("in (select unhex(value) from json_each($1))"), postgres: carried!("= any ($1)") };

/// What these messages carry, each in its order.
pub(super) async fn of_messages(on: &mut impl On, messages: &Ids) -> Result<Vec<Carried>> {
    fetch_all!(on, Carried, CARRIED, messages)
}

/// Notes that a message carries a file. False when the file has just gone.
pub(super) async fn carry(
    tx: &mut Tx,
    message: MessageId,
    place: i64,
    file: AttachmentId,
    now: Moment,
) -> Result<bool> {
    let use_it = "update attachments set used_at = coalesce(used_at, $2) where id = $1 and stored_at is not null";
    if execute!(tx, use_it, file, now)? == 0 {
        return Ok(false);
    }
    execute!(
        tx,
        "insert into message_attachments (message_id, place, attachment_id) values ($1, $2, $3)",
        message,
        place,
        file
    )?;
    Ok(true)
}
