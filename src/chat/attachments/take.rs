//! Giving a file back to its owner.

use super::{Attachment, AttachmentError, sql};
use crate::app::App;
use crate::files::{Content, Error};
use crate::ids::{AttachmentId, ChatroomId, UserId};

/// A file of a room of the caller's, and its content. One whose object is gone is gone.
pub async fn take(
    app: &App,
    owner: UserId,
    room: ChatroomId,
    id: AttachmentId,
) -> Result<(Attachment, Content), AttachmentError> {
    let mut reader = app.store.read().await?;
    crate::chat::sql::room(&mut reader, owner, room).await?.ok_or(AttachmentError::NoSuchRoom)?;
    let (file, _) = sql::find(&mut reader, owner, room, id).await?.ok_or(AttachmentError::NoSuchAttachment)?;
    drop(reader);
    match app.files.get(id).await {
        Ok(content) => Ok((file, content)),
        Err(Error::NotThere) => {
            // Deleted between the two looks, or lost.
            tracing::warn!(attachment = %id, "an attachment's object is not there");
            Err(AttachmentError::NoSuchAttachment)
        }
        Err(cause) => {
            tracing::warn!(%cause, "attachments cannot be reached");
            Err(AttachmentError::Unavailable)
        }
    }
}
