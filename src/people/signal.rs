//! How a command beside the server says "look again": a file next to the database that grows by a byte before the
//! command commits, and stays locked until it has. What was kept before is dropped, nothing is kept meanwhile. The
//! system lets go of the lock when the command dies, so that its commit holds at once even then.
//!
//! Asking for its length is one system call. Measured side by side in a development build: 1.3 µs, against 126 µs for
//! `pragma data_version`, which says the same, and 141 µs for the select that it would save.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Signal {
    file: File,
    path: PathBuf,
}

/// A command is at work until this is dropped.
#[derive(Debug)]
pub(super) struct Announced(#[expect(dead_code, reason = "holding its lock is its use")] File);

impl Signal {
    /// The signal of the database in `file`.
    pub(super) fn beside(file: &Path) -> std::io::Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push("-signal");
        let path = PathBuf::from(name);
        Ok(Self { file: open(&path)?, path })
    }

    pub(super) fn count(&self) -> u64 {
        self.file.metadata().map_or(u64::MAX, |file| file.len())
    }

    /// Says that a change begins. Taken anew each time: locks of one handle do not know each other.
    pub(super) fn announce(&self) -> Option<Announced> {
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
    pub(super) fn is_announced(&self) -> bool {
        self.file.try_lock().is_err() || self.file.unlock().is_err()
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
