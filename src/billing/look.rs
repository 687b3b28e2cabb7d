//! The one way that news of Stripe's comes in: all of a customer's subscriptions are fetched, and what was fetched is
//! written, unless a newer look was written meanwhile.
//!
//! Webhooks, the sync, checkout's return, cancel and resume all go through [`look`]. No transaction is open while the
//! network speaks.

use super::judge::{judge, next_end};
use super::standing::{Known, surplus};
use super::{Cause, Happened, What, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{JobId, UserId};
use crate::jobs::{self, Job};
use crate::store::{self, Tx};
use crate::stripe::{self, Client};

#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Stripe(#[from] stripe::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl LookError {
    /// Whether looking again may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Stripe(error) => error.is_passing(),
            Self::Store(_) => true,
        }
    }
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The customer is nobody's here.
    Nobody,
    /// A look that began later was written first: it saw all that this one saw.
    Outrun,
    /// So many changes were written.
    Written(usize),
}

/// Fetches and writes how a customer stands. Safe to repeat, and to run twice at once.
pub async fn look(app: &App, stripe: &Client, customer: &str, cause: &Cause) -> Result<Looked, LookError> {
    // Raised before the fetch: of two looks the one that began later saw the newer state.
    let begun = crate::transaction!(app.store, |tx| { sql::begin_look(tx, customer).await })?;
    let Some((user, number)) = begun else { return Ok(Looked::Nobody) };
    let fetched = fetch(stripe, customer).await?;
    let now = app.clock.now();
    let change = app.people.change_beside(user);
    let written = crate::transaction!(app.store, |tx| {
        // A person whose account went meanwhile keeps nothing here.
        if jobs::lock(tx, user).await?.is_none() {
            return Ok((Looked::Nobody, false));
        }
        if !sql::end_look(tx, customer, number).await? {
            return Ok((Looked::Outrun, false));
        }
        let happened = write(tx, user, customer, &fetched).await?;
        let changed = judge(app, tx, user, &happened, cause, now).await?.unwrap_or(false);
        promise(app, tx, user, now).await?;
        Ok::<_, store::Error>((Looked::Written(happened.len()), changed))
    });
    let (looked, changed) = written?;
    change.all();
    if changed {
        // More may be written at once now, or less.
        app.live.ring_for_jobs_everywhere();
    }
    app.live.ring_for_jobs();
    metrics::counter!("billing_looks_total", "cause" => cause.word(), "outcome" => word(looked)).increment(1);
    Ok(looked)
}

const fn word(looked: Looked) -> &'static str {
    match looked {
        Looked::Nobody => "nobody",
        Looked::Outrun => "outrun",
        Looked::Written(0) => "same",
        Looked::Written(_) => "changed",
    }
}

/// All that a customer has or had at Stripe.
pub(super) async fn fetch(stripe: &Client, customer: &str) -> Result<Vec<Known>, stripe::Error> {
    let mut fetched = Vec::new();
    for sub in stripe.subscriptions_of(customer).await? {
        // The grace is counted from what Stripe says, so that it is the same whenever we happened to look.
        let overdue_since = if sub.status == "past_due" {
            stripe.overdue_since(&sub.id).await?.or(sub.current_period_start).or(Some(sub.created))
        } else {
            None
        };
        fetched.push(Known::new(sub, overdue_since));
    }
    Ok(fetched)
}

/// Writes what is new; what happened by that.
async fn write(tx: &mut Tx, user: UserId, customer: &str, fetched: &[Known]) -> store::Result<Vec<Happened>> {
    let before = sql::subscriptions(tx, user).await?;
    let mut happened = Vec::new();
    for sub in fetched {
        let known = before.iter().find(|known| known.id == sub.id);
        if known != Some(sub) {
            sql::put_subscription(tx, user, sub).await?;
            happened.extend(difference(known, sub).map(|what| line(what, sub)));
        }
    }
    for gone in before.iter().filter(|known| known.customer == customer && fetched.iter().all(|sub| sub.id != known.id))
    {
        sql::delete_subscription(tx, &gone.id).await?;
        happened.push(line(What::SubscriptionEnded, gone));
    }
    Ok(happened)
}

/// What a person would call the change; several things may have changed at once.
fn difference(known: Option<&Known>, sub: &Known) -> impl Iterator<Item = What> {
    let mut what = Vec::new();
    match known {
        None => what.push(if sub.is_over() { What::SubscriptionEnded } else { What::SubscriptionStarted }),
        Some(known) => {
            let is_renewed = sub.current_period_end > known.current_period_end;
            if sub.is_over() && !known.is_over() {
                what.push(What::SubscriptionEnded);
            } else if has_changed(known, sub, is_renewed) {
                what.push(What::SubscriptionChanged);
            }
            if is_renewed {
                what.push(What::SubscriptionRenewed);
            }
            if known.cancels != sub.cancels && !sub.is_over() {
                what.push(if sub.cancels { What::CancellationSet } else { What::CancellationWithdrawn });
            }
        }
    }
    what.into_iter()
}

/// Whether something is different that has no word of its own.
fn has_changed(known: &Known, sub: &Known, is_renewed: bool) -> bool {
    let terms = |of: &Known| (of.status.clone(), of.price.clone(), of.amount, of.currency.clone(), of.overdue_since);
    let period = |of: &Known| (of.current_period_start, of.current_period_end);
    terms(known) != terms(sub) || !is_renewed && period(known) != period(sub)
}

fn line(what: What, sub: &Known) -> Happened {
    Happened {
        what,
        subscription: Some(sub.id.clone()),
        status: Some(sub.status.clone()),
        current_period_end: sub.current_period_end,
        cancels: Some(sub.cancels),
        amount: sub.amount,
        currency: sub.currency.clone(),
    }
}

/// Lets go of a customer that Stripe does not know, with every subscription of theirs.
pub(super) async fn forget_customer(app: &App, customer: &str, cause: &Cause) -> store::Result<()> {
    let account = sql::account_of(&mut app.store.read().await?, customer).await?;
    let Some(user) = account.map(|account| account.user_id) else { return Ok(()) };
    let now = app.clock.now();
    let change = app.people.change_beside(user);
    let changed = crate::transaction!(app.store, |tx| {
        jobs::lock(tx, user).await?;
        let happened = write(tx, user, customer, &[]).await?;
        sql::part_from_customer(tx, customer).await?;
        judge(app, tx, user, &happened, cause, now).await
    })?;
    change.all();
    if changed == Some(true) {
        app.live.ring_for_jobs_everywhere();
    }
    Ok(())
}

/// What follows later: a period of grace that ends, a subscription that is one too many. Each job is there once.
pub(super) async fn promise(app: &App, tx: &mut Tx, user: UserId, now: Moment) -> store::Result<()> {
    let subs = sql::subscriptions(tx, user).await?;
    for sub in surplus(&subs, app.settings.stripe.grace, now) {
        end_subscription(tx, user, &sub.id, true, now).await?;
    }
    if let Some(end) = next_end(app, &subs, now) {
        let id = JobId::named(&format!("judge {user}"));
        jobs::keep_house(tx, id, &Job::JudgePlan { user }, end).await?;
    }
    Ok(())
}

/// Promises the end of a subscription; promising it again changes nothing while that is under way.
pub(super) async fn end_subscription(
    tx: &mut Tx,
    user: UserId,
    subscription: &str,
    is_surplus: bool,
    now: Moment,
) -> store::Result<()> {
    let job = Job::EndSubscription { user, subscription: subscription.to_owned(), is_surplus };
    jobs::keep_house(tx, end_of(subscription, is_surplus), &job, now).await
}

/// The job that ends a subscription, for one of two reasons.
pub(super) fn end_of(subscription: &str, is_surplus: bool) -> JobId {
    JobId::named(&format!("end {subscription} {is_surplus}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_795_255_200_000);
    const DAY: std::time::Duration = std::time::Duration::from_hours(24);

    fn known() -> Known {
        Known {
            id: "sub_1".to_owned(),
            customer: "cus_1".to_owned(),
            status: "past_due".to_owned(),
            price: Some("price_1".to_owned()),
            amount: Some(900),
            currency: Some("inr".to_owned()),
            current_period_start: Some(NOW),
            current_period_end: Some(NOW.plus(DAY * 30)),
            cancels: false,
            overdue_since: Some(NOW),
            created_at: NOW,
            latest_invoice: Some("in_1".to_owned()),
            is_ours: true,
        }
    }

    #[test]
    fn every_difference_has_its_word() {
        use What::{CancellationSet, SubscriptionChanged, SubscriptionEnded, SubscriptionRenewed};
        let after = |change: fn(&mut Known)| {
            let mut sub = known();
            change(&mut sub);
            difference(Some(&known()), &sub).collect::<Vec<_>>()
        };
        assert_eq!(after(|_| {}), []);
        assert_eq!(after(|sub| sub.status = "unpaid".to_owned()), [SubscriptionChanged]);
        assert_eq!(after(|sub| sub.amount = Some(1000)), [SubscriptionChanged]);
        assert_eq!(after(|sub| sub.currency = Some("usd".to_owned())), [SubscriptionChanged]);
        assert_eq!(after(|sub| sub.overdue_since = Some(NOW.plus(DAY))), [SubscriptionChanged]);
        assert_eq!(after(|sub| sub.current_period_end = Some(NOW.plus(DAY * 29))), [SubscriptionChanged]);
        assert_eq!(after(|sub| sub.current_period_end = None), [SubscriptionChanged]);
        assert_eq!(after(|sub| sub.cancels = true), [CancellationSet]);
        assert_eq!(after(|sub| sub.status = "canceled".to_owned()), [SubscriptionEnded]);
        let renewed = |sub: &mut Known| {
            sub.current_period_start = sub.current_period_end;
            sub.current_period_end = Some(NOW.plus(DAY * 60));
        };
        assert_eq!(after(renewed), [SubscriptionRenewed]);
    }
}
