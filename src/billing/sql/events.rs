//! Events of Stripe's, and how far they were read.

use crate::clock::Moment;
use crate::ids::{JobId, UserId};
use crate::jobs::{self, Job, Kept};
use crate::store::{On, Result, Store, Tx};
use crate::stripe::Event;
use crate::{execute, fetch_all, fetch_one, fetch_optional};

macro_rules! events {
    ($which:literal) => {
        concat!(
            "select id, kind, created_at, received_at, livemode, api_version, object, customer, charge, look,
                    source, outcome
             from stripe_events ",
            $which
        )
    };
}

crate::words! {
    /// How an event came.
    pub enum Source { Webhook = "webhook", Sync = "sync" }
}

crate::words! {
    /// What became of an event.
    pub enum Outcome {
        Waiting = "waiting",
        Applied = "applied",
        /// Of a kind that changes nothing here.
        Ignored = "ignored",
        /// Of the test mode where we are live, or the other way round.
        OtherMode = "other_mode",
        /// About somebody who is not (any more) a person here.
        UnknownCustomer = "unknown_customer",
    }
}

/// An event as it is kept: what it is about, not what it carried.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct KeptEvent {
    pub id: String,
    pub kind: String,
    pub created_at: Moment,
    pub received_at: Moment,
    pub livemode: bool,
    pub api_version: Option<String>,
    pub object: Option<String>,
    pub customer: Option<String>,
    pub charge: Option<String>,
    /// The newest look at its customer that had begun when it came; None: look whatever was seen.
    #[serde(skip)]
    pub look: Option<i64>,
    pub source: Source,
    pub outcome: Outcome,
}

macro_rules! insert_event {
    () => {
        "insert into stripe_events (id, kind, created_at, received_at, livemode, api_version, object, customer, charge,
                                    look, source, outcome)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9,
                 (select fetch_seq from billing_accounts where customer = $8), $10, $11)
         on conflict (id) do nothing"
    };
}

/// False when it is there already.
pub(in crate::billing) async fn insert_event(
    tx: &mut Tx,
    event: &Event,
    source: Source,
    outcome: Outcome,
    now: Moment,
) -> Result<bool> {
    // Of what nothing follows from, nothing is kept but that it came: it may be about anybody.
    let about = |id: &Option<String>| id.clone().filter(|_| outcome == Outcome::Waiting);
    let inserted = execute!(
        tx,
        insert_event!(),
        &event.id,
        &event.kind,
        event.created,
        now,
        event.livemode,
        &event.api_version,
        about(&event.object),
        about(&event.customer),
        about(&event.charge),
        source,
        outcome
    )?;
    Ok(inserted == 1)
}

/// A statement is a transaction, too, of one round trip instead of four: a thousand events may come at once. SQLite knows no
/// statement that writes two tables, and has no round trips.
const INSERT_BOTH: &str = jobs::keep_house_sql!(
    concat!("with event as (", insert_event!(), " returning id) "),
    "select cast($12 as uuid) as id, $13 as kind, $14 as payload, cast($15 as timestamptz) as due, $16 as pool from event"
);

/// Stores an event that waits to be looked into, together with its job. False when it is there already.
pub(in crate::billing) async fn insert_event_and_job(
    store: &Store,
    event: &Event,
    source: Source,
    (id, job): (JobId, &Job),
    now: Moment,
) -> Result<bool> {
    if store.is_embedded() {
        return crate::transaction!(store, |tx| {
            let is_new = insert_event(tx, event, source, Outcome::Waiting, now).await?;
            if is_new {
                jobs::keep_house(tx, id, job, now).await?;
            }
            Ok::<_, crate::store::Error>(is_new)
        });
    }
    let Kept { id, kind, payload, due, pool } = Kept::of(id, job, now);
    let inserted = execute!(
        &mut store.read().await?,
        INSERT_BOTH,
        &event.id,
        &event.kind,
        event.created,
        now,
        event.livemode,
        &event.api_version,
        &event.object,
        &event.customer,
        &event.charge,
        source,
        Outcome::Waiting,
        id,
        kind,
        payload,
        due,
        pool
    )?;
    Ok(inserted == 1)
}

pub(in crate::billing) async fn event(on: &mut impl On, id: &str) -> Result<Option<KeptEvent>> {
    fetch_optional!(on, KeptEvent, events!("where id = $1"), id)
}

/// The newest events, at most `most`.
pub(in crate::billing) async fn newest_events(on: &mut impl On, most: i64) -> Result<Vec<KeptEvent>> {
    fetch_all!(on, KeptEvent, events!("order by received_at desc, id desc limit $1"), most)
}

/// Makes an event one that nobody has looked into.
pub(in crate::billing) async fn begin_event_anew(tx: &mut Tx, id: &str) -> Result<bool> {
    Ok(execute!(tx, "update stripe_events set outcome = 'waiting', look = null where id = $1", id)? == 1)
}

pub(in crate::billing) async fn set_outcome(tx: &mut Tx, id: &str, outcome: Outcome) -> Result<()> {
    execute!(tx, "update stripe_events set outcome = $2 where id = $1", id, outcome)?;
    Ok(())
}

/// Nothing of an event leads to somebody who is not here.
pub(in crate::billing) async fn strip_event(tx: &mut Tx, id: &str) -> Result<()> {
    execute!(
        tx,
        "update stripe_events set outcome = 'unknown_customer', customer = null, object = null, charge = null where id = $1",
        id
    )?;
    Ok(())
}

/// The same for what is known by a payment alone, as disputes are.
pub(in crate::billing) async fn strip_charges_of(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(
        tx,
        "update stripe_events set customer = null, object = null, charge = null
         where charge in (select charge from charges_taken_back where user_id = $1)",
        user
    )?;
    Ok(())
}

/// Events that were to be looked into before then and were not, at most `most`.
pub(in crate::billing) async fn stale_events(on: &mut impl On, before: Moment, most: i64) -> Result<Vec<String>> {
    let sql =
        "select id from stripe_events where outcome = 'waiting' and received_at < $1 order by received_at limit $2";
    Ok(fetch_all!(on, (String,), sql, before, most)?.into_iter().map(|(id,)| id).collect())
}

pub(in crate::billing) async fn strip_events_of(tx: &mut Tx, customer: &str) -> Result<()> {
    execute!(
        tx,
        "update stripe_events set customer = null, object = null, charge = null where customer = $1",
        customer
    )?;
    Ok(())
}

/// Deletes events that came before `before`, at most `most`; how many went.
pub(in crate::billing) async fn delete_events(store: &Store, before: Moment, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| {
        execute!(
            tx,
            "delete from stripe_events where id in
                 (select id from stripe_events where received_at < $1 order by received_at limit $2)",
            before,
            i64::from(most)
        )
    })
}

/// The last comparison that read all it wanted; nothing before the first.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(in crate::billing) struct LastSync {
    /// By our clock.
    pub ran_at: Option<Moment>,
    /// Until when events were read, by Stripe's.
    pub read_until: Option<Moment>,
}

pub(in crate::billing) async fn last_sync(on: &mut impl On) -> Result<LastSync> {
    fetch_one!(on, LastSync, "select ran_at, read_until from billing_sync where id = 1")
}

/// Of two comparisons at once the one that read further counts.
pub(in crate::billing) async fn note_sync(tx: &mut Tx, until: Moment, now: Moment) -> Result<()> {
    execute!(
        tx,
        "update billing_sync set ran_at = $2,
                read_until = case when read_until is null or read_until < $1 then $1 else read_until end
         where id = 1",
        until,
        now
    )?;
    Ok(())
}
