//! Subscribing: a customer per person, one living checkout session per person, each made once whatever dies in between.
//!
//! An attempt is written down before Stripe is asked, and its id is the call's idempotency key: whoever finds an attempt
//! whose outcome is not known makes the same call again and gets the same session.

use std::time::Duration;

use super::look::LookError;
use super::sql::{self, Checkout, Stage};
use super::work::{self, NotConfigured};
use super::{Cause, attempt, fulfil};
use crate::app::App;
use crate::clock::Moment;
use crate::http::replay::{self, Before, Request};
use crate::ids::{CheckoutId, UserId};
use crate::jobs;
use crate::store::{self, Tx};
use crate::stripe::{self, Client};

/// An attempt whose call may have been lost is not repeated after this: Stripe remembers an idempotency key for a day.
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

/// A checkout session: a page to pay on, as long as it is open.
#[derive(Clone, Debug)]
pub struct Open {
    pub session: String,
    pub stage: Stage,
    /// None once it is over.
    pub url: Option<String>,
    pub expires_at: Moment,
    /// An earlier request with the same key made it.
    pub is_replay: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("this person is Pro already")]
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

/// Opens a checkout, or gives the one that is open. Whoever is Pro needs none, be it by an operator's word. What a key made
/// before is shown as it stands now.
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
            Begun::Replay(checkout) => return replayed(app, stripe, checkout).await,
            Begun::Attempt(attempt) => attempt,
        };
        let checkout = match attempt.status {
            Stage::Making => match attempt::make(app, stripe, attempt).await? {
                Some(checkout) => checkout,
                None => continue,
            },
            _ => attempt,
        };
        if !fits(&checkout, price, leading) {
            // Two open pages would be two ways to pay.
            if let Some(session) = &checkout.session {
                fulfil::expire(app, stripe, session).await?;
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
        let is_granted = sql::account(tx, user).await?.is_some_and(|account| account.granted);
        let subs = sql::subscriptions(tx, user).await?;
        if is_granted || subs.iter().any(|sub| sub.is_pro(app.settings.stripe.grace, now)) {
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

/// What an earlier request made, as it stands at Stripe now; being paid has its effect.
async fn replayed(app: &App, stripe: &Client, checkout: Checkout) -> Result<Open, SubscribeError> {
    let status = match checkout.status {
        Stage::Making | Stage::Open => {
            let cause = Cause::Checkout(checkout.session.clone().unwrap_or_default());
            fulfil::see(app, stripe, &checkout, &cause).await?
        }
        over @ (Stage::Complete | Stage::Expired) => over,
    };
    again(Checkout { status, ..checkout })
}

fn again(checkout: Checkout) -> Result<Open, SubscribeError> {
    let Checkout { session: Some(session), status: stage, url, expires_at, .. } = checkout else {
        return Err(SubscribeError::Gone);
    };
    let url = url.filter(|_| stage == Stage::Open);
    Ok(Open { session, stage, url, expires_at, is_replay: true })
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
