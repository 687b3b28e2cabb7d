//! The files of people: objects in a folder or a bucket, each by its id and nothing else. One door: put, get, delete.
//!
//! What an object is, whose, and who may have it, stands in rows that others keep. An object has a row before it is there,
//! and loses it first: whoever deletes the row calls [`discard`] in the same transaction, and [`sweep`] deletes the object
//! after it, again and again until it is gone.

mod memory;
mod open;
mod outbox;
mod sql;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

pub use memory::{Memory, Share};
pub use open::Unusable;
pub use outbox::{Discarded, discard, forget, sweep};

use crate::config::{FilesPlace, Settings};
use crate::ids::AttachmentId;

/// For a file to be stored, and for the others to begin: as long as somebody who waits for it is patient.
const PUT_TIME: Duration = Duration::from_mins(1);
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// After this long nothing that was being stored is on its way any more, wherever it got stuck.
pub(crate) const SETTLED: Duration = Duration::from_mins(15);

/// Where files lie. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    /// What stands before each name.
    prefix: Path,
    /// Of a store that is a folder of this machine.
    folder: Option<std::path::PathBuf>,
    /// Where it is, in words for operators.
    place: String,
    /// What files take on their way in.
    pub incoming: Memory,
    /// And on their way to Gemini.
    pub outgoing: Memory,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such object")]
    NotThere,
    #[error("the files cannot be reached: {0}")]
    Unavailable(#[source] object_store::Error),
    #[error("the files did not answer in time")]
    TimedOut,
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotThere,
            other => Self::Unavailable(other),
        }
    }
}

/// The content of a file, piece by piece.
pub type Content = BoxStream<'static, Result<Bytes, Error>>;

impl Files {
    /// Stores a file, whole or not at all.
    pub async fn put(&self, id: AttachmentId, content: Bytes) -> Result<(), Error> {
        if let Some(folder) = &self.folder {
            open::make_private(folder).map_err(|cause| Error::Unavailable(open::of_folder(cause)))?;
        }
        let path = self.path(id);
        in_time(PUT_TIME, self.store.put(&path, PutPayload::from_bytes(content))).await.map(drop)
    }

    /// A file's content, not read before it is asked for.
    pub async fn get(&self, id: AttachmentId) -> Result<Content, Error> {
        let path = self.path(id);
        let found = in_time(ANSWER_TIME, self.store.get(&path)).await?;
        Ok(found.into_stream().map(|piece| piece.map_err(Error::from)).boxed())
    }

    /// A file's content, whole.
    pub async fn read(&self, id: AttachmentId) -> Result<Bytes, Error> {
        let path = self.path(id);
        let whole = async { self.store.get(&path).await?.bytes().await };
        in_time(PUT_TIME, whole).await
    }

    /// Deletes a file, and what a process that died left of it half-written. One that is gone already is deleted.
    pub async fn delete(&self, id: AttachmentId) -> Result<(), Error> {
        let path = self.path(id);
        if let Some(half) = self.half_written(id) {
            match tokio::fs::remove_file(half).await {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::Unavailable(open::of_folder(cause)));
                }
                _ => {}
            }
        }
        match in_time(ANSWER_TIME, self.store.delete(&path)).await {
            Err(Error::NotThere) => Ok(()),
            deleted => deleted,
        }
    }

    /// Whether the place answers: what is not there is not there.
    pub async fn reach(&self) -> Result<(), Error> {
        let nobody = self.path(AttachmentId(uuid::Uuid::nil()));
        match in_time(ANSWER_TIME, self.store.head(&nobody)).await {
            Ok(_) | Err(Error::NotThere) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Whether it is a folder that nobody chose: this machine's own, of use to no other.
    #[must_use]
    pub fn is_of_this_machine(settings: &Settings) -> bool {
        settings.files.place == FilesPlace::Beside
    }

    /// Where files lie, in words.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Two letters of an id's random end make folders of a bearable size.
    fn path(&self, id: AttachmentId) -> Path {
        let name = id.0.simple().to_string();
        self.prefix.clone().join(&name[30..]).join(name)
    }

    /// Where the folder keeps a file until it is whole. Each is put once, so there is one such name.
    fn half_written(&self, id: AttachmentId) -> Option<std::path::PathBuf> {
        let name = id.0.simple().to_string();
        Some(self.folder.as_ref()?.join(&name[30..]).join(format!("{name}#1")))
    }
}

async fn in_time<T>(time: Duration, work: impl Future<Output = object_store::Result<T>>) -> Result<T, Error> {
    Ok(tokio::time::timeout(time, work).await.map_err(|_| Error::TimedOut)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(folder: &std::path::Path) -> Files {
        let mut settings = crate::config::Settings::development();
        settings.files.place = FilesPlace::Folder(folder.to_owned());
        Files::new(&settings).expect("a folder")
    }

    #[tokio::test]
    async fn a_file_is_there_until_it_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("a place with späces #1");
        let files = in_folder(&place);
        let id = AttachmentId(uuid::Uuid::now_v7());
        assert!(matches!(files.get(id).await.map(drop), Err(Error::NotThere)));
        files.reach().await.expect("a folder that is not made yet is as good as an empty one");
        files.put(id, Bytes::from_static(b"hello")).await.expect("stored");
        assert_eq!(files.read(id).await.expect("there"), "hello");
        files.delete(id).await.expect("deleted");
        files.delete(id).await.expect("deleted before");
        assert!(matches!(files.read(id).await, Err(Error::NotThere)));
    }

    #[tokio::test]
    async fn what_a_dead_process_left_half_written_goes_with_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = in_folder(folder.path());
        let id = AttachmentId(uuid::Uuid::now_v7());
        let half = files.half_written(id).expect("a folder");
        files.put(id, Bytes::from_static(b"hello")).await.expect("stored");
        let whole = folder
            .path()
            .join(half.strip_prefix(folder.path()).expect("within"))
            .with_file_name(id.0.simple().to_string());
        assert!(whole.exists(), "{whole:?}");
        std::fs::write(&half, b"hel").expect("written");
        files.delete(id).await.expect("deleted");
        assert!(!half.exists() && !whole.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_folder_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("data/attachments");
        let files = in_folder(&place);
        files.put(AttachmentId(uuid::Uuid::now_v7()), Bytes::from_static(b"x")).await.expect("stored");
        assert_eq!(std::fs::metadata(&place).expect("made").permissions().mode() & 0o777, 0o700);
    }
}
