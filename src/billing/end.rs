//! Ending subscriptions and customers on our own account: one too many, one whose payment was taken back, somebody gone.

use std::collections::BTreeSet;

use super::judge::judge;
use super::look::{end_of, fetch, look};
use super::standing::{Known, surplus};
use super::work::{self, Undone};
use super::{Cause, Happened, What, fulfil, sql};
use crate::app::App;
use crate::ids::UserId;
use crate::jobs::{self, Claim, EndError, Job};
use crate::store::{self, Tx};
use crate::stripe::{self, Client, Refund};

/// The job that ends a subscription. One too many is ended and its last payment given back; said in one line of the
/// history, however often the job was begun.
pub(super) async fn work_end(
    app: &App,
    claim: &Claim,
    user: UserId,
    subscription: &str,
    is_surplus: bool,
) -> Result<(), EndError> {
    match end(app, claim, user, subscription, is_surplus).await {
        Ok(Done::Ended) => work::done(app, claim).await,
        Ok(Done::Spared) => spare(app, claim, user, subscription).await,
        // The line and the job's end were one transaction.
        Ok(Done::Written(outcome)) => outcome,
        Err(why) => work::put_off(app, claim, &why).await,
    }
}

enum Done {
    Ended,
    /// It is not one too many.
    Spared,
    Written(Result<(), EndError>),
}

async fn end(app: &App, claim: &Claim, user: UserId, subscription: &str, is_surplus: bool) -> Result<Done, Undone> {
    let stripe = work::stripe(app)?;
    let cause = Cause::End(subscription.to_owned());
    let Some(sub) = known(app, subscription).await? else { return Ok(Done::Ended) };
    if is_surplus {
        // By what Stripe says now: the one that was to be kept may have ended, and nobody told.
        look(app, stripe, &sub.customer, &cause).await?;
        if !is_to_be_ended(app, user, subscription).await? {
            return Ok(Done::Spared);
        }
    }
    stripe.end_subscription(subscription).await?;
    look(app, stripe, &sub.customer, &cause).await?;
    if !is_surplus {
        return Ok(Done::Ended);
    }
    // Of what has ended the last payment stays the last, however often this is begun.
    let ended = known(app, subscription).await?.unwrap_or(sub);
    let refund = give_back(stripe, &ended, claim).await?;
    Ok(Done::Written(say_ended(app, claim, user, subscription, refund).await))
}

async fn known(app: &App, subscription: &str) -> store::Result<Option<Known>> {
    sql::subscription(&mut app.store.read().await?, subscription).await
}

/// Still one too many, or ended already and not said yet: then this job died between the two.
async fn is_to_be_ended(app: &App, user: UserId, subscription: &str) -> store::Result<bool> {
    let mut reader = app.store.read().await?;
    let subs = sql::subscriptions(&mut reader, user).await?;
    if surplus(&subs, app.settings.stripe.grace, app.clock.now()).any(|one| one.id == subscription) {
        return Ok(true);
    }
    let is_over = subs.iter().any(|one| one.id == subscription && one.is_over());
    Ok(is_over && !sql::has_line(&mut reader, user, What::DuplicateEnded, subscription).await?)
}

/// Ends the job of a subscription that is not one too many, unless it has become one while that was found.
async fn spare(app: &App, claim: &Claim, user: UserId, subscription: &str) -> Result<(), EndError> {
    let now = app.clock.now();
    crate::transaction!(app.store, |tx| {
        jobs::lock(tx, user).await?;
        let subs = sql::subscriptions(tx, user).await?;
        if surplus(&subs, app.settings.stripe.grace, now).any(|one| one.id == subscription) {
            return jobs::wait_house(tx, app.node, claim, now).await;
        }
        jobs::finish_house(tx, app.node, claim, "", now).await
    })
}

/// Lets a subscription end with its period. One that Stripe will not have changed is left to the customer's end.
async fn stop_renewing(stripe: &Client, sub: &Known, claim: &Claim) -> Result<(), stripe::Error> {
    match stripe.set_cancels(&sub.id, true, &format!("stop-{}-{}", sub.id, claim.attempt)).await {
        Err(why) if !why.is_passing() => {
            tracing::error!(subscription = sub.id, %why, "a subscription of somebody gone goes on until its customer ends");
            Ok(())
        }
        stopped => stopped.map(drop),
    }
}

/// Gives back what the last invoice took, if it took something; once, however often it is asked for.
async fn give_back(stripe: &Client, sub: &Known, claim: &Claim) -> Result<Option<Refund>, stripe::Error> {
    let Some(invoice) = &sub.latest_invoice else { return Ok(None) };
    let Some(payment) = stripe.payment_of(invoice).await? else { return Ok(None) };
    let key = format!("refund-{}", sub.id);
    match stripe.refund(&payment, &key).await {
        // Stripe's own failure, kept under the key. No key gives the same payment back twice.
        Err(stripe::Error::Refused(refusal)) if refusal.is_replayed => {
            stripe.refund(&payment, &format!("{key}-{}", claim.attempt)).await
        }
        outcome => outcome,
    }
}

async fn say_ended(
    app: &App,
    claim: &Claim,
    user: UserId,
    subscription: &str,
    refund: Option<Refund>,
) -> Result<(), EndError> {
    let now = app.clock.now();
    let line = Happened {
        subscription: Some(subscription.to_owned()),
        amount: refund.as_ref().map(|refund| refund.amount),
        currency: refund.map(|refund| refund.currency),
        ..Happened::just(What::DuplicateEnded)
    };
    let cause = Cause::End(subscription.to_owned());
    let change = app.people.change_beside(user);
    let ended = crate::transaction!(app.store, |tx| {
        if jobs::lock(tx, user).await?.is_some() {
            judge(app, tx, user, std::slice::from_ref(&line), &cause, now).await?;
        }
        jobs::finish_house(tx, app.node, claim, "", now).await
    });
    change.all();
    ended
}

/// Forgets what is held of a person, in the transaction that ends the account, and promises to take them off Stripe: the job
/// carries Stripe's ids alone. Tokens stay, under an id that leads to nobody: the deployment's budget sums them.
pub async fn forget(tx: &mut Tx, user: UserId, now: crate::clock::Moment) -> store::Result<()> {
    let mut checkouts = sql::open_sessions(tx, user).await?;
    let owed = owed(tx, user).await?;
    sql::strip_charges_of(tx, user).await?;
    for customer in sql::customers_of(tx, user).await? {
        sql::strip_events_of(tx, &customer).await?;
        let of_this = owed.iter().filter(|sub| sub.customer == customer);
        let owed = of_this.map(|sub| sub.id.clone()).collect();
        let job = Job::CloseCustomer { customer, checkouts: std::mem::take(&mut checkouts), owed };
        jobs::enqueue_house(tx, &job, now).await?;
    }
    sql::disown_tokens(tx, user).await?;
    sql::delete_prompts(tx, user).await?;
    sql::delete_subscriptions(tx, user).await?;
    sql::delete_checkouts(tx, user).await?;
    sql::delete_lines(tx, user).await?;
    sql::delete_account(tx, user).await
}

/// The subscriptions whose last payment was promised back and may not have been given: those jobs go with the account.
async fn owed(tx: &mut Tx, user: UserId) -> store::Result<Vec<Known>> {
    let mut owed = Vec::new();
    for sub in sql::subscriptions(tx, user).await? {
        if jobs::is_ahead(tx, end_of(&sub.id, true)).await? {
            owed.push(sub);
        }
    }
    Ok(owed)
}

/// The job that takes a person who is gone off Stripe: open checkouts end, what one too many took is given back, then the
/// customer goes with every subscription.
pub(super) async fn close_customer(
    app: &App,
    claim: &Claim,
    customer: &str,
    checkouts: &[String],
    owed: &[String],
) -> Result<(), EndError> {
    match close(app, claim, customer, checkouts, owed).await {
        // Their ids there were the last that was left.
        Ok(()) => crate::transaction!(app.store, |tx| { jobs::forget_house(tx, claim.id).await }),
        Err(why) => work::put_off(app, claim, &why).await,
    }
}

async fn close(app: &App, claim: &Claim, customer: &str, checkouts: &[String], owed: &[String]) -> Result<(), Undone> {
    let stripe = work::stripe(app)?;
    for session in checkouts {
        fulfil::expire(app, stripe, session).await?;
    }
    let subs = match fetch(stripe, customer).await {
        // Another account's: nothing of theirs is within reach.
        Err(error) if error.is_missing("customer") => Vec::new(),
        fetched => fetched?,
    };
    // Before they end: an interrupted job finds them as they were.
    let extra: BTreeSet<&str> =
        surplus(&subs, app.settings.stripe.grace, app.clock.now()).map(|sub| sub.id.as_str()).collect();
    let is_owed = |sub: &&Known| extra.contains(sub.id.as_str()) || sub.is_over() && owed.contains(&sub.id);
    let to_give_back: Vec<&Known> = subs.iter().filter(is_owed).collect();
    if !to_give_back.is_empty() {
        // However long that takes, nothing is charged meanwhile.
        for sub in subs.iter().filter(|sub| !sub.is_over()) {
            stop_renewing(stripe, sub, claim).await?;
        }
    }
    for sub in to_give_back {
        give_back(stripe, sub, claim).await?;
    }
    stripe.delete_customer(customer).await?;
    Ok(())
}
