//! [`App`]: all that a request or a job may reach. Made once per process, shared by reference counting.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Moment};
use crate::config::Settings;
use crate::files::Files;
use crate::gemini;
use crate::ids::{ChatroomId, NodeId, UserId};
use crate::keys::Keys;
use crate::limits::{Limits, Spent};
use crate::live::Live;
use crate::people::People;
use crate::sms;
use crate::store::{self, Signal, Store};
use crate::stripe;
use crate::traces::Traces;

/// A user, the user's `rooms_rev`, and which part of their list: archived or not, after which room, how many.
pub type RoomsKept = (UserId, i64, bool, Option<(Moment, ChatroomId)>, i64);

/// A price as Stripe said it last, and when it was asked.
#[derive(Debug, Default)]
pub struct KnownPrice {
    pub said: Mutex<Option<stripe::Price>>,
    /// Locked by whoever asks, for as long as that takes.
    pub asked_at: tokio::sync::Mutex<Option<Moment>>,
}

/// One process of the service.
#[derive(Debug)]
pub struct App {
    pub settings: Settings,
    pub store: Store,
    pub clock: Clock,
    pub keys: Keys,
    pub live: Live,
    pub limits: Limits,
    /// Of the day's tokens, as far as there is a budget.
    pub spent: Spent,
    pub people: People,
    pub gemini: gemini::Client,
    /// What people attach.
    pub files: Files,
    pub sms: sms::Sender,
    /// None where nothing is sold.
    pub stripe: Option<stripe::Client>,
    /// What Pro costs.
    pub price: KnownPrice,
    pub traces: Traces,
    /// Room lists as they were sent.
    pub room_lists: Cache<RoomsKept, Bytes>,
    /// Gemini's models, as it listed them lately.
    pub models: gemini::Catalog,
    /// Those that may not be asked now.
    pub gate: gemini::Gate,
    /// This process as the holder of leases.
    pub node: NodeId,
    /// Everything spawned is spawned here, so that shutdown can wait for it.
    pub tasks: TaskTracker,
    /// Cancelled when the process should end.
    pub stop: CancellationToken,
}

impl App {
    /// # Errors
    /// When a key in the settings cannot be read.
    pub fn new(settings: Settings, store: Store, clock: Clock) -> Result<Arc<Self>, BadKey> {
        let signal = Signal::of(&store);
        Ok(Arc::new(Self {
            keys: Keys::new(&settings.auth).map_err(|error| BadKey(error.to_string()))?,
            gemini: gemini::Client::new(&settings.gemini).map_err(|error| BadKey(error.to_string()))?,
            files: Files::new(&settings).map_err(|error| BadKey(error.to_string()))?,
            sms: sms::Sender::new(&settings.auth.otp_delivery).map_err(|error| BadKey(error.to_string()))?,
            stripe: stripe::Client::new(&settings.stripe).map_err(|error| BadKey(error.to_string()))?,
            price: KnownPrice::default(),
            traces: Traces::to(settings.server.otlp_endpoint.as_ref()).map_err(|error| BadKey(error.to_string()))?,
            live: Live::in_memory(signal.clone()),
            limits: Limits::in_memory(),
            spent: Spent::default(),
            people: People::new(signal),
            room_lists: room_lists(),
            models: gemini::Catalog::default(),
            gate: gemini::Gate::default(),
            node: NodeId::new(clock.now()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            settings,
            store,
            clock,
        }))
    }
}

/// How often the database is asked for the time, and how soon again when it did not tell it well.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
const CLOCK_AGAIN: Duration = Duration::from_secs(1);

impl App {
    /// Measures the clock against the database's, once; nothing to do where the machine's own clock counts. False when it
    /// took too long to be exact.
    pub async fn measure_clock(&self) -> store::Result<bool> {
        if !self.clock.follows_database() {
            return Ok(true);
        }
        let mut reader = self.store.read().await?;
        let asked = Instant::now();
        let (now,) = crate::fetch_one!(&mut reader, (Moment,), "select clock_timestamp()")?;
        Ok(self.clock.follow(asked, now))
    }

    /// Measures the clock again and again until the app stops.
    pub async fn follow_clock(self: Arc<Self>) {
        let mut pause = CLOCK_EVERY;
        while self.clock.follows_database() && !self.stop.is_cancelled() {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {
                    let measured = self.measure_clock().await;
                    pause = if matches!(measured, Ok(true)) { CLOCK_EVERY } else { CLOCK_AGAIN };
                    if let Err(cause) = measured {
                        tracing::warn!(%cause, "the database's clock could not be read");
                    }
                }
            }
        }
    }
}

/// At most this many bytes of room lists are kept.
const ROOM_LISTS: u64 = 32 * 1024 * 1024;

fn room_lists() -> Cache<RoomsKept, Bytes> {
    Cache::builder()
        .max_capacity(ROOM_LISTS)
        .weigher(|_, list: &Bytes| u32::try_from(list.len()).unwrap_or(u32::MAX).saturating_add(200))
        .time_to_idle(Duration::from_mins(10))
        .build()
}

/// A key in the settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadKey(String);
