//! A process that stays: what `serve` and `worker` begin and end with.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::connections_within;
use super::open;
use super::signals::Signals;
use crate::app::App;
use crate::config::{self, AppEnv, Loaded, Settings, keep_development_secret, random_secret};
use crate::files::Files;
use crate::sandbox::{gemini, stripe};
use crate::store::{self, Owner};
use crate::{billing, jobs};

/// From the word to stop: 20 s for replies to end, some for the rest to be handed back, gone within 30.
const END: Duration = Duration::from_secs(28);

/// For the traces that are left then.
const LAST_TRACES: Duration = Duration::from_secs(1);
/// And for the database to let go.
const LAST_STATEMENTS: Duration = Duration::from_millis(800);

/// What a process does of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    Api,
    Worker,
}

/// A process in being.
#[derive(Debug)]
pub(super) struct Process {
    pub app: Arc<App>,
    /// Where clients come in, and how somebody on this machine names that; not of a worker alone.
    pub door: Option<(TcpListener, String)>,
    /// Where the built-in stand-in for Gemini listens, when it answers.
    pub sandbox: Option<String>,
    /// And the one for Stripe, when it sells.
    pub shop: Option<String>,
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
    /// Takes the database, brings it up to date, listens, and makes an app that can work.
    pub(super) async fn begin(loaded: Loaded, part: Part) -> super::Result<Self> {
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
        let door = if part == Part::Worker { None } else { Some(open_door(&settings.server).await?) };
        let end_sandbox = CancellationToken::new();
        let sandbox = begin_sandbox(&mut settings, &end_sandbox).await?;
        // No process beside this one would know of what is bought there.
        let shop = match &door {
            Some((_, base)) if part == Part::All => begin_shop(&mut settings, base, &end_sandbox).await?,
            _ => None,
        };
        if part != Part::All && store.file().is_none() && Files::is_of_this_machine(&settings) {
            tracing::warn!(
                "attachments lie in a folder of this machine: the others need OBJECT_STORE_URL, a place that all share"
            );
        }
        let app = open::app_on(settings, store).await?;
        billing::keep_syncing(&app).await?;
        app.tasks.spawn(app.clone().follow_clock());
        let obeying = TaskTracker::new();
        let told = Arc::new(OnceLock::new());
        obeying.spawn(obey(signals, app.stop.clone(), Arc::clone(&told)));
        Ok(Self { app, door, sandbox, shop, told, end_sandbox, _obeying: obeying, _owner: owner })
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

async fn open_door(server: &config::Server) -> super::Result<(TcpListener, String)> {
    let bind = server.bind;
    let listener = TcpListener::bind(bind).await;
    let listener = listener.with_context(|| format!("cannot listen on {bind} (BIND or PORT says another address)"))?;
    let base = server.base_from_here(listener.local_addr()?);
    Ok((listener, base))
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

/// Sells in Stripe's stead, in development, when there is neither a key nor another server.
async fn begin_shop(settings: &mut Settings, base: &str, end: &CancellationToken) -> super::Result<Option<String>> {
    if settings.server.env == AppEnv::Production || settings.stripe.is_configured() {
        return Ok(None);
    }
    let secret = format!("whsec_{}", random_secret().expose_secret());
    let options = stripe::Options::default().with_webhook(&format!("{base}/webhook/stripe"), &secret);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let running = stripe::start(any, options, end.clone()).await.context("cannot start the Stripe sandbox")?;
    settings.stripe = config::Stripe {
        secret_key: Some("sk_test_sandbox".into()),
        webhook_secrets: vec![secret.into()],
        pro_price: Some(stripe::PRICE.to_owned()),
        base_url: Some(running.base_url()),
        is_sandbox: true,
        ..settings.stripe.clone()
    };
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
