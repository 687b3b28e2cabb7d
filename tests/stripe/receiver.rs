//! A server that webhooks are sent to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

/// What came: the signature's header and the raw body.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) signature: String,
    pub(crate) body: Bytes,
}

impl Hook {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// The `t` of the signature.
    pub(crate) fn time(&self) -> i64 {
        let time = self.signature.strip_prefix("t=").and_then(|rest| rest.split(',').next());
        time.and_then(|time| time.parse().ok()).expect("a time")
    }
}

#[derive(Clone, Default)]
struct Heard {
    hooks: Arc<Mutex<Vec<Hook>>>,
    /// What is answered to the next ones instead of 200.
    refusals: Arc<Mutex<VecDeque<u16>>>,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    heard: Heard,
    _server: AbortOnDropHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let heard = Heard::default();
        let router = Router::new().route("/hook", post(take)).with_state(heard.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let tasks = tokio_util::task::TaskTracker::new();
        let server = tasks.spawn(async move { axum::serve(listener, router).await.expect("a server") });
        Self { url, heard, _server: AbortOnDropHandle::new(server) }
    }

    pub(crate) fn refuse(&self, statuses: &[u16]) {
        self.heard.refusals.lock().expect("a lock").extend(statuses);
    }

    pub(crate) fn hooks(&self) -> Vec<Hook> {
        self.heard.hooks.lock().expect("a lock").clone()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.hooks().iter().map(Hook::kind).collect()
    }
}

async fn take(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().expect("text").to_owned();
    heard.hooks.lock().expect("a lock").push(Hook { signature, body });
    let refusal = heard.refusals.lock().expect("a lock").pop_front();
    refusal.map_or(StatusCode::OK, |status| StatusCode::from_u16(status).expect("a status"))
}
