//! Healing: what no webhook told is read from Stripe, at every start, every half an hour, and when an operator says so.
//!
//! Events since the last reading are taken in as a webhook's would be. Stripe forgets them after 30 days, so all
//! subscriptions are compared as well, and after a longer silence also what was refunded and disputed.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::Serialize;

use super::events::{self, take_in};
use super::judge::judge;
use super::look::{LookError, Looked, forget_customer, look, promise};
use super::sql::{self, Source};
use super::standing::Known;
use super::work::{self, Undone};
use super::{Cause, taken_back};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{JobId, UserId};
use crate::jobs::{self, Claim, EndError, Job};
use crate::store;
use crate::stripe::{self, Client, Subscription};

/// Read again behind the last reading: an event may become visible after one that is newer.
const OVERLAP: Duration = Duration::from_mins(10);
/// Longer than this Stripe's events do not reach back for sure.
const EVENTS_KEPT: Duration = Duration::from_hours(29 * 24);
/// The first time, events of so long ago are read: our clock and Stripe's need not agree.
const FIRST_READ: Duration = Duration::from_hours(24);
/// And this much is looked back for refunds and disputes.
const FIRST_LOOK_BACK: Duration = Duration::from_hours(90 * 24);
/// What was looked at before is looked at again so far back.
const LOOK_BACK_OVERLAP: Duration = Duration::from_hours(60 * 24);
/// An event that nobody has looked into for so long has lost its job.
const STALE: Duration = Duration::from_hours(1);
const PAGE: i64 = 500;

/// What a comparison with Stripe found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events that Stripe listed, and those of them that no webhook had brought.
    pub events: u64,
    pub missed: u64,
    /// Subscriptions that Stripe listed, and customers whose subscriptions stood otherwise here.
    pub subscriptions: u64,
    pub differed: u64,
    /// People whose plan was not what is known of them makes it: a setting had changed, for example.
    pub judged: u64,
    /// Subscriptions that carry the id of a person here and belong to a customer that is not theirs.
    pub unmatched: Vec<String>,
    /// Payments looked at for refunds and disputes, after a silence longer than Stripe's events reach back.
    pub charges: u64,
    /// Customers that Stripe does not know: those of another account or mode.
    pub unknown: Vec<String>,
}

/// The job's id, the same on every node: one comparison at a time.
fn job_id() -> JobId {
    JobId::named("sync billing")
}

/// Sees to it that the comparison is in the queue, due now. Does nothing where nothing is sold.
pub async fn keep_syncing(app: &App) -> store::Result<()> {
    if app.stripe.is_none() {
        return Ok(());
    }
    let now = app.clock.now();
    crate::transaction!(app.store, |tx| { jobs::keep_house(tx, job_id(), &Job::SyncBilling, now).await })
}

/// The job that compares with Stripe again and again.
pub(super) async fn work_sync(app: &App, claim: &Claim) -> Result<(), EndError> {
    match sync(app, app.settings.stripe.is_sandbox).await {
        Ok(_) => {
            let due = app.clock.now().plus(app.settings.stripe.sync_every);
            crate::transaction!(app.store, |tx| { jobs::wait_house(tx, app.node, claim, due).await })
        }
        Err(SyncError(why)) => work::put_off(app, claim, &why).await,
    }
}

/// Why a comparison was cut short; what it had found by then is written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SyncError(Undone);

impl<E: Into<Undone>> From<E> for SyncError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Compares with Stripe once. Safe to repeat.
///
/// Customers that Stripe does not know keep what they have: they may be another account's, and the key the wrong one. With
/// `forget_unknown` (an operator's word, and what the built-in sandbox needs, which forgets at every start) they lose it.
pub async fn sync(app: &App, forget_unknown: bool) -> Result<Report, SyncError> {
    let stripe = work::stripe(app)?;
    let began = app.clock.now();
    let last = sql::last_sync(&mut app.store.read().await?).await?;
    let mut report = Report::default();
    // One part that fails keeps none of the others from healing what it can.
    let from = last.read_until.map_or_else(|| began.minus(FIRST_READ), |until| until.minus(OVERLAP));
    let read = read_events(app, stripe, from, &mut report).await;
    let taken_up = take_up(app, began).await;
    let compared = compare(app, stripe, &mut report).await;
    let judged = judge_plans(app, &mut report).await;
    let ran_at = last.ran_at.unwrap_or_else(|| began.minus(FIRST_LOOK_BACK));
    // What is told of by its creation at Stripe may change long after it, and our clock may have been wrong.
    let since = ran_at.minus(LOOK_BACK_OVERLAP);
    let looked_back =
        if ran_at.plus(EVENTS_KEPT) < began { look_back(app, stripe, since, &mut report).await } else { Ok(()) };
    if let (Ok(until), Ok(())) = (&read, &looked_back) {
        crate::transaction!(app.store, |tx| { sql::note_sync(tx, *until, began).await })?;
    }
    metrics::counter!("billing_missed_total").increment(report.missed + report.differed);
    if report.missed + report.differed > 0 {
        tracing::warn!(missed = report.missed, differed = report.differed, "no webhook had told what Stripe says");
    }
    for sub in &report.unmatched {
        tracing::warn!(subscription = sub, "a subscription is somebody's whose customer is another one");
    }
    for customer in &report.unknown {
        if forget_unknown {
            forget_customer(app, customer, &Cause::Sync).await?;
            report.differed += 1;
        } else {
            tracing::warn!(customer, "Stripe does not know this customer: is the key another account's?");
        }
    }
    read?;
    taken_up.and(compared).and(judged).and(looked_back)?;
    Ok(report)
}

/// Promises once more what should long have been looked into: its job was parked, or was some older version's to read.
async fn take_up(app: &App, now: Moment) -> Result<(), SyncError> {
    let stale = sql::stale_events(&mut app.store.read().await?, now.minus(STALE), PAGE).await?;
    for id in stale {
        crate::transaction!(app.store, |tx| { events::promise(tx, &id, now).await })?;
    }
    Ok(())
}

/// Takes in what is new among Stripe's events, the oldest first. Until when they are read now: by Stripe's clock, and no
/// further than the newest of them.
async fn read_events(app: &App, stripe: &Client, since: Moment, report: &mut Report) -> Result<Moment, SyncError> {
    let mut listed: Vec<stripe::Event> = Vec::new();
    stripe.events(since, &events::HEEDED, |page| listed.extend(page)).await?;
    for event in listed.iter().rev() {
        report.events += 1;
        if take_in(app, stripe, event, Source::Sync).await? {
            report.missed += 1;
        }
    }
    if report.missed > 0 {
        // A command works on nothing: the server beside it does.
        app.live.ring_for_jobs_everywhere();
    }
    Ok(listed.iter().map(|event| event.created).fold(since, Moment::max))
}

/// Judges everybody again whose plan is not what is known of them makes it, or whose payment is overdue: how long that is
/// Pro is the settings' to say, and may have changed.
async fn judge_plans(app: &App, report: &mut Report) -> Result<(), SyncError> {
    let mut after = UserId(uuid::Uuid::nil());
    loop {
        let page = sql::doubtful_plans(&mut app.store.read().await?, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = *last;
        for user in page {
            report.judged += u64::from(judge_one(app, user).await?);
        }
    }
}

/// Whether the plan changed.
async fn judge_one(app: &App, user: UserId) -> store::Result<bool> {
    let now = app.clock.now();
    let change = app.people.change_beside(user);
    let changed = crate::transaction!(app.store, |tx| {
        if jobs::lock(tx, user).await?.is_none() {
            return Ok(false);
        }
        let changed = judge(app, tx, user, &[], &Cause::Sync, now).await?;
        promise(app, tx, user, now).await?;
        Ok::<_, store::Error>(changed == Some(true))
    })?;
    change.all();
    if changed {
        app.live.ring_for_jobs_everywhere();
    }
    Ok(changed)
}

/// Looks at every customer whose subscriptions stand otherwise at Stripe than here.
async fn compare(app: &App, stripe: &Client, report: &mut Report) -> Result<(), SyncError> {
    let mut known = HashMap::new();
    let mut after = String::new();
    loop {
        let page = sql::all_subscriptions(&mut app.store.read().await?, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        known.extend(page.into_iter().map(|sub| (sub.id.clone(), sub)));
    }
    let mut listed = Vec::new();
    stripe.all_subscriptions(|page| listed.extend(page)).await?;
    report.subscriptions = listed.len() as u64;
    let mut customers = BTreeSet::new();
    for sub in listed {
        let is_same = known.remove(&sub.id).is_some_and(|known| is_same(&known, &sub));
        if !is_same && is_somebodys(app, &sub, report).await? {
            customers.insert(sub.customer);
        }
    }
    // Of what is left Stripe says nothing.
    customers.extend(known.into_values().filter(|known| !known.is_over()).map(|known| known.customer));
    let mut failed = Ok(());
    for customer in customers {
        match look(app, stripe, &customer, &Cause::Sync).await {
            Ok(Looked::Written(changes)) if changes > 0 => report.differed += 1,
            Ok(_) => {}
            Err(LookError::Stripe(error)) if error.is_missing("customer") => report.unknown.push(customer),
            Err(error) => failed = Err(error.into()),
        }
    }
    failed
}

/// All that Stripe says here without asking more.
fn is_same(known: &Known, sub: &Subscription) -> bool {
    *known == Known::new(sub.clone(), known.overdue_since.filter(|_| sub.status == "past_due"))
}

/// Whether a subscription's customer is a person here. One that our checkout made for somebody without a customer (the
/// database is an older copy) makes that customer theirs again.
async fn is_somebodys(app: &App, sub: &Subscription, report: &mut Report) -> Result<bool, SyncError> {
    let mut reader = app.store.read().await?;
    if sql::account_of(&mut reader, &sub.customer).await?.is_some() {
        return Ok(true);
    }
    let Some(user) = sub.user_id.as_deref().and_then(|id| id.parse::<UserId>().ok()) else { return Ok(false) };
    if !sql::has_user(&mut reader, user).await? {
        return Ok(false);
    }
    drop(reader);
    let customer = crate::transaction!(app.store, |tx| {
        // Whoever is gone by now is not brought back.
        if jobs::lock(tx, user).await?.is_none() {
            return Ok(None);
        }
        sql::open_account(tx, user).await?;
        sql::adopt_customer(tx, user, &sub.customer).await
    })?;
    let is_theirs = customer.as_ref() == Some(&sub.customer);
    if !is_theirs {
        report.unmatched.push(sub.id.clone());
    }
    Ok(is_theirs)
}

/// Refunds and disputes of which no event tells any more.
async fn look_back(app: &App, client: &Client, since: Moment, report: &mut Report) -> Result<(), SyncError> {
    let charges = match client.charges_taken_back(since).await {
        // Another server of Stripe's protocol may not have these lists.
        Err(stripe::Error::Refused(refusal)) if refusal.status == 404 => return Ok(()),
        outcome => outcome?,
    };
    for charge in charges {
        report.charges += 1;
        taken_back::look_at_charge(app, client, &charge, &Cause::Sync).await?;
    }
    Ok(())
}
