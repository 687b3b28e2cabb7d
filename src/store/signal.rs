//! How a command beside the server says "look again": a file next to the database that grows by a byte before the
//! command commits, and stays locked until it has. What was kept before is dropped, nothing is kept meanwhile. The
//! system lets go of the lock when the command dies, so that its commit holds at once even then. Work to be looked for
//! is told by a byte after the commit.
//!
//! Asking for its length is one system call. Measured side by side in a development build: 1.3 µs, against 126 µs for
//! `pragma data_version`, which says the same, and 141 µs for the select that it would save.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Store;

/// Heard by every process on the same SQLite file. PostgreSQL has none: its processes look by themselves.
#[derive(Clone, Debug)]
pub struct Signal {
    file: Arc<File>,
    path: PathBuf,
}

/// A command is at work until this is dropped.
#[derive(Debug)]
pub struct Announced(#[expect(dead_code, reason = "holding its lock is its use")] File);

impl Signal {
    /// The signal of a database; None where there is no file, or none can be made beside it.
    #[must_use]
    pub fn of(store: &Store) -> Option<Self> {
        let file = store.file()?;
        Self::beside(&file)
            .inspect_err(|cause| tracing::warn!(%cause, "no signal file: commands beside this process are heard late"))
            .ok()
    }

    /// The signal of the database in `file`.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn beside(file: &Path) -> std::io::Result<Self> {
        let path = super::beside(file, "-signal");
        Ok(Self { file: Arc::new(open(&path)?), path })
    }

    /// How often it was rung, by whomever.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.file.metadata().map_or(u64::MAX, |file| file.len())
    }

    /// Says that something was committed that a server should look at.
    pub fn ring(&self) {
        if let Err(cause) = (&*self.file).write_all(b".") {
            tracing::warn!(%cause, "the server beside could not be told; it notices by itself");
        }
    }

    /// Says that a change begins. Taken anew each time: locks of one handle do not know each other.
    pub fn announce(&self) -> Option<Announced> {
        let announced = open(&self.path).and_then(|mut file| {
            file.lock_shared()?;
            file.write_all(b".").map(|()| Announced(file))
        });
        announced
            .inspect_err(
                |cause| tracing::warn!(%cause, "the server beside could not be told; it notices within seconds"),
            )
            .ok()
    }

    /// Whether a command is at work.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.file.try_lock().is_err() || self.file.unlock().is_err()
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
