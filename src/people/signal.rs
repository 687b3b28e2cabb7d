//! How a command beside the server says "look again": a file next to the database that grows by a byte.
//!
//! Asking for its length is one system call. Measured side by side in a development build: 1.3 µs, against 126 µs for
//! `pragma data_version`, which says the same, and 141 µs for the select that it would save.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Signal(File);

impl Signal {
    /// The signal of the database in `file`.
    pub(super) fn beside(file: &Path) -> std::io::Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push("-signal");
        OpenOptions::new().create(true).append(true).open(name).map(Self)
    }

    pub(super) fn count(&self) -> u64 {
        self.0.metadata().map_or(u64::MAX, |file| file.len())
    }

    pub(super) fn ring(&self) {
        if let Err(cause) = (&self.0).write_all(b".") {
            tracing::warn!(%cause, "the server beside could not be told; it will notice within seconds");
        }
    }
}
