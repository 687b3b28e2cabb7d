//! The guard against pumping: codes that are asked for so that somebody earns by their delivery, and that nobody uses.
//!
//! A country with many codes in an hour of which few are used is held: it gets a few an hour, until enough of an hour's
//! codes are used again, or a day went by without one.

use std::time::Duration;

use super::promise::DAY;
use super::{Country, sql};
use crate::clock::Moment;
use crate::config::Pumping;
use crate::http::rate_limit::{self, RateLimit};
use crate::store::{Result, Tx};

const MINUTE: i64 = 60 * 1000;
const HOUR: Duration = Duration::from_hours(1);
const MINUTES_OF_HOUR: i64 = 60;

/// How a country stands as a code goes out to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Free,
    /// Held from this code on.
    Begun,
    Held,
    /// Held until now.
    Ended,
}

/// The minute that a moment falls into, since 1970.
pub(super) const fn minute(at: Moment) -> i64 {
    at.millis().div_euclid(MINUTE)
}

/// Counts a code for its country, or says from when on one may be sent again.
pub(super) async fn count_send(
    tx: &mut Tx,
    settings: &Pumping,
    country: Country,
    now: Moment,
) -> Result<std::result::Result<Standing, Moment>> {
    let was_held = sql::lock_country(tx, country).await?.is_some();
    let this = minute(now);
    let hour = sql::hour(tx, country, this + 1 - MINUTES_OF_HOUR).await?;
    let falls_short = hour.verified * 100 < hour.sends * i64::from(settings.verified_percent);
    let is_held = if !was_held {
        falls_short && hour.sends >= i64::from(settings.sends_an_hour)
    } else if hour.sends == 0 {
        sql::was_sent_to(tx, country, minute(now.minus(DAY))).await?
    } else {
        falls_short
    };
    if is_held && let Some(until) = stand(settings, &hour, now) {
        return Ok(Err(until));
    }
    if is_held != was_held {
        sql::set_held(tx, country, is_held.then_some(now)).await?;
    }
    sql::count_send(tx, country, this, is_held).await?;
    Ok(Ok(match (was_held, is_held) {
        (false, false) => Standing::Free,
        (false, true) => Standing::Begun,
        (true, true) => Standing::Held,
        (true, false) => Standing::Ended,
    }))
}

/// Shows how a held country stands; until when it gets no more, if it had all of its hour.
fn stand(settings: &Pumping, hour: &sql::Hour, now: Moment) -> Option<Moment> {
    let quota = settings.held_sends_an_hour;
    let first = hour.first_held.unwrap_or(minute(now));
    let until = Moment::from_millis((first + MINUTES_OF_HOUR) * MINUTE);
    let left = i64::from(quota) - hour.held_sends;
    let (remaining, reset_after) =
        if left > 0 { (u32::try_from(left - 1).unwrap_or(0), HOUR) } else { (0, until.since(now)) };
    rate_limit::note(RateLimit { name: "codes-to-country", quota, window: HOUR, remaining, reset_after });
    (left <= 0).then_some(until)
}
