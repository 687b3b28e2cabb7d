//! `migrate`: bring the schema up to date.

use clap::Args;
use serde_json::json;

use super::{open, out::Out};
use crate::store;

/// Bring the database's schema up to date
///
/// Safe beside running servers and beside other runs of itself; what is up to date is left alone.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  DATABASE_URL=postgres://chat:secret@db/chat gemini-backend migrate")]
pub(super) struct Migrate {
    /// Only tell what would run
    #[arg(long)]
    dry_run: bool,
}

impl Migrate {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let settings = open::settings()?.settings;
        if self.dry_run {
            open::must_be_there(&settings)?;
        }
        let store = open::database(&settings).await?;
        let pending = store::pending(&store).await?;
        if !self.dry_run {
            store::migrate(&store).await?;
        }
        store.close().await;
        let ran = if self.dry_run { 0 } else { pending };
        out.answer(&json!({"pending": pending - ran, "ran": ran}), || match (pending, self.dry_run) {
            (0, _) => "The schema is up to date.".to_owned(),
            (_, true) => format!("{pending} migrations would run."),
            (_, false) => format!("{pending} migrations ran; the schema is up to date."),
        })
    }
}
