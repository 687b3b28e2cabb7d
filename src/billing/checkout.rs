//! Subscribing: a customer per person, one living checkout session per person, each made once whatever dies in between.
//!
//! An attempt is written down before Stripe is asked, and its id is the call's idempotency key: whoever finds an attempt
//! whose outcome is not known makes the same call again and gets the same session.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::look::LookError;
use super::sql::{self, Account, Checkout, Stage};
use super::work::{self, NotConfigured};
use super::{Cause, fulfil};
use crate::app::App;
use crate::clock::Moment;
use crate::http::replay::{self, Before, Request};
use crate::ids::{CheckoutId, UserId};
use crate::jobs::{self, Job};
use crate::store::{self, Tx};
use crate::stripe::{self, Client, NewCheckout};

/// Stripe's sessions live for a day; it remembers an idempotency key as long.
const LIFE: Duration = Duration::from_hours(24);
/// An attempt whose call may have been lost is not repeated after this: Stripe might not know the key any more.
const MAKING: Duration = Duration::from_hours(23);
/// Attempts that one person may begin in an hour: each is several calls to Stripe.
const MOST_AN_HOUR: i64 = 20;
const HOUR: Duration = Duration::from_hours(1);
/// Each round ends an attempt that came to nothing or wins the race for one; more means that something turns in a circle.
const ROUNDS: usize = 6;

/// What a person wants to come back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leading {
    pub success_url: String,
    pub cancel_url: String,
}

/// A page to pay on.
#[derive(Clone, Debug)]
pub struct Open {
    pub session: String,
    pub url: String,
    pub expires_at: Moment,
    /// An earlier request with the same key made it.
    pub is_replay: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("there is a subscription already")]
    AlreadySubscribed,
    #[error("this key was used for another request")]
    IdempotencyMismatch,
    /// What the key made is over and forgotten.
    #[error("what this key made is gone")]
    Gone,
    /// Too many were opened lately.
    #[error("too many checkouts were opened")]
    TooMany { wait: Duration },
    #[error("there is no such person any more")]
    NoSuchUser,
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
    #[error(transparent)]
    Look(#[from] LookError),
}

impl From<stripe::Error> for SubscribeError {
    fn from(error: stripe::Error) -> Self {
        Self::Look(error.into())
    }
}

impl From<store::Error> for SubscribeError {
    fn from(error: store::Error) -> Self {
        Self::Look(error.into())
    }
}

/// Opens a checkout, or gives the one that is open. Whoever has Pro by a subscription needs none.
pub async fn subscribe(
    app: &App,
    user: UserId,
    leading: &Leading,
    request: Option<&Request>,
) -> Result<Open, SubscribeError> {
    let stripe = work::stripe(app)?;
    let price = app.settings.stripe.pro_price.as_deref().ok_or(NotConfigured)?;
    for _ in 0..ROUNDS {
        let attempt = match begin(app, user, price, leading, request).await? {
            Begun::Replay(checkout) => return again(checkout),
            Begun::Attempt(attempt) => attempt,
        };
        let checkout = match attempt.status {
            Stage::Making => match make(app, stripe, attempt).await? {
                Some(checkout) => checkout,
                None => continue,
            },
            _ => attempt,
        };
        if !fits(&checkout, price, leading) {
            // Two open pages would be two ways to pay.
            if let Some(session) = &checkout.session {
                fulfil::expire(stripe, session).await?;
            }
        }
        let cause = Cause::Checkout(checkout.session.clone().unwrap_or_default());
        if fulfil::see(app, stripe, &checkout, &cause).await? == Stage::Open && fits(&checkout, price, leading) {
            return keep(app, user, checkout, request).await;
        }
    }
    Err(LookError::Stripe(stripe::Error::Unreadable("no checkout session stays open".to_owned())).into())
}

fn fits(checkout: &Checkout, price: &str, leading: &Leading) -> bool {
    checkout.price == price && checkout.success_url == leading.success_url && checkout.cancel_url == leading.cancel_url
}

enum Begun {
    Replay(Checkout),
    Attempt(Checkout),
}

/// The person's living attempt, or a new one.
async fn begin(
    app: &App,
    user: UserId,
    price: &str,
    leading: &Leading,
    request: Option<&Request>,
) -> Result<Begun, SubscribeError> {
    let now = app.clock.now();
    crate::transaction!(app.store, |tx| {
        jobs::lock(tx, user).await?.ok_or(SubscribeError::NoSuchUser)?;
        if let Some(checkout) = earlier(tx, user, request).await? {
            return Ok(Begun::Replay(checkout));
        }
        let subs = sql::subscriptions(tx, user).await?;
        if subs.iter().any(|sub| sub.is_pro(app.settings.stripe.grace, now)) {
            return Err(SubscribeError::AlreadySubscribed);
        }
        sql::open_account(tx, user).await?;
        let living = sql::living_checkout(tx, user).await?;
        let living = living.filter(|living| living.status == Stage::Open || living.expires_at > now);
        // Before what lives is ended for one that may not be begun.
        if !living.as_ref().is_some_and(|living| fits(living, price, leading))
            && let Some(oldest) = sql::oldest_checkout(tx, user, now.minus(HOUR), MOST_AN_HOUR).await?
        {
            return Err(SubscribeError::TooMany { wait: oldest.plus(HOUR).since(now) });
        }
        if let Some(living) = living {
            return Ok(Begun::Attempt(living));
        }
        sql::end_dead_checkout(tx, user).await?;
        let new = Checkout {
            id: CheckoutId::new(now),
            user_id: user,
            status: Stage::Making,
            customer: None,
            price: price.to_owned(),
            success_url: leading.success_url.clone(),
            cancel_url: leading.cancel_url.clone(),
            session: None,
            url: None,
            created_at: now,
            expires_at: now.plus(MAKING),
        };
        sql::insert_checkout(tx, &new).await?;
        Ok(Begun::Attempt(new))
    })
}

/// What the request's key made before.
async fn earlier(tx: &mut Tx, user: UserId, request: Option<&Request>) -> Result<Option<Checkout>, SubscribeError> {
    let Some(request) = request else { return Ok(None) };
    match replay::look_up(tx, user, request).await? {
        Before::Never => Ok(None),
        Before::Other => Err(SubscribeError::IdempotencyMismatch),
        Before::Same(id) => sql::checkout(tx, CheckoutId(id)).await?.ok_or(SubscribeError::Gone).map(Some),
    }
}

fn again(checkout: Checkout) -> Result<Open, SubscribeError> {
    let Checkout { session: Some(session), url: Some(url), expires_at, .. } = checkout else {
        return Err(SubscribeError::Gone);
    };
    Ok(Open { session, url, expires_at, is_replay: true })
}

/// Asks Stripe for the attempt's session. None when this attempt can come to nothing and another one may.
async fn make(app: &App, stripe: &Client, attempt: Checkout) -> Result<Option<Checkout>, SubscribeError> {
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
            fulfil::expire(stripe, &session.id).await?;
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
            jobs::enqueue_house(tx, &Job::CloseCustomer { customer: made.clone(), checkouts: Vec::new() }, now).await?;
        }
        Ok::<_, store::Error>(standing)
    })?;
    app.live.ring_for_jobs();
    standing.ok_or(SubscribeError::NoSuchUser)
}

/// Remembers what the request's key made.
async fn keep(app: &App, user: UserId, checkout: Checkout, request: Option<&Request>) -> Result<Open, SubscribeError> {
    let now = app.clock.now();
    let earlier = crate::transaction!(app.store, |tx| {
        jobs::lock(tx, user).await?.ok_or(SubscribeError::NoSuchUser)?;
        let earlier = earlier(tx, user, request).await?;
        if let (None, Some(request)) = (&earlier, request) {
            replay::keep(tx, user, request, checkout.id.0, now).await?;
        }
        Ok::<_, SubscribeError>(earlier)
    })?;
    match earlier {
        Some(earlier) => again(earlier),
        None => again(checkout).map(|open| Open { is_replay: false, ..open }),
    }
}
