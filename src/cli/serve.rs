//! `serve`: the API, and the worker too.

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::process::{Part, Process};
use super::{first_steps, logs, open, out::Out};
use crate::{chat, retention, serve, worker};

/// Serve the API and write the replies; what runs without a command
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:\n  gemini-backend serve\n  \
    GEMINI_API_KEY=... PORT=3000 gemini-backend serve\n  \
    gemini-backend serve --no-worker    beside gemini-backend worker, on PostgreSQL")]
pub(super) struct Serve {
    /// Only take messages; `gemini-backend worker` processes write the replies
    #[arg(long)]
    no_worker: bool,
}

impl Serve {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let loaded = open::settings()?;
        logs::begin(&loaded.settings.server);
        let notes = loaded.notes.clone();
        let part = if self.no_worker { Part::Api } else { Part::All };
        let mut process = Process::begin(loaded, part).await?;
        let app = process.app.clone();
        let (listener, base) = process.door.take().context("a process that serves listens")?;
        if !self.no_worker {
            // On PostgreSQL other nodes and commands enqueue, too.
            let idle = if app.store.is_embedded() { worker::IDLE } else { worker::UNHEARD };
            app.tasks.spawn(worker::run(app.clone(), idle));
            app.tasks.spawn(retention::run(app.clone()));
            app.tasks.spawn(chat::watch_models(app.clone()));
        }
        let facts = json!({
            "listening": base, "sandbox": process.sandbox, "stripe_sandbox": process.shop, "worker": !self.no_worker,
            "notes": notes,
        });
        out.answer(&facts, || first_steps::text(&app.settings, &base, &process, self.no_worker))?;
        serve::serve(app.clone(), listener).await?;
        process.end().await;
        Ok(())
    }
}
