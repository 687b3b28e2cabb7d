//! Refunds and disputes: written down, and what the settings say follows.

use super::judge::judge;
use super::look::{LookError, Looked, end_subscription, look};
use super::{Cause, Happened, What, sql};
use crate::app::App;
use crate::config::Consequence;
use crate::ids::UserId;
use crate::jobs;
use crate::store;
use crate::stripe::{self, Charge, Client};

/// Fetches a payment and writes what was taken back of it, or came back, since it was looked at last. Safe to repeat, and to
/// run twice at once: what was written while this one asked makes it ask again.
pub(super) async fn look_at_charge(
    app: &App,
    stripe: &Client,
    charge: &str,
    cause: &Cause,
) -> Result<Looked, LookError> {
    loop {
        let looked = look_once(app, stripe, charge, cause).await?;
        if looked != Looked::Outrun {
            return Ok(looked);
        }
    }
}

async fn look_once(app: &App, stripe: &Client, charge: &str, cause: &Cause) -> Result<Looked, LookError> {
    let before = sql::taken_back(&mut app.store.read().await?, charge).await?;
    let charge = match stripe.charge(charge).await {
        Err(error) if error.is_missing("id") || error.is_missing("charge") => return Ok(Looked::Nobody),
        outcome => outcome?,
    };
    let Some(customer) = &charge.customer else { return Ok(Looked::Nobody) };
    let account = sql::account_of(&mut app.store.read().await?, customer).await?;
    let Some(user) = account.map(|account| account.user_id) else { return Ok(Looked::Nobody) };
    // Which payment was a subscription's last is only known when its newest news is.
    look(app, stripe, customer, cause).await?;
    let doomed = if ends(app, &charge) { paid_by(app, stripe, user, &charge).await? } else { None };
    let now = app.clock.now();
    let held = app.people.change_beside(user);
    let written = crate::transaction!(app.store, |tx| {
        if jobs::lock(tx, user).await?.is_none() {
            return Ok(Looked::Nobody);
        }
        // Unchanged since before it was asked for, what is known is older than the answer.
        if sql::taken_back(tx, &charge.id).await? != before {
            return Ok(Looked::Outrun);
        }
        // Also when it is known already: whoever learnt it may not have known the subscription.
        if let Some(subscription) = &doomed {
            end_subscription(tx, user, subscription, false, now).await?;
        }
        let happened = news(before, &charge, doomed.as_deref());
        if happened.is_empty() {
            return Ok(Looked::Written(0));
        }
        sql::put_taken_back(tx, user, &charge).await?;
        judge(app, tx, user, &happened, cause, now).await?;
        Ok::<_, store::Error>(Looked::Written(happened.len()))
    })?;
    held.all();
    app.live.ring_for_jobs();
    Ok(written)
}

/// What was not known yet.
fn news(known: Option<(i64, bool)>, charge: &Charge, subscription: Option<&str>) -> Vec<Happened> {
    let (refunded, was_disputed) = known.unwrap_or((0, false));
    let line = |what, amount| Happened {
        amount: Some(amount),
        currency: Some(charge.currency.clone()),
        subscription: subscription.map(str::to_owned),
        ..Happened::just(what)
    };
    let mut happened = Vec::new();
    match charge.amount_refunded - refunded {
        0 => {}
        more @ 1.. => happened.push(line(What::Refunded, more)),
        less => happened.push(line(What::RefundFailed, -less)),
    }
    if charge.is_disputed && !was_disputed {
        happened.push(line(What::Disputed, charge.amount));
    }
    happened
}

/// Whether the settings want the subscription ended that this payment was for.
fn ends(app: &App, charge: &Charge) -> bool {
    let settings = &app.settings.stripe;
    let is_refunded = charge.amount > 0 && charge.amount_refunded >= charge.amount;
    is_refunded && settings.on_refund == Consequence::Cancel
        || charge.is_disputed && settings.on_dispute == Consequence::Cancel
}

/// The subscription whose last payment this was, if it goes on.
async fn paid_by(app: &App, stripe: &Client, user: UserId, charge: &Charge) -> Result<Option<String>, LookError> {
    let subs = sql::subscriptions(&mut app.store.read().await?, user).await?;
    for sub in subs.into_iter().filter(|sub| sub.is_ours && !sub.is_over()) {
        let Some(invoice) = &sub.latest_invoice else { continue };
        if charge.invoice.as_ref() == Some(invoice) || is_payment_of(stripe, invoice, charge).await? {
            return Ok(Some(sub.id));
        }
    }
    Ok(None)
}

async fn is_payment_of(stripe: &Client, invoice: &str, charge: &Charge) -> Result<bool, stripe::Error> {
    Ok(stripe.payment_of(invoice).await?.is_some_and(|payment| payment.is_of(charge)))
}
