//! `backup` and `restore`: copies of the SQLite file.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::{open, out::Out};
use crate::store;

/// Copy the SQLite database to a new file, beside a running server
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gemini-backend backup /var/backups/chat-2026-11-21.db\n\nThe file appears when it is whole. With PostgreSQL: pg_dump. Keep SECRET_KEY with the copy, or in development the file `secret` beside the database: codes and sessions are bound to it."
)]
pub(super) struct Backup {
    /// A file that is not there yet
    file: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let settings = open::settings()?.settings;
        open::must_be_there(&settings)?;
        let store = open::database(&settings).await?;
        let bytes = store::backup(&store, &self.file).await?;
        store.close().await;
        out.answer(&json!({"file": self.file, "bytes": bytes}), || format!("{}: {bytes} bytes", self.file.display()))
    }
}

/// Put a backup in the SQLite database's place, while no server runs
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gemini-backend restore /var/backups/chat-2026-11-21.db\n\nWhat was written since the backup is gone; take another backup first if in doubt. SECRET_KEY, or in development the file `secret` beside the database, is not part of a backup: put it back, too, and whoever was signed in still is."
)]
pub(super) struct Restore {
    /// What `backup` wrote
    file: PathBuf,
}

impl Restore {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let settings = open::settings()?.settings;
        let database = settings.database.file().context(store::CopyError::NotSqlite)?;
        store::restore(&database, &self.file).await?;
        out.answer(&json!({"restored": self.file, "database": database}), || {
            format!("{} is now what {} was.", database.display(), self.file.display())
        })
    }
}
