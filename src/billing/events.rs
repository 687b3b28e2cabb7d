//! Stripe's events: each taken in once, together with its job, and looked into later.
//!
//! An event only says *look*: what is true is fetched. So the order they come in, and how often, changes nothing.

use super::look::{LookError, Looked, forget_customer, look};
use super::sql::{self, KeptEvent, Outcome, Source, Stage};
use super::work::{self, Undone};
use super::{Cause, fulfil, taken_back};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::JobId;
use crate::jobs::{self, Claim, EndError, Job};
use crate::store::{self, Store, Tx};
use crate::stripe::{Client, Event};

/// Those that something may follow from; all others are kept and ignored.
pub(super) const HEEDED: [&str; 18] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.deleted",
    "invoice.paid",
    "invoice.payment_failed",
    "charge.refunded",
    "charge.refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
];

/// Takes an event in: stored by its id together with its job, in one transaction. False when it was there already.
pub async fn take_in(app: &App, stripe: &Client, event: &Event, source: Source) -> store::Result<bool> {
    let now = app.clock.now();
    let outcome = if !stripe.is_of_our_mode(event.livemode) {
        Outcome::OtherMode
    } else if HEEDED.contains(&event.kind.as_str()) {
        Outcome::Waiting
    } else {
        Outcome::Ignored
    };
    let is_new = if outcome == Outcome::Waiting {
        sql::insert_event_and_job(&app.store, event, source, (job_id(&event.id), &job_of(&event.id)), now).await?
    } else {
        crate::transaction!(app.store, |tx| { sql::insert_event(tx, event, source, outcome, now).await })?
    };
    let word = if is_new { outcome.as_str() } else { "repeated" };
    metrics::counter!("stripe_events_total", "source" => source.as_str(), "outcome" => word).increment(1);
    if is_new && outcome == Outcome::Waiting {
        app.live.ring_for_jobs();
    }
    Ok(is_new)
}

/// Sees to it that an event is looked into: one job each, however often it is promised.
pub(super) async fn promise(tx: &mut Tx, id: &str, now: Moment) -> store::Result<()> {
    jobs::keep_house(tx, job_id(id), &job_of(id), now).await
}

fn job_id(event: &str) -> JobId {
    JobId::named(&format!("event {event}"))
}

fn job_of(event: &str) -> Job {
    Job::StripeEvent { id: event.to_owned() }
}

/// Looks into an event once more, whatever became of it the first time. False: no such event.
pub async fn replay(app: &App, id: &str) -> store::Result<bool> {
    let now = app.clock.now();
    let found = crate::transaction!(app.store, |tx| {
        if !sql::begin_event_anew(tx, id).await? {
            return Ok(false);
        }
        promise(tx, id, now).await?;
        Ok::<_, store::Error>(true)
    })?;
    app.live.ring_for_jobs_everywhere();
    Ok(found)
}

/// The newest events, at most `most`.
pub async fn events(app: &App, most: u32) -> store::Result<Vec<KeptEvent>> {
    sql::newest_events(&mut app.store.read().await?, i64::from(most)).await
}

/// Deletes events that came before `before`, at most `most`; how many went.
pub async fn sweep_events(store: &Store, before: Moment, most: u32) -> store::Result<u64> {
    sql::delete_events(store, before, most).await
}

/// The job that looks into an event.
pub(super) async fn work_event(app: &App, claim: &Claim, id: &str) -> Result<(), EndError> {
    match act(app, id).await {
        Ok(outcome) => {
            let now = app.clock.now();
            crate::transaction!(app.store, |tx| {
                match outcome {
                    Outcome::UnknownCustomer => sql::strip_event(tx, id).await?,
                    outcome => sql::set_outcome(tx, id, outcome).await?,
                }
                jobs::finish_house(tx, app.node, claim, "", now).await
            })
        }
        Err(why) => work::put_off(app, claim, &why).await,
    }
}

async fn act(app: &App, id: &str) -> Result<Outcome, Undone> {
    let stripe = work::stripe(app)?;
    let event = sql::event(&mut app.store.read().await?, id).await?;
    let Some(event) = event else { return Ok(Outcome::Ignored) };
    let cause = Cause::Event(event.id.clone());
    if let Some(charge) = charge_of(&event) {
        return Ok(outcome(taken_back::look_at_charge(app, stripe, charge, &cause).await?));
    }
    if let Some(session) = event.object.as_deref().filter(|_| event.kind.starts_with("checkout.session."))
        && fulfil::see_session(app, stripe, session, &cause).await? == Some(Stage::Complete)
    {
        return Ok(Outcome::Applied);
    }
    let Some(customer) = &event.customer else { return Ok(Outcome::UnknownCustomer) };
    if was_seen(app, &event, customer).await? {
        return Ok(Outcome::Applied);
    }
    match look(app, stripe, customer, &cause).await {
        Ok(looked) => {
            if event.kind == "customer.deleted" && stripe.is_deleted(customer).await? {
                crate::transaction!(app.store, |tx| { sql::part_from_customer(tx, customer).await })?;
            }
            Ok(outcome(looked))
        }
        // One that is not known to Stripe keeps what they have, and the comparison says so: it may be another account's.
        Err(LookError::Stripe(error)) if error.is_missing("customer") => {
            if stripe.is_deleted(customer).await? {
                forget_customer(app, customer, &cause).await?;
                return Ok(Outcome::Applied);
            }
            Ok(Outcome::UnknownCustomer)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a look that began after the event had come was written: news comes in swarms, and one look sees all of it.
async fn was_seen(app: &App, event: &KeptEvent, customer: &str) -> store::Result<bool> {
    let Some(begun) = event.look.filter(|_| event.kind != "customer.deleted") else { return Ok(false) };
    let account = sql::account_of(&mut app.store.read().await?, customer).await?;
    Ok(account.is_some_and(|account| account.applied_seq > begun))
}

/// The charge that an event is about, if it is about one.
fn charge_of(event: &KeptEvent) -> Option<&str> {
    match event.kind.as_str() {
        "charge.refunded" => event.object.as_deref(),
        kind if ["charge.dispute.", "charge.refund.", "refund."].iter().any(|start| kind.starts_with(start)) => {
            event.charge.as_deref()
        }
        _ => None,
    }
}

const fn outcome(looked: Looked) -> Outcome {
    match looked {
        Looked::Nobody => Outcome::UnknownCustomer,
        Looked::Outrun | Looked::Written(_) => Outcome::Applied,
    }
}
