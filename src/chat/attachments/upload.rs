//! Taking a file in: the row first, then the object, then the word that it is there.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::sql::{self, Coming};
use super::{Attachment, AttachmentError, Kind, Name, drop_objects};
use crate::app::App;
use crate::chat::sql::lock_room;
use crate::files::{self, Discarded};
use crate::http::replay::{self, Before, Request};
use crate::ids::{AttachmentId, ChatroomId, UserId};
use crate::jobs;
use crate::store::{self, Tx};

/// Of a file that cannot be weighed: as much as the largest comes to.
const MOST_TOKENS: u64 = 560_000;

/// A file that somebody sends.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub name: Name,
    pub content: Bytes,
}

impl NewFile {
    /// As part of what an Idempotency-Key stands for.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.content))
    }
}

/// Takes a file into a room of the caller's, for a message to carry; true beside it when an earlier request with the same key
/// had brought it.
///
/// Its row is committed before its object is written, and made good after: whatever dies in between, the sweep of unused
/// files finds the row and with it the object.
pub async fn upload(
    app: &App,
    owner: UserId,
    room: ChatroomId,
    file: &NewFile,
    request: Option<&Request>,
) -> Result<(Attachment, bool), AttachmentError> {
    let kind = Kind::of(&file.content).ok_or(AttachmentError::UnsupportedFile)?;
    let tokens = weigh(kind, file.content.clone()).await;
    let now = app.clock.now();
    let coming = Coming {
        id: AttachmentId::new(now),
        owner,
        room,
        name: file.name.as_str(),
        media_type: kind,
        bytes: i64::try_from(file.content.len()).unwrap_or(i64::MAX),
        tokens: i64::try_from(tokens).unwrap_or(i64::MAX),
    };
    let most = app.settings.files.most_unused;
    let before = crate::transaction!(app.store, |tx| {
        jobs::lock(tx, owner).await?.ok_or(AttachmentError::NoSuchRoom)?;
        if let Some(before) = replayed(tx, &coming, request).await? {
            return Ok(Some(before));
        }
        lock_room(tx, owner, room).await?.ok_or(AttachmentError::NoSuchRoom)?;
        if sql::count_unused(tx, owner).await? >= i64::from(most) {
            return Err(AttachmentError::TooManyUnused { most });
        }
        sql::insert(tx, &coming, now).await?;
        Ok::<_, AttachmentError>(None)
    })?;
    if let Some(before) = before {
        return Ok((before, true));
    }
    if let Err(cause) = app.files.put(coming.id, file.content.clone()).await {
        // Who deletes the room meanwhile takes the file away in the middle of it.
        if !discard(app, coming.id).await? {
            return Err(AttachmentError::NoSuchRoom);
        }
        tracing::error!(%cause, "an attachment was not stored");
        return Err(AttachmentError::Unavailable);
    }
    make_good(app, &coming, request).await
}

/// Off the async threads: a PDF is read from its beginning to its end.
async fn weigh(kind: Kind, content: Bytes) -> u64 {
    let weighed = tokio::task::spawn_blocking(move || kind.tokens(&content)).await;
    weighed.unwrap_or_else(|cause| {
        tracing::error!(%cause, "an attachment could not be weighed");
        MOST_TOKENS
    })
}

/// The object is there: from now on it can be read and carried, unless its room went meanwhile, or the same request was
/// quicker by another way.
async fn make_good(
    app: &App,
    coming: &Coming<'_>,
    request: Option<&Request>,
) -> Result<(Attachment, bool), AttachmentError> {
    let now = app.clock.now();
    let made = crate::transaction!(app.store, |tx| {
        jobs::lock(tx, coming.owner).await?.ok_or(AttachmentError::NoSuchRoom)?;
        if let Some(before) = replayed(tx, coming, request).await? {
            return Ok(Some(before));
        }
        if !sql::set_stored(tx, coming.id, now).await? {
            return Err(AttachmentError::NoSuchRoom);
        }
        if let Some(request) = request {
            replay::keep(tx, coming.owner, request, coming.id.0, now).await?;
        }
        Ok::<_, AttachmentError>(None)
    });
    match made {
        Ok(None) => {
            let Coming { id, media_type, bytes, tokens, .. } = *coming;
            Ok((Attachment { id, name: coming.name.to_owned(), media_type, bytes, tokens }, false))
        }
        Ok(Some(before)) => {
            discard(app, coming.id).await?;
            Ok((before, true))
        }
        // Whether it was committed is not known: the row tells.
        Err(AttachmentError::Store(cause)) => Err(cause.into()),
        Err(refused) => {
            discard(app, coming.id).await?;
            Err(refused)
        }
    }
}

/// What the request's key has made before.
async fn replayed(
    tx: &mut Tx,
    coming: &Coming<'_>,
    request: Option<&Request>,
) -> Result<Option<Attachment>, AttachmentError> {
    let Some(request) = request else { return Ok(None) };
    match replay::look_up(tx, coming.owner, request).await? {
        Before::Never => Ok(None),
        Before::Other => Err(AttachmentError::IdempotencyMismatch),
        Before::Same(id) => {
            let found = sql::find(tx, coming.owner, coming.room, AttachmentId(id)).await?;
            Ok(Some(found.ok_or(AttachmentError::NoSuchAttachment)?.0))
        }
    }
}

/// Gives up a file whose object is there, or may be. False when somebody else had deleted its row already.
async fn discard(app: &App, id: AttachmentId) -> store::Result<bool> {
    let now = app.clock.now();
    let was_there = crate::transaction!(app.store, |tx| {
        let row = sql::delete_unused(tx, id).await?;
        files::discard(tx, &[Discarded { id, is_stored: false }], now).await?;
        Ok::<_, store::Error>(row.is_some())
    })?;
    drop_objects(app, &[Discarded { id, is_stored: false }]).await;
    Ok(was_there)
}
