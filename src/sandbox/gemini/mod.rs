//! A stand-in for Gemini's API under `/v1` and `/v1beta`: generate, stream, count, embed, models.
//!
//! It answers from the conversation, word by word, and fails on demand: by rules ([`Running::script`],
//! `POST /sandbox/script`) or by words in the prompt such as `[[sandbox:429 retry=38s]]` (see `words.rs`).
//! What it was asked and what it sent stands in its journal. Begin with [`start`].

mod answer;
mod asked;
mod cards;
mod control;
mod embed;
mod error;
mod files;
mod frame;
mod journal;
mod perform;
mod plan;
mod recall;
mod routes;
mod script;
mod tokens;
mod tongues;
mod words;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use cards::Card;
pub use error::Fault;
pub use journal::{Ended, Entry, KeyPlace};
pub use plan::UsageAt;
pub use script::{End, Rule};
pub use tokens::count as count_tokens;

use journal::Journal;
use script::Script;

/// How it behaves when no rule says otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// Between two words of an answer.
    pub word: Duration,
    /// Before the first one.
    pub first_byte: Duration,
    /// Google refuses requests without a key; a service that was given none yet may be let in.
    pub require_key: bool,
    pub models: Vec<Card>,
    /// How many requests the journal remembers.
    pub journal: usize,
    /// Also writes each request as one line of JSON when it is over.
    pub journal_file: Option<PathBuf>,
}

impl Default for Options {
    /// As fast as it can: for tests.
    fn default() -> Self {
        Self {
            word: Duration::ZERO,
            first_byte: Duration::ZERO,
            require_key: true,
            models: cards::known(),
            journal: 20_000,
            journal_file: None,
        }
    }
}

impl Options {
    /// At a pace one can watch, with a short memory.
    #[must_use]
    pub fn by_hand() -> Self {
        Self {
            word: Duration::from_millis(30),
            first_byte: Duration::from_millis(200),
            journal: 200,
            ..Self::default()
        }
    }

    /// Also knows models of these names, as capable as the default one.
    #[must_use]
    pub fn with_models<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        for name in names {
            if !self.models.iter().any(|card| card.name == name) {
                self.models.push(Card { name: name.to_owned(), ..Card::default() });
            }
        }
        self
    }
}

/// What all requests share.
#[derive(Debug)]
struct Sandbox {
    options: Options,
    script: Script,
    journal: Arc<Journal>,
    /// Raised by each release of those that are held.
    releases: watch::Sender<u64>,
    stop: CancellationToken,
}

/// Listens on `bind` (port 0 for any) until `stop`; then open answers are cut.
pub async fn start(bind: SocketAddr, options: Options, stop: CancellationToken) -> io::Result<Running> {
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let journal = Arc::new(Journal::open(options.journal, options.journal_file.as_deref())?);
    let (script, releases) = (Script::default(), watch::Sender::new(0));
    let sandbox = Arc::new(Sandbox { options, script, journal, releases, stop: stop.clone() });
    // Words go out as they are written; Nagle's algorithm would hold them back for 40 ms.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, routes::router(sandbox.clone())).with_graceful_shutdown(stop.cancelled_owned());
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the Gemini sandbox stopped listening");
        }
    });
    tasks.close();
    Ok(Running { address, sandbox, tasks })
}

/// A sandbox that listens. It goes on when this is dropped; its token ends it.
#[derive(Clone, Debug)]
pub struct Running {
    pub address: SocketAddr,
    sandbox: Arc<Sandbox>,
    tasks: TaskTracker,
}

impl Running {
    /// What a client's base URL is set to.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule after those that wait already.
    pub fn script(&self, rule: Rule) {
        self.sandbox.script.add(rule);
    }

    /// Forgets the rules that have not been used up.
    pub fn clear_script(&self) {
        self.sandbox.script.clear();
    }

    /// What was asked and sent so far, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.sandbox.journal.entries(0, |_| true)
    }

    pub fn clear_journal(&self) {
        self.sandbox.journal.clear();
    }

    /// Waits until the journal is as wanted, and returns it.
    pub async fn wait_until(&self, wanted: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        self.sandbox.journal.wait_until(wanted).await
    }

    /// Lets those answers go on that are [`Ended::Held`] now.
    pub fn release(&self) {
        self.sandbox.releases.send_modify(|count| *count += 1);
    }

    /// Returns when it has stopped listening and the last connection is closed.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}
