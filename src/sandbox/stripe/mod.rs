//! A stand-in for Stripe's API under `/v1`: customers, checkout, the portal, subscriptions and what they owe, events,
//! signed webhooks.
//!
//! People pay at its pages, time passes when its clock is moved ([`Running::advance`], `POST /sandbox/clock`), and it
//! fails on demand by rules ([`Running::script`], `POST /sandbox/script`). What it was asked stands in its journal.
//! Begin with [`start`]; the calls are listed in `calls.rs`, what happens by itself in `agenda.rs`.

mod agenda;
mod calls;
mod catalog;
mod checkout;
mod checkout_page;
mod clock;
mod collect;
mod control;
mod customers;
mod delivery;
mod disputes;
mod endpoints;
mod error;
mod events;
mod expand;
mod force;
mod form;
mod forward;
mod html;
mod ids;
mod invoice;
mod invoices;
mod journal;
mod keys;
mod lifecycle;
mod list;
mod pay;
mod payment;
mod period;
mod portal;
mod portal_page;
mod refunds;
mod routes;
mod running;
mod script;
mod shape;
mod shelf;
mod signature;
mod subscription;
mod subscriptions;
mod versions;
mod visit;
mod world;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use catalog::{Interval, PRICE, Price};
pub use clock::Clock;
pub use customers::Card;
pub use delivery::{Attempt, Mode, Webhooks};
pub use error::Fault;
pub use journal::{Ended, Entry};
pub use pay::Action;
pub use running::Running;
pub use script::{Rule, When};
pub use subscription::Status;

use delivery::Delivery;
use endpoints::Endpoint;
use journal::Journal;
use keys::Keys;
use world::{Habits, World};

use crate::sandbox::rules::Rules;

/// How often it looks at the clock without being asked.
const TICK: Duration = Duration::from_secs(1);

/// How it behaves when no rule says otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    pub clock: Clock,
    /// At least one.
    pub prices: Vec<Price>,
    /// Where webhooks go from the start on, all of them: address and secret.
    pub webhooks: Vec<(String, String)>,
    /// The account's, for events and for requests without `Stripe-Version`. Before 2025-03-31 it means the older shapes.
    pub api_version: String,
    /// What trials last when a session does not say it; 0 for none.
    pub trial_days: u32,
    /// How long the invoice of a renewal stays a draft: an hour at Stripe.
    pub draft: Duration,
    /// How long a delayed payment is on its way.
    pub delayed: Duration,
    /// What becomes of a subscription whose payment failed to the last try.
    pub ending: Ending,
    /// How its pages are reached from a browser, if not by the address it listens on.
    pub public_url: Option<String>,
    /// How many requests the journal remembers.
    pub journal: usize,
    /// Also writes each request as one line of JSON when it is over.
    pub journal_file: Option<PathBuf>,
    /// How many events are kept, besides that they last thirty days.
    pub events: usize,
}

/// The last try at a payment failed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    #[default]
    Cancel,
    Unpaid,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::machine(),
            prices: vec![Price::default()],
            webhooks: Vec::new(),
            api_version: versions::PINNED.to_owned(),
            trial_days: 0,
            draft: Duration::from_hours(1),
            delayed: Duration::from_hours(1),
            ending: Ending::Cancel,
            public_url: None,
            journal: 20_000,
            journal_file: None,
            events: 20_000,
        }
    }
}

impl Options {
    /// Also sends all events to this address, signed with this secret.
    #[must_use]
    pub fn with_webhook(mut self, url: &str, secret: &str) -> Self {
        self.webhooks.push((url.to_owned(), secret.to_owned()));
        self
    }

    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Also sells the usual thing under this price's id.
    #[must_use]
    pub fn with_price(mut self, id: &str) -> Self {
        if !self.prices.iter().any(|price| price.id == id) {
            self.prices.push(Price { id: id.to_owned(), ..Price::default() });
        }
        self
    }

    fn habits(&self, address: SocketAddr) -> Habits {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let base_url = self.public_url.clone().unwrap_or_else(|| base_url(address));
        Habits {
            api_version: self.api_version.clone(),
            trial_days: self.trial_days.into(),
            draft_seconds: seconds(self.draft),
            delayed_seconds: seconds(self.delayed),
            ending: self.ending,
            base_url: base_url.trim_end_matches('/').to_owned(),
            most_events: self.events.max(1),
        }
    }
}

/// Where somebody on the same machine finds it.
fn base_url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{address}")
}

/// What all requests share.
#[derive(Debug)]
struct Sandbox {
    options: Options,
    world: Mutex<World>,
    script: Rules<Rule>,
    journal: Arc<Journal>,
    keys: Arc<Keys>,
    delivery: Delivery,
    /// Raised by each release of those that are held.
    releases: watch::Sender<u64>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sandbox {
    /// Does something with the world as it is now; its events go on their way behind it.
    fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.catch_up();
        let made = work(&mut world);
        let told = std::mem::take(&mut world.outbox);
        // Under the same lock, so that they are sent in the order they were told.
        self.delivery.enqueue(told.into_iter());
        made
    }

    /// The same for a request: its id and idempotency key stand in the events.
    fn with_cause<T>(&self, cause: (String, Option<String>), work: impl FnOnce(&mut World) -> T) -> T {
        self.with(|world| {
            world.cause = Some(cause);
            let made = work(world);
            world.cause = None;
            made
        })
    }

    /// Moves the clock and lives through what falls due on the way; the new time.
    fn advance(&self, seconds: i64) -> i64 {
        self.options.clock.advance(seconds);
        self.with(|world| world.now)
    }

    fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }
}

/// Listens on `bind` (port 0 for any) until `stop`; then open answers are cut.
pub async fn start(bind: SocketAddr, options: Options, stop: CancellationToken) -> io::Result<Running> {
    let listener = TcpListener::bind(bind).await?;
    let address = listener.local_addr()?;
    let sandbox = Arc::new(Sandbox {
        world: Mutex::new(world(&options, address)),
        script: Rules::default(),
        journal: Arc::new(Journal::open(options.journal, options.journal_file.as_deref())?),
        keys: Arc::default(),
        delivery: Delivery::new().map_err(io::Error::other)?,
        releases: watch::Sender::new(0),
        stop: stop.clone(),
        tasks: TaskTracker::new(),
        options,
    });
    let tasks = sandbox.tasks.clone();
    tasks.spawn(routes::serve(listener, sandbox.clone()));
    tasks.spawn(stop.clone().run_until_cancelled_owned(delivery::run(sandbox.clone())));
    tasks.spawn(stop.run_until_cancelled_owned(tick(sandbox.clone())));
    tasks.close();
    Ok(Running { address, sandbox })
}

fn world(options: &Options, address: SocketAddr) -> World {
    let now = options.clock.now();
    let date = |price: &Price| Price { created: if price.created == 0 { now } else { price.created }, ..price.clone() };
    let prices = options.prices.iter().map(date).collect();
    let mut world = World::new(options.habits(address), options.clock.clone(), prices);
    for (url, secret) in &options.webhooks {
        world.endpoints.add(Endpoint::new(url.clone(), secret.clone(), now));
    }
    world
}

/// What falls due happens, even when nobody asks.
async fn tick(sandbox: Arc<Sandbox>) {
    loop {
        tokio::time::sleep(TICK).await;
        sandbox.with(|_| ());
    }
}
