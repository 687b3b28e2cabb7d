//! An attempt at a checkout, taken to Stripe: its customer, its session, and what is done when either is refused.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::checkout::SubscribeError;
use super::fulfil;
use super::sql::{self, Account, Checkout, Stage};
use crate::app::App;
use crate::ids::UserId;
use crate::jobs::{self, Job};
use crate::store;
use crate::stripe::{self, Client, NewCheckout};

/// Stripe's sessions live for a day.
const LIFE: Duration = Duration::from_hours(24);

/// Asks Stripe for the attempt's session. None when this attempt can come to nothing and another one may.
pub(super) async fn make(app: &App, stripe: &Client, attempt: Checkout) -> Result<Option<Checkout>, SubscribeError> {
    // Written down before the call, so that its repetition is the same call.
    let customer = if let Some(customer) = &attempt.customer {
        customer.clone()
    } else {
        let customer = customer(app, stripe, attempt.user_id).await?;
        let decided = crate::transaction!(app.store, |tx| { sql::set_customer(tx, attempt.id, &customer).await })?;
        decided.ok_or(SubscribeError::NoSuchUser)?
    };
    let new = NewCheckout {
        customer: &customer,
        user_id: &attempt.user_id.to_string(),
        price: &attempt.price,
        success_url: &attempt.success_url,
        cancel_url: &attempt.cancel_url,
    };
    let session = match stripe.create_checkout(new, &format!("checkout-{}", attempt.id)).await {
        Ok(session) => session,
        Err(error) => return give_up(app, stripe, &attempt, &customer, error).await,
    };
    let now = app.clock.now();
    let expires_at = session.expires_at.unwrap_or_else(|| now.plus(LIFE));
    crate::transaction!(app.store, |tx| {
        if sql::set_open(tx, attempt.id, &session, expires_at).await? {
            let due = fulfil::next_look(&attempt, now);
            jobs::enqueue_house_for(tx, &Job::WatchCheckout { id: attempt.id.0 }, due).await?;
        }
        Ok::<_, store::Error>(())
    })?;
    app.live.ring_for_jobs();
    Ok(sql::checkout(&mut app.store.read().await?, attempt.id).await?)
}

/// An attempt that is refused, and would be again: it ends, so that the next one may ask otherwise.
async fn give_up(
    app: &App,
    stripe: &Client,
    attempt: &Checkout,
    customer: &str,
    error: stripe::Error,
) -> Result<Option<Checkout>, SubscribeError> {
    if error.is_passing() && !error.is_kept() {
        return Err(error.into());
    }
    if error.is_kept() {
        // What its first call came to is not known: a page that is open must not stay beside the next one.
        for session in stripe.open_checkouts_of(customer).await? {
            fulfil::expire(app, stripe, &session.id).await?;
        }
    }
    let is_gone = error.is_missing("customer");
    crate::transaction!(app.store, |tx| {
        sql::end_checkout(tx, attempt.id, Stage::Expired).await?;
        if is_gone { sql::part_from_customer(tx, customer).await } else { Ok(()) }
    })?;
    if is_gone || error.is_kept() { Ok(None) } else { Err(error.into()) }
}

/// The person's customer, made once: everybody who makes it at the same time makes the same call.
async fn customer(app: &App, stripe: &Client, user: UserId) -> Result<String, SubscribeError> {
    let mut reader = app.store.read().await?;
    let account = sql::account(&mut reader, user).await?.ok_or(SubscribeError::NoSuchUser)?;
    let Account { customer: None, customers_made, .. } = account else {
        return account.customer.ok_or(SubscribeError::NoSuchUser);
    };
    let mobile = sql::mobile_of(&mut reader, user).await?.ok_or(SubscribeError::NoSuchUser)?;
    drop(reader);
    // The number is part of the key (another number is another call), but not to be read in it.
    let mark = hex::encode(&Sha256::digest(mobile.as_bytes())[..8]);
    let key = format!("customer-{user}-{customers_made}-{mark}");
    let made = match stripe.create_customer(&mobile, &user.to_string(), &key).await {
        Err(error) if error.is_kept() => {
            // The next request asks under another key.
            crate::transaction!(app.store, |tx| { sql::skip_customer(tx, user, customers_made).await })?;
            return Err(error.into());
        }
        outcome => outcome?,
    };
    let now = app.clock.now();
    let standing = crate::transaction!(app.store, |tx| {
        let standing = match jobs::lock(tx, user).await? {
            Some(_) => sql::adopt_customer(tx, user, &made).await?,
            None => None,
        };
        if standing.as_ref() != Some(&made) {
            // Nobody's: the person went meanwhile, or has another one by now.
            let (checkouts, owed) = (Vec::new(), Vec::new());
            jobs::enqueue_house(tx, &Job::CloseCustomer { customer: made.clone(), checkouts, owed }, now).await?;
        }
        Ok::<_, store::Error>(standing)
    })?;
    app.live.ring_for_jobs();
    standing.ok_or(SubscribeError::NoSuchUser)
}
