//! Codes: which are living, and what becomes of one that is tried.
//!
//! Everything happens in the caller's transaction, under the number's lock: of a hundred parallel tries five are
//! looked at, of a hundred right ones one is taken.

use std::time::Duration;

use uuid::Uuid;

use super::marks::{self, DAY, Mark};
use super::{Mobile, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::sms;
use crate::store::{Result, Tx};

/// The first delay after too many wrong codes, and the longest that it grows to.
const FIRST_DELAY: Duration = Duration::from_mins(1);
const LONGEST_DELAY: Duration = Duration::from_hours(1);
const DOUBLINGS: i64 = 6;

crate::words! {
    /// What a code is good for.
    pub enum Purpose {
        Login = "login",
        Signup = "signup",
        #[serde(alias = "reset")]
        ResetPassword = "reset_password",
        ChangeMobile = "change_mobile",
        Confirm = "confirm",
    }
}

/// What became of a code that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is right; [`spend`] it in the same transaction once all else is right too.
    Right(Uuid),
    Wrong(Refused),
}

/// Why a code was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Wrong, or there is none to try.
    Invalid { attempts_left: i64 },
    /// Its time is over.
    Expired,
    /// Too many wrong ones, for this code or this number: it was not looked at.
    Exhausted { now: Moment, until: Moment },
}

/// Tries a code for one of two purposes. A refusal has to be committed too: it counted.
pub(super) async fn try_code(
    tx: &mut Tx,
    app: &App,
    mobile: &Mobile,
    purposes: [Purpose; 2],
    given: &str,
    now: Moment,
) -> Result<Tried> {
    let most = i64::from(app.settings.throttles.code_tries);
    let wrong_a_day = app.settings.throttles.wrong_codes_a_day;
    sql::lock_number(tx, mobile).await?;
    if let Some(until) = delayed_until(tx, mobile, wrong_a_day, now).await? {
        return Ok(Tried::Wrong(Refused::Exhausted { now, until }));
    }
    let unspent = sql::unspent_codes(tx, mobile, purposes).await?;
    let is_unspent = !unspent.is_empty();
    let mut living: Vec<_> = unspent.into_iter().filter(|code| code.expires_at > now).collect();
    let Some(until) = living.iter().map(|code| code.expires_at).max() else {
        let refused = if is_unspent { Refused::Expired } else { Refused::Invalid { attempts_left: 0 } };
        return Ok(Tried::Wrong(refused));
    };
    living.retain(|code| code.tries < most);
    if living.is_empty() {
        return Ok(Tried::Wrong(Refused::Exhausted { now, until }));
    }
    let codes = &app.keys.codes;
    let right = living.iter().find(|code| codes.is_right(&code.nonce, mobile.as_str(), code.purpose.as_str(), given));
    if let Some(right) = right {
        return Ok(Tried::Right(right.id));
    }
    marks::add(tx, mobile, Mark::WrongCode, now).await?;
    let mut attempts_left = 0;
    for code in &living {
        attempts_left = attempts_left.max(most - sql::count_try(tx, code.id).await?);
    }
    Ok(Tried::Wrong(Refused::Invalid { attempts_left }))
}

/// Tries a code before something costly is done for it: who has not the code gets no further. A right one is tried again by
/// the transaction that spends it.
pub(super) async fn try_ahead(
    app: &App,
    mobile: &Mobile,
    purposes: [Purpose; 2],
    given: &str,
) -> Result<std::result::Result<(), Refused>> {
    let now = app.clock.now();
    crate::transaction!(app.store, |tx| {
        Ok(match try_code(tx, app, mobile, purposes, given, now).await? {
            Tried::Right(_) => Ok(()),
            Tried::Wrong(refused) => Err(refused),
        })
    })
}

/// Takes a code that was right out of use, and counts it for its country. The number's lock, held since it was tried,
/// lets nobody come between.
pub(super) async fn spend(tx: &mut Tx, code: Uuid, now: Moment) -> Result<()> {
    if let Some((mobile, made_at)) = sql::use_code(tx, code, now).await? {
        sms::note_verified(tx, mobile.country(), made_at).await?;
    }
    Ok(())
}

/// Until when no code of the number is looked at: after the allowed wrong ones of 24 hours each further one doubles it.
async fn delayed_until(tx: &mut Tx, mobile: &Mobile, allowed: u32, now: Moment) -> Result<Option<Moment>> {
    let allowed = i64::from(allowed);
    let wrong = sql::marks(tx, mobile, Mark::WrongCode, now.minus(DAY), allowed + DOUBLINGS + 1).await?;
    let over = i64::try_from(wrong.len()).unwrap_or(i64::MAX) - allowed;
    let Some(last) = wrong.first().filter(|_| over >= 0) else { return Ok(None) };
    let doubled = FIRST_DELAY * 2_u32.pow(u32::try_from(over.min(DOUBLINGS)).unwrap_or(0));
    Ok(Some(last.plus(doubled.min(LONGEST_DELAY))).filter(|until| *until > now))
}
