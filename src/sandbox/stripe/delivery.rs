//! Webhooks on their way: signed, in order, tried again; or held, doubled, late, shuffled, as they were told to be.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Sandbox;
use super::endpoints::Endpoint;
use super::events::{self, Event};
use super::signature;
use super::world::World;

const MOST_ATTEMPTS: usize = 10_000;
/// Stripe gives up after so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// A batch to be shuffled is not waited for longer than this.
const QUIET: Duration = Duration::from_millis(200);

/// How webhooks are delivered. Fields left out mean the usual way.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    pub mode: Mode,
    /// Each of them so often.
    pub copies: u32,
    /// Before the first try.
    pub delay_ms: u64,
    /// So many at a time, the newest first.
    pub shuffle: usize,
    /// Signed so many seconds ago.
    pub signature_age: i64,
    /// Signed with another secret.
    pub wrong_signature: bool,
    /// What `livemode` says.
    pub livemode: bool,
    /// How often it is tried.
    pub tries: u32,
    /// After the first try that failed; then twice as long each time.
    pub retry_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Deliver,
    /// Kept until they are delivered by hand, or this is `deliver` again.
    Hold,
    /// Lost on the way: they are never delivered, only listed.
    Drop,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            mode: Mode::Deliver,
            copies: 1,
            delay_ms: 0,
            shuffle: 1,
            signature_age: 0,
            wrong_signature: false,
            livemode: false,
            tries: 5,
            retry_ms: 200,
        }
    }
}

/// One try to deliver an event.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Attempt {
    pub event: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    /// Counts from 1 for each copy.
    pub number: u32,
    /// None: nobody answered.
    pub status: Option<u16>,
}

#[derive(Debug)]
pub(super) struct Delivery {
    http: reqwest::Client,
    ways: Mutex<Webhooks>,
    /// Kept here even when they are too old to be listed.
    waiting: Mutex<VecDeque<Event>>,
    attempts: Mutex<VecDeque<Attempt>>,
    /// How many are on their way.
    open: watch::Sender<usize>,
    /// Raised when there may be something to do.
    bell: watch::Sender<u64>,
}

impl Delivery {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        // Endpoints are plain HTTP, mostly on this machine: neither certificates nor a proxy are needed.
        let http = reqwest::Client::builder()
            .user_agent("Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            ways: Mutex::default(),
            waiting: Mutex::default(),
            attempts: Mutex::default(),
            open: watch::Sender::new(0),
            bell: watch::Sender::new(0),
        })
    }

    pub(super) fn ways(&self) -> Webhooks {
        lock(&self.ways).clone()
    }

    pub(super) fn set(&self, ways: Webhooks) {
        if ways.mode == Mode::Drop {
            let dropped = std::mem::take(&mut *lock(&self.waiting)).len();
            self.open.send_modify(|open| *open -= dropped);
        }
        *lock(&self.ways) = ways;
        self.bell.send_modify(|count| *count += 1);
    }

    pub(super) fn enqueue(&self, events: impl Iterator<Item = Event>) {
        if lock(&self.ways).mode == Mode::Drop {
            return;
        }
        let mut waiting = lock(&self.waiting);
        let before = waiting.len();
        waiting.extend(events);
        let added = waiting.len() - before;
        self.open.send_modify(|open| *open += added);
        drop(waiting);
        self.bell.send_modify(|count| *count += 1);
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        lock(&self.attempts).iter().cloned().collect()
    }

    /// Returns when nothing is on its way; what is held is.
    pub(super) async fn settled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    fn record(&self, attempt: Attempt) {
        let mut attempts = lock(&self.attempts);
        attempts.push_back(attempt);
        while attempts.len() > MOST_ATTEMPTS {
            attempts.pop_front();
        }
    }

    fn next(&self) -> Option<Event> {
        if lock(&self.ways).mode == Mode::Hold { None } else { lock(&self.waiting).pop_front() }
    }

    /// The next events, newest first when they are to be shuffled.
    async fn batch(&self) -> Vec<Event> {
        let mut bell = self.bell.subscribe();
        let mut batch = Vec::new();
        loop {
            bell.borrow_and_update();
            let wanted = self.ways().shuffle.max(1);
            while batch.len() < wanted
                && let Some(event) = self.next()
            {
                batch.push(event);
            }
            if batch.len() >= wanted {
                break;
            }
            if batch.is_empty() {
                // The sender lives in `self`.
                let _ = bell.changed().await;
            } else if tokio::time::timeout(QUIET, bell.changed()).await.is_err() {
                break;
            }
        }
        batch.reverse();
        batch
    }
}

/// Delivers until the sandbox ends.
pub(super) async fn run(sandbox: Arc<Sandbox>) {
    loop {
        for event in sandbox.delivery.batch().await {
            let ways = sandbox.delivery.ways();
            tokio::time::sleep(Duration::from_millis(ways.delay_ms)).await;
            for _ in 0..ways.copies {
                deliver(&sandbox, &event, &ways).await;
            }
            sandbox.delivery.open.send_modify(|open| *open -= 1);
        }
    }
}

/// Delivers one event to all who want it, each until it takes it or the tries are over. The last statuses, in the order
/// of the endpoints.
pub(super) async fn deliver(sandbox: &Sandbox, event: &Event, ways: &Webhooks) -> Vec<Option<u16>> {
    let parcels = sandbox.with(|world| parcels(world, event));
    let tries = parcels.iter().map(|parcel| parcel.insist(sandbox, ways));
    join_all(tries).await
}

/// An event, made up for one endpoint.
struct Parcel {
    event: String,
    kind: String,
    endpoint: Endpoint,
    body: serde_json::Value,
}

fn parcels(world: &World, event: &Event) -> Vec<Parcel> {
    let wanting = world.endpoints.iter().filter(|endpoint| endpoint.wants(&event.kind));
    let parcels = wanting.map(|endpoint| Parcel {
        event: event.id.clone(),
        kind: event.kind.clone(),
        endpoint: endpoint.clone(),
        body: events::body_for(world, event, endpoint),
    });
    parcels.collect()
}

impl Parcel {
    async fn insist(&self, sandbox: &Sandbox, ways: &Webhooks) -> Option<u16> {
        let mut pause = Duration::from_millis(ways.retry_ms);
        let mut status = None;
        for number in 1..=ways.tries.max(1) {
            status = self.send(sandbox, ways, number).await;
            if status.is_some_and(|status| (200..300).contains(&status)) {
                let taken = |event: &mut Event| event.pending = event.pending.saturating_sub(1);
                sandbox.with(|world| world.set(&self.event, taken));
                break;
            }
            if number < ways.tries {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        status
    }

    async fn send(&self, sandbox: &Sandbox, ways: &Webhooks, number: u32) -> Option<u16> {
        let mut body = self.body.clone();
        body["livemode"] = ways.livemode.into();
        let body = format!("{body:#}");
        let secret = if ways.wrong_signature { "whsec_of_somebody_else" } else { &self.endpoint.secret };
        let time = sandbox.options.clock.beneath() - ways.signature_age;
        let request = sandbox
            .delivery
            .http
            .post(&self.endpoint.url)
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", signature::header(body.as_bytes(), secret, time))
            .body(body);
        let status = request.send().await.ok().map(|response| response.status().as_u16());
        let (event, kind, url) = (self.event.clone(), self.kind.clone(), self.endpoint.url.clone());
        sandbox.delivery.record(Attempt { event, kind, url, number, status });
        status
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
