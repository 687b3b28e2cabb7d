//! Ending subscriptions and customers on our own account: one too many, one whose payment was taken back, somebody gone.

use super::judge::judge;
use super::look::look;
use super::standing::{Known, surplus};
use super::work::{self, Undone};
use super::{Cause, Happened, What, fulfil, sql};
use crate::app::App;
use crate::ids::UserId;
use crate::jobs::{self, Claim, EndError, Job};
use crate::store::{self, Tx};
use crate::stripe::{Client, Refund};

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
    let Some(sub) = sql::subscription(&mut app.store.read().await?, subscription).await? else {
        return Ok(Done::Ended);
    };
    if is_surplus && !is_to_be_ended(app, user, &sub).await? {
        return Ok(Done::Spared);
    }
    stripe.end_subscription(subscription).await?;
    let refund = if is_surplus { give_back(stripe, &sub).await? } else { None };
    look(app, stripe, &sub.customer, &Cause::End(subscription.to_owned())).await?;
    if !is_surplus {
        return Ok(Done::Ended);
    }
    Ok(Done::Written(say_ended(app, claim, user, subscription, refund).await))
}

/// Still one too many, or ended already and not said yet: then this job died between the two.
async fn is_to_be_ended(app: &App, user: UserId, sub: &Known) -> store::Result<bool> {
    let mut reader = app.store.read().await?;
    let subs = sql::subscriptions(&mut reader, user).await?;
    if surplus(&subs, app.settings.stripe.grace, app.clock.now()).any(|one| one.id == sub.id) {
        return Ok(true);
    }
    Ok(sub.is_over() && !sql::has_line(&mut reader, user, What::DuplicateEnded, &sub.id).await?)
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

/// Gives back what the last invoice took, if it took something.
async fn give_back(stripe: &Client, sub: &Known) -> Result<Option<Refund>, crate::stripe::Error> {
    let Some(invoice) = &sub.latest_invoice else { return Ok(None) };
    let Some(payment) = stripe.payment_of(invoice).await? else { return Ok(None) };
    stripe.refund(&payment, &format!("refund-{}-{invoice}", sub.id)).await
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
    sql::strip_charges_of(tx, user).await?;
    for customer in sql::customers_of(tx, user).await? {
        sql::strip_events_of(tx, &customer).await?;
        let job = Job::CloseCustomer { customer, checkouts: std::mem::take(&mut checkouts) };
        jobs::enqueue_house(tx, &job, now).await?;
    }
    sql::disown_tokens(tx, user).await?;
    sql::delete_prompts(tx, user).await?;
    sql::delete_subscriptions(tx, user).await?;
    sql::delete_checkouts(tx, user).await?;
    sql::delete_lines(tx, user).await?;
    sql::delete_account(tx, user).await
}

/// The job that takes a person who is gone off Stripe: open checkouts end, then the customer with every subscription.
pub(super) async fn close_customer(
    app: &App,
    claim: &Claim,
    customer: &str,
    checkouts: &[String],
) -> Result<(), EndError> {
    match close(app, customer, checkouts).await {
        // Their ids there were the last that was left.
        Ok(()) => crate::transaction!(app.store, |tx| { jobs::forget_house(tx, claim.id).await }),
        Err(why) => work::put_off(app, claim, &why).await,
    }
}

async fn close(app: &App, customer: &str, checkouts: &[String]) -> Result<(), Undone> {
    let stripe = work::stripe(app)?;
    for session in checkouts {
        fulfil::expire(stripe, session).await?;
    }
    stripe.delete_customer(customer).await?;
    Ok(())
}
