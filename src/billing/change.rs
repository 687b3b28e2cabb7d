//! What a person does with a subscription: end it at its period's end, take that back, manage it at Stripe.

use super::Cause;
use super::look::{LookError, look};
use super::sql;
use super::standing::Known;
use super::work::{self, NotConfigured};
use crate::app::App;
use crate::ids::{RequestId, UserId};

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Nothing that could be cancelled, resumed or managed.
    #[error("there is no subscription")]
    NotSubscribed,
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
    let stripe = work::stripe(app)?;
    let subs = sql::subscriptions(&mut app.store.read().await?, user).await?;
    let living: Vec<Known> = subs.into_iter().filter(|sub| !sub.is_over()).collect();
    if living.is_empty() {
        return Err(ChangeError::NotSubscribed);
    }
    let cause = if cancels { Cause::Cancel } else { Cause::Resume };
    // Asked also when our rows say that it is so: they may be behind.
    for sub in &living {
        let key = format!("{}-{}", cause.word(), RequestId::new(app.clock.now()));
        match stripe.set_cancels(&sub.id, cancels, &key).await {
            // Ended meanwhile: the look shows it.
            Err(error) if error.is_missing("id") || is_over(&error) => {}
            outcome => outcome?,
        }
    }
    let mut customers: Vec<&str> = living.iter().map(|sub| sub.customer.as_str()).collect();
    customers.dedup();
    for customer in customers {
        look(app, stripe, customer, &cause).await?;
    }
    Ok(())
}

/// Stripe refuses to change what has ended.
fn is_over(error: &crate::stripe::Error) -> bool {
    matches!(error, crate::stripe::Error::Refused(refusal) if refusal.status == 400)
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
