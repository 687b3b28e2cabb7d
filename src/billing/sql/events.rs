//! Events of Stripe's, and how far they were read.

use crate::clock::Moment;
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

/// False when it is there already.
pub(in crate::billing) async fn insert_event(
    tx: &mut Tx,
    event: &Event,
    source: Source,
    outcome: Outcome,
    now: Moment,
) -> Result<bool> {
    let inserted = execute!(
        tx,
        "insert into stripe_events (id, kind, created_at, received_at, livemode, api_version, object, customer, charge,
                                    look, source, outcome)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9,
                 (select fetch_seq from billing_accounts where customer = $8), $10, $11)
         on conflict (id) do nothing",
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
        outcome
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

/// Until when events were read; none before the first time.
pub(in crate::billing) async fn read_until(on: &mut impl On) -> Result<Option<Moment>> {
    let (until,) = fetch_one!(on, (Option<Moment>,), "select read_until from billing_sync where id = 1")?;
    Ok(until)
}

pub(in crate::billing) async fn set_read_until(tx: &mut Tx, until: Moment, now: Moment) -> Result<()> {
    execute!(
        tx,
        "update billing_sync set ran_at = $2, read_until = $1
         where id = 1 and (read_until is null or read_until < $1)",
        until,
        now
    )?;
    Ok(())
}
