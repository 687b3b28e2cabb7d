//! What the jobs of this room have in common: Stripe at hand, and another try when it was not.

use std::time::Duration;

use super::{LookError, end, events, fulfil, judge, sync};
use crate::app::App;
use crate::ids::CheckoutId;
use crate::jobs::{self, Claim, EndError, Job};
use crate::stripe;

/// Between two tries; the next is twice as long, up to the longest. There is no last one: news of money is never dropped.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// What does not pass by itself (a wrong key, an account that is not ours) is for an operator to mend.
const UNTIL_MENDED: Duration = Duration::from_mins(10);

/// Nothing is sold here: there is no Stripe account.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no Stripe account is configured")]
pub struct NotConfigured;

pub(super) fn stripe(app: &App) -> Result<&stripe::Client, NotConfigured> {
    app.stripe.as_ref().ok_or(NotConfigured)
}

/// Why a job of this room was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undone {
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
    #[error(transparent)]
    Look(#[from] LookError),
}

impl From<stripe::Error> for Undone {
    fn from(error: stripe::Error) -> Self {
        Self::Look(error.into())
    }
}

impl From<crate::store::Error> for Undone {
    fn from(error: crate::store::Error) -> Self {
        Self::Look(error.into())
    }
}

/// Puts a job back that was not done.
pub(super) async fn put_off(app: &App, claim: &Claim, why: &Undone) -> Result<(), EndError> {
    let wanted = match why {
        Undone::Look(LookError::Stripe(error)) => error.retry_after(),
        Undone::Look(LookError::Store(_)) | Undone::NotConfigured(_) => None,
    };
    let doubled = PAUSE * 2_u32.pow(u32::try_from(claim.faults.clamp(0, 12)).unwrap_or(0));
    let pause = if matches!(why, Undone::Look(error) if error.is_passing()) {
        tracing::warn!(job = %claim.id, %why, "a job of billing waits");
        wanted.unwrap_or(doubled).min(LONGEST_PAUSE)
    } else {
        tracing::error!(job = %claim.id, %why, "a job of billing waits until this is mended");
        UNTIL_MENDED
    };
    let due = app.clock.now().plus(pause + stripe::jitter(pause));
    let note = why.to_string();
    crate::transaction!(app.store, |tx| { jobs::retry_house(tx, app.node, claim, due, &note).await })
}

/// Ends a job that was done.
pub(super) async fn done(app: &App, claim: &Claim) -> Result<(), EndError> {
    let now = app.clock.now();
    crate::transaction!(app.store, |tx| { jobs::finish_house(tx, app.node, claim, "", now).await })
}

/// Does a job of this room. Safe to cut anywhere, and to repeat.
pub async fn work(app: &App, claim: &Claim, job: &Job) -> Result<(), EndError> {
    match job {
        Job::StripeEvent { id } => events::work_event(app, claim, id).await,
        Job::WatchCheckout { id } => fulfil::watch(app, claim, CheckoutId(*id)).await,
        Job::JudgePlan { user } => judge::judge_again(app, claim, *user).await,
        Job::EndSubscription { user, subscription, is_surplus } => {
            end::work_end(app, claim, *user, subscription, *is_surplus).await
        }
        Job::CloseCustomer { customer, checkouts, owed } => {
            end::close_customer(app, claim, customer, checkouts, owed).await
        }
        Job::SyncBilling => sync::work_sync(app, claim).await,
        // Other rooms'.
        Job::Reply { .. }
        | Job::SendCode { .. }
        | Job::EraseUser { .. }
        | Job::NameRoom { .. }
        | Job::Summarise { .. } => done(app, claim).await,
    }
}
