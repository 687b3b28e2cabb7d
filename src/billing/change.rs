//! What a person does with a subscription: end it at its period's end, take that back, manage it at Stripe.

use std::collections::BTreeSet;

use super::Cause;
use super::look::{LookError, look};
use super::sql;
use super::standing::{Known, counting};
use super::work::{self, NotConfigured};
use crate::app::App;
use crate::ids::{RequestId, UserId};
use crate::stripe;

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Nothing that could be cancelled, resumed or managed.
    #[error("there is no subscription")]
    NotSubscribed,
    /// It is managed otherwise, by a schedule of the operator's for example.
    #[error("Stripe does not let it be changed")]
    Refused,
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
    #[error(transparent)]
    Look(#[from] LookError),
}

impl From<crate::store::Error> for ChangeError {
    fn from(error: crate::store::Error) -> Self {
        Self::Look(error.into())
    }
}

impl From<crate::stripe::Error> for ChangeError {
    fn from(error: crate::stripe::Error) -> Self {
        Self::Look(error.into())
    }
}

/// Lets every subscription that goes on end at its period's end, or go on after all. What is so already stays so.
pub async fn set_cancels(app: &App, user: UserId, cancels: bool) -> Result<(), ChangeError> {
    let client = work::stripe(app)?;
    let now = app.clock.now();
    let subs = sql::subscriptions(&mut app.store.read().await?, user).await?;
    let counts = counting(&subs, app.settings.stripe.grace, now).map(|sub| sub.id.clone());
    // What our checkout did not make may be for something else, unless it is what makes them Pro.
    let is_meant = |sub: &&Known| !sub.is_over() && (sub.is_ours || counts.as_ref() == Some(&sub.id));
    let meant: Vec<&Known> = subs.iter().filter(is_meant).collect();
    if meant.is_empty() {
        return Err(ChangeError::NotSubscribed);
    }
    let cause = if cancels { Cause::Cancel } else { Cause::Resume };
    // Asked also when our rows say that it is so: they may be behind.
    let mut outcome = Ok(());
    for sub in &meant {
        let key = format!("{}-{}", cause.word(), RequestId::new(now));
        match client.set_cancels(&sub.id, cancels, &key).await {
            Ok(after) if after == cancels => {}
            // Refused or not done; if that is because it has ended meanwhile, the look shows it.
            Ok(_) => outcome = Err(ChangeError::Refused),
            Err(stripe::Error::Refused(refusal)) if matches!(refusal.status, 400 | 404) => {
                outcome = Err(ChangeError::Refused);
            }
            Err(error) => outcome = Err(error.into()),
        }
    }
    let customers: BTreeSet<&str> = meant.iter().map(|sub| sub.customer.as_str()).collect();
    for customer in customers {
        look(app, client, customer, &cause).await?;
    }
    let after = sql::subscriptions(&mut app.store.read().await?, user).await?;
    let goes_on = after.iter().any(|sub| !sub.is_over() && meant.iter().any(|one| one.id == sub.id));
    if goes_on { outcome } else { Ok(()) }
}

/// A page at Stripe where the person manages cards, invoices and subscriptions.
pub async fn portal(app: &App, user: UserId, return_url: &str) -> Result<String, ChangeError> {
    let stripe = work::stripe(app)?;
    let account = sql::account(&mut app.store.read().await?, user).await?;
    let customer = account.and_then(|account| account.customer).ok_or(ChangeError::NotSubscribed)?;
    let key = format!("portal-{}", RequestId::new(app.clock.now()));
    match stripe.create_portal(&customer, return_url, &key).await {
        Err(error) if error.is_missing("customer") => Err(ChangeError::NotSubscribed),
        outcome => Ok(outcome?),
    }
}
