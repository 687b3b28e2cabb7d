//! A thousand webhooks at the same moment: how long each waits for its answer, and how long until all of it is applied.
//!
//! The stand-in for Stripe runs in this process, not in the server's. Its own webhooks go nowhere.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use gemini_backend::clock::Clock;
use gemini_backend::fetch_one;
use gemini_backend::sandbox::stripe::{self, Action, Options, Running};
use gemini_backend::store::{self, Store};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Scale;
use crate::engine::{Engine, Fresh};
use crate::http::{Connection, Request};
use crate::load::{median, percentile};
use crate::person::Person;
use crate::process::Process;
use crate::report::{Report, Target};

const SECRET: &str = "whsec_of_this_measurement";
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) async fn measure(engine: &Engine, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let mut setup = Setup::new(engine, scale.of(200)).await?;
    let name = engine.name();
    let alone = setup.events(scale.of(300));
    let began = Instant::now();
    let waits = one_at_a_time(&setup, &alone).await?;
    setup.until_applied(alone.len()).await?;
    let how =
        format!("median of {}, one at a time; applied {:.1} ms each", alone.len(), each(began.elapsed(), alone.len()));
    report.add(&format!("webhook stored, {name}"), median(waits.into_iter()), "ms", Target::AtMost(10.0), how);

    let swarm = setup.events(scale.of(1000));
    let began = Instant::now();
    let waits = all_at_once(&setup, &swarm).await?;
    setup.until_applied(alone.len() + swarm.len()).await?;
    let applied = began.elapsed();
    let target = if matches!(engine, Engine::Sqlite) { Target::None } else { Target::AtMost(250.0) };
    let at = |hundredths| percentile(waits.iter().copied(), hundredths);
    let what = format!("{} webhooks at once, {name}", swarm.len());
    let how = format!("99 of 100 within it; median {:.0} ms, longest {:.0} ms", at(50), at(100));
    report.add(&format!("{what}: stored"), at(99), "ms", target, how);
    let how = format!("of {} customers; all after {:.1} s", setup.subscriptions.len(), applied.as_secs_f64());
    report.add(&format!("{what}: applied, each"), each(applied, swarm.len()), "ms", Target::None, how);
    Ok(())
}

/// Milliseconds of one of so many.
fn each(time: Duration, many: usize) -> f64 {
    time.as_secs_f64() * 1000.0 / f64::from(u32::try_from(many).unwrap_or(u32::MAX))
}

/// A server whose people have all bought Pro.
struct Setup {
    stripe: Running,
    server: Process,
    store: Store,
    /// As Stripe shows them.
    subscriptions: Vec<Value>,
    /// Events made so far.
    made: usize,
    _fresh: Fresh,
    _stop: tokio_util::sync::DropGuard,
}

impl Setup {
    async fn new(engine: &Engine, customers: u32) -> anyhow::Result<Self> {
        let (fresh, stop) = (engine.fresh().await?, CancellationToken::new());
        let stripe = stripe::start(([127, 0, 0, 1], 0).into(), Options::default(), stop.clone()).await?;
        let base = stripe.base_url();
        let settings = [
            ("DATABASE_URL", fresh.url.as_str()),
            ("STRIPE_BASE_URL", &base),
            ("STRIPE_SECRET_KEY", "sk_test_of_this_measurement"),
            ("STRIPE_WEBHOOK_SECRET", SECRET),
            ("STRIPE_PRO_PRICE_ID", stripe::PRICE),
            ("CHECKOUT_RETURNS_PER_ADDRESS", "100000"),
        ];
        let server = Process::server(fresh.folder.path(), &["serve"], &settings).await?;
        let mut connection = Connection::open(server.address).await?;
        for person in Person::crowd(server.address, customers).await? {
            let open = Request::post("/subscribe/pro", Some(&person.token), &json!({}));
            let open = connection.send(&open).await?.json()?;
            let session = open["session_id"].as_str().context("no session")?;
            stripe.checkout(session, Action::Pay).context("it cannot be paid")?;
            let back = Request::get(&format!("/billing/return?session_id={session}"), None);
            ensure!(connection.send(&back).await?.json()?["status"] == "complete", "it was not paid");
        }
        let created = |event: &Value| event["type"] == "customer.subscription.created";
        let events = stripe.events().into_iter().filter(created);
        let subscriptions: Vec<Value> = events.map(|mut event| event["data"]["object"].take()).collect();
        ensure!(subscriptions.len() == usize::try_from(customers)?, "not everybody has bought");
        let store = store::connect(&fresh.url, 2).await?;
        Ok(Self { stripe, server, store, subscriptions, made: 0, _fresh: fresh, _stop: stop.drop_guard() })
    }

    /// Signed webhooks of so many new events, the customers' in turn.
    fn events(&mut self, many: u32) -> Vec<Request> {
        let now = Clock::system().now().seconds();
        let made = (0..many).map(|_| {
            self.made += 1;
            let event = json!({
                "id": format!("evt_{}", self.made), "object": "event", "type": "customer.subscription.updated",
                "created": now, "livemode": false, "api_version": "2026-10-28.endive",
                "data": {"object": self.subscriptions[self.made % self.subscriptions.len()]},
            });
            let body = event.to_string();
            Request::signed("/webhook/stripe", &self.stripe.sign(body.as_bytes(), SECRET, now), &body)
        });
        made.collect()
    }

    /// Waits until so many events of ours are there and what they tell is applied.
    async fn until_applied(&self, many: usize) -> anyhow::Result<()> {
        let (began, many) = (Instant::now(), i64::try_from(many)?);
        let sql = "select count(*) from stripe_events where outcome = 'applied' and source = 'webhook'";
        loop {
            let (applied,) = fetch_one!(&mut self.store.read().await?, (i64,), sql)?;
            if applied == many {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "{applied} of {many} events were applied within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Milliseconds that each waited for its answer.
async fn one_at_a_time(setup: &Setup, webhooks: &[Request]) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(setup.server.address).await?;
    let mut waits = Vec::new();
    for webhook in webhooks {
        waits.push(wait(&mut connection, webhook).await?);
    }
    Ok(waits)
}

/// The same, each on a connection of its own that is open before.
async fn all_at_once(setup: &Setup, webhooks: &[Request]) -> anyhow::Result<Vec<f64>> {
    let mut senders = Vec::new();
    for webhook in webhooks {
        senders.push((Connection::open(setup.server.address).await?, webhook.clone()));
    }
    let mut tasks = JoinSet::new();
    for (mut connection, webhook) in senders {
        tasks.spawn(async move { wait(&mut connection, &webhook).await });
    }
    let mut waits = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        waits.push(ended??);
    }
    Ok(waits)
}

async fn wait(connection: &mut Connection, webhook: &Request) -> anyhow::Result<f64> {
    let began = Instant::now();
    let answer = connection.send(webhook).await?.json()?;
    ensure!(answer["received"] == true, "not received: {answer}");
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}
