//! A process that stays: what `serve` and `worker` begin and end with.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::connections_within;
use super::open;
use super::signals::Signals;
use crate::app::App;
use crate::config::{Loaded, Settings, keep_development_secret};
use crate::sandbox::gemini;
use crate::store::{self, Owner};
use crate::{billing, jobs};

/// From the word to stop: 20 s for replies to end, some for the rest to be handed back, gone within 30.
const END: Duration = Duration::from_secs(28);

/// For the traces that are left then.
const LAST_TRACES: Duration = Duration::from_secs(1);
/// And for the database to let go.
const LAST_STATEMENTS: Duration = Duration::from_millis(800);

/// A process in being.
#[derive(Debug)]
pub(super) struct Process {
    pub app: Arc<App>,
    /// Where the built-in sandbox listens, when it answers.
    pub sandbox: Option<String>,
    /// When the word to stop came.
    told: Arc<OnceLock<Instant>>,
    /// Ends the sandbox, after everything that may still speak to it.
    end_sandbox: CancellationToken,
    /// Not among the app's tasks: it listens for as long as they end.
    _obeying: TaskTracker,
    /// The SQLite file is this process's alone.
    _owner: Option<Owner>,
}

impl Process {
    /// Takes the database, brings it up to date, and makes an app that can work.
    pub(super) async fn begin(loaded: Loaded) -> super::Result<Self> {
        let signals = Signals::listen()?;
        let Loaded { mut settings, notes, .. } = loaded;
        for note in notes {
            tracing::info!("{note}");
        }
        settings.server.max_connections = connections_within(settings.server.max_connections);
        keep_development_secret(&mut settings)?;
        let owner = settings.database.file().map(|file| store::own(&file)).transpose()?;
        let store = open::store(&settings).await?;
        if owner.is_some() {
            let left = jobs::void_leases(&store).await?;
            tracing::debug!(left, "leases of the last process were voided");
        }
        billing::apply_limits(&store, &settings.quota).await?;
        let end_sandbox = CancellationToken::new();
        let sandbox = begin_sandbox(&mut settings, &end_sandbox).await?;
        let app = open::app_on(settings, store).await?;
        app.tasks.spawn(app.clone().follow_clock());
        let obeying = TaskTracker::new();
        let told = Arc::new(OnceLock::new());
        obeying.spawn(obey(signals, app.stop.clone(), Arc::clone(&told)));
        Ok(Self { app, sandbox, told, end_sandbox, _obeying: obeying, _owner: owner })
    }

    /// Ends what was spawned, in time, and lets go of the database.
    pub(super) async fn end(self) {
        self.app.stop.cancel();
        self.app.tasks.close();
        let end = *self.told.get_or_init(Instant::now) + END;
        if tokio::time::timeout_at(end, self.app.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.app.tasks.len(), "some work did not end in time; its leases will lapse");
        }
        self.end_sandbox.cancel();
        let app = Arc::clone(&self.app);
        // Beside the async threads, which it would block.
        let flushed = tokio::task::spawn_blocking(move || app.traces.end(LAST_TRACES));
        if flushed.await.is_err() {
            tracing::warn!("the last traces were not sent");
        }
        // A statement that hangs keeps its connection: nobody waits for that.
        if tokio::time::timeout(LAST_STATEMENTS, self.app.store.close()).await.is_err() {
            tracing::warn!("the database did not let go in time");
        }
        tracing::info!("stopped");
    }
}

/// Answers for Gemini when there is neither a key nor another server.
async fn begin_sandbox(settings: &mut Settings, end: &CancellationToken) -> super::Result<Option<String>> {
    if !settings.gemini.is_sandbox() {
        return Ok(None);
    }
    let names = std::iter::once(&settings.gemini.model).chain(&settings.gemini.fallback_models);
    let options =
        gemini::Options { require_key: false, ..gemini::Options::by_hand() }.with_models(names.map(String::as_str));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let running = gemini::start(any, options, end.clone()).await.context("cannot start the Gemini sandbox")?;
    settings.gemini.base_url = Some(running.base_url());
    Ok(Some(running.base_url()))
}

/// The first word stops gently, the next one at once.
async fn obey(mut signals: Signals, stop: CancellationToken, told: Arc<OnceLock<Instant>>) {
    tokio::select! {
        () = signals.next() => tracing::info!("stopping; once more to stop at once"),
        () = stop.cancelled() => {}
    }
    told.get_or_init(Instant::now);
    stop.cancel();
    signals.next().await;
    std::process::exit(130);
}
