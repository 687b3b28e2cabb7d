//! `worker`: replies written apart from the API.

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::process::{Part, Process};
use super::{logs, open, out::Out};
use crate::{chat, retention, serve, worker};

/// Write replies only, beside `serve --no-worker` processes on the same PostgreSQL
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  DATABASE_URL=postgres://chat:secret@db/chat GEMINI_API_KEY=... gemini-backend worker"
)]
pub(super) struct Worker {}

impl Worker {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let loaded = open::settings()?;
        logs::begin(&loaded.settings.server);
        open::must_be_there(&loaded.settings)?;
        let notes = loaded.notes.clone();
        let process = Process::begin(loaded, Part::Worker).await?;
        serve::serve_operators(&process.app).await.context("cannot listen on METRICS_BIND")?;
        let at_once = process.app.settings.worker.concurrency;
        out.answer(&json!({"replies_at_once": at_once, "sandbox": process.sandbox, "notes": notes}), || {
            format!("gemini-backend writes up to {at_once} replies at once.")
        })?;
        process.app.tasks.spawn(retention::run(process.app.clone()));
        process.app.tasks.spawn(chat::watch_models(process.app.clone()));
        process.app.tasks.spawn(worker::run(process.app.clone(), worker::UNHEARD));
        process.app.stop.cancelled().await;
        process.end().await;
        Ok(())
    }
}
