//! A stand-in for those who deliver codes: Twilio's Messages API, and a receiver of the signed webhook at `/sms`.
//!
//! It keeps what it is given, sends nothing to anybody, and fails on demand: by rules ([`Running::script`],
//! `POST /sandbox/script`) or for Twilio's own test numbers (see `magic.rs`). Begin with [`start`].

mod control;
mod kept;
mod magic;
mod script;
mod signature;
mod twilio;
mod webhook;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use kept::{Kept, Way};
pub use script::{End, Fault, Rule};

use crate::clock::Clock;
use kept::Messages;
use script::Script;

/// How it behaves when no rule says otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// The account's id and token; None takes every pair but a token that begins with `invalid`.
    pub account: Option<(String, String)>,
    /// What webhooks have to be signed with.
    pub webhook_secret: String,
    /// Signatures are held against it.
    pub clock: Clock,
    /// How many messages are remembered.
    pub messages: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { account: None, webhook_secret: "sandbox-secret".to_owned(), clock: Clock::system(), messages: 10_000 }
    }
}

/// What all requests share.
#[derive(Debug)]
struct Sandbox {
    options: Options,
    script: Script,
    messages: Messages,
    stop: CancellationToken,
}

/// Listens on `bind` (port 0 for any) until `stop`.
pub async fn start(bind: SocketAddr, options: Options, stop: CancellationToken) -> io::Result<Running> {
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let messages = Messages::new(options.messages);
    let sandbox = Arc::new(Sandbox { options, script: Script::default(), messages, stop: stop.clone() });
    let router = Router::new().merge(twilio::router()).merge(webhook::router()).merge(control::router());
    let server =
        axum::serve(listener, router.with_state(sandbox.clone())).with_graceful_shutdown(stop.cancelled_owned());
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the SMS sandbox stopped listening");
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
    /// What `TWILIO_BASE_URL` is set to.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `SMS_WEBHOOK_URL` is set to.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("http://{}/sms", self.address)
    }

    /// Adds a rule after those that wait already.
    pub fn script(&self, rule: Rule) {
        self.sandbox.script.add(rule);
    }

    /// Forgets the rules that have not been used up.
    pub fn clear_script(&self) {
        self.sandbox.script.clear();
    }

    /// What was to be sent so far, oldest first, with how it was answered.
    #[must_use]
    pub fn messages(&self) -> Vec<Kept> {
        self.sandbox.messages.all(0, "")
    }

    /// Returns when it has stopped listening and the last connection is closed.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

impl Sandbox {
    /// The end of a request: what the rule that fits wants, else what its own check came to.
    async fn answer(&self, asked: Kept, checked: Result<(), Fault>, good: impl FnOnce(u64) -> Response) -> Response {
        let rule = self.script.take(&asked.to);
        let end = rule.as_ref().map_or(End::Answer, |rule| rule.end);
        let fault = rule.and_then(|rule| rule.refuse).or(checked.err());
        let status = match (&fault, end) {
            (_, End::Cut | End::Hang) => 0,
            (Some(fault), End::Answer) => fault.status,
            (None, End::Answer) => asked.way.good().as_u16(),
        };
        let error = fault.as_ref().and_then(|fault| fault.code);
        let id = self.messages.keep(Kept { status, error, ..asked });
        match end {
            End::Answer => {}
            // Ends the connection's task before a byte of the answer, and says nothing on standard error.
            End::Cut => std::panic::resume_unwind(Box::new("the connection is cut")),
            End::Hang => self.stop.cancelled().await,
        }
        fault.map_or_else(|| good(id), IntoResponse::into_response)
    }
}

impl Way {
    /// How a message is answered that was taken.
    const fn good(self) -> StatusCode {
        match self {
            Self::Twilio => StatusCode::CREATED,
            Self::Webhook => StatusCode::NO_CONTENT,
        }
    }
}
