//! What became of a checkout: the person came back, an event told, or somebody looked after it. All do the same, once.

use std::time::Duration;

use super::Cause;
use super::look::{LookError, look};
use super::sql::{self, Checkout, Stage};
use super::work::{self, NotConfigured, Undone};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{CheckoutId, RequestId};
use crate::jobs::{self, Claim, EndError};
use crate::store;
use crate::stripe::{self, Client};

/// Between two looks at an open session; longer, the longer it is open, but nobody who paid waits a minute.
const SHORTEST_WAIT: Duration = Duration::from_secs(20);
const LONGEST_WAIT: Duration = Duration::from_secs(50);

#[derive(Debug, thiserror::Error)]
pub enum ReturnError {
    #[error("no such checkout session")]
    NoSuchSession,
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
    #[error(transparent)]
    Look(#[from] LookError),
}

/// What a person who comes back finds.
#[derive(Clone, Debug)]
pub struct Returned {
    pub session: String,
    /// Whether the checkout was paid, can still be, or is over.
    pub stage: Stage,
}

/// Does what a webhook would do for a session that is ours. Safe to repeat.
pub async fn come_back(app: &App, session: &str) -> Result<Returned, ReturnError> {
    let stripe = work::stripe(app)?;
    let found = sql::checkout_of_session(&mut app.store.read().await.map_err(LookError::from)?, session).await;
    let checkout = found.map_err(LookError::from)?.ok_or(ReturnError::NoSuchSession)?;
    let stage = see(app, stripe, &checkout, &Cause::Checkout(session.to_owned())).await?;
    Ok(Returned { session: session.to_owned(), stage })
}

/// Sees what became of a session, if it is one of ours.
pub(super) async fn see_session(
    app: &App,
    stripe: &Client,
    session: &str,
    cause: &Cause,
) -> Result<Option<Stage>, LookError> {
    let checkout = sql::checkout_of_session(&mut app.store.read().await?, session).await?;
    match checkout {
        Some(checkout) => see(app, stripe, &checkout, cause).await.map(Some),
        None => Ok(None),
    }
}

/// Asks Stripe how a checkout's session stands, and lets that have its effect.
pub(super) async fn see(app: &App, stripe: &Client, checkout: &Checkout, cause: &Cause) -> Result<Stage, LookError> {
    let Some(session) = &checkout.session else { return Ok(checkout.status) };
    let stage = match stripe.checkout(session).await {
        Ok(session) => match session.status.as_str() {
            "complete" => Stage::Complete,
            "open" => Stage::Open,
            _ => Stage::Expired,
        },
        Err(error) if error.is_missing("id") || error.is_missing("session") => Stage::Expired,
        Err(error) => return Err(error.into()),
    };
    if stage == Stage::Complete
        && let Some(customer) = &checkout.customer
    {
        look(app, stripe, customer, cause).await?;
    }
    if stage != Stage::Open {
        crate::transaction!(app.store, |tx| { sql::end_checkout(tx, checkout.id, stage).await })?;
    }
    Ok(stage)
}

/// The job that looks after an open checkout, should neither its person nor an event come back.
pub(super) async fn watch(app: &App, claim: &Claim, id: CheckoutId) -> Result<(), EndError> {
    match watch_once(app, id).await {
        Ok(None) => work::done(app, claim).await,
        Ok(Some(again)) => {
            crate::transaction!(app.store, |tx| { jobs::wait_house(tx, app.node, claim, again).await })
        }
        Err(why) => work::put_off(app, claim, &why).await,
    }
}

/// When to look again; none when there is nothing left to see.
async fn watch_once(app: &App, id: CheckoutId) -> Result<Option<Moment>, Undone> {
    let stripe = work::stripe(app)?;
    let checkout = sql::checkout(&mut app.store.read().await?, id).await?;
    let Some(checkout) = checkout.filter(|checkout| checkout.status == Stage::Open) else { return Ok(None) };
    let cause = Cause::Checkout(checkout.session.clone().unwrap_or_default());
    let stage = see(app, stripe, &checkout, &cause).await?;
    Ok((stage == Stage::Open).then(|| next_look(&checkout, app.clock.now())))
}

pub(super) fn next_look(checkout: &Checkout, now: Moment) -> Moment {
    now.plus((now.since(checkout.created_at) / 60).clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

/// Deletes attempts that ended and began before `before`, at most `most`; how many went.
pub async fn sweep_checkouts(store: &store::Store, before: Moment, most: u32) -> store::Result<u64> {
    sql::delete_old_checkouts(store, before, most).await
}

/// Whether a session can be ended by us, or is over already.
pub(super) async fn expire(app: &App, stripe: &Client, session: &str) -> Result<(), stripe::Error> {
    // Another key each time: a failure of Stripe's own is kept under the one that met it.
    let key = format!("expire-{}", RequestId::new(app.clock.now()));
    match stripe.expire_checkout(session, &key).await {
        // Paid or expired meanwhile: whoever looks next sees which.
        Err(stripe::Error::Refused(refusal)) if refusal.status == 400 || refusal.status == 404 => Ok(()),
        outcome => outcome,
    }
}
