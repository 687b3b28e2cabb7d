//! Promising a message: it is paid for, and counted for its country, in the transaction that makes its job.
//!
//! Exact for the whole deployment: both are counted in rows that stay locked until that transaction ends.

use std::time::Duration;

use super::pumping::{self, Standing};
use super::{Country, sql};
use crate::clock::Moment;
use crate::config;
use crate::store::{Result, Store, Tx};

/// How long a country's minutes are looked at: after a day without a code it is held no longer.
pub(super) const DAY: Duration = Duration::from_hours(24);

/// A message that may go.
#[derive(Clone, Copy, Debug)]
pub struct Promised {
    country: Country,
    /// Millionths.
    price: i64,
    standing: Standing,
}

/// Why a message may not go; nothing of it is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPromised {
    /// It would exceed what the day may cost.
    BudgetExhausted { until: Moment },
    /// Too few of the country's codes were used.
    CountryHeld { until: Moment },
}

/// Spends a message's price and counts it for its country. The caller's transaction must not commit after a refusal.
pub async fn promise(
    tx: &mut Tx,
    settings: &config::Sms,
    country: Country,
    now: Moment,
) -> Result<std::result::Result<Promised, NotPromised>> {
    // Always in this order: the number (the caller's), the country, the day.
    let standing = match pumping::count_send(tx, &settings.pumping, country, now).await? {
        Ok(standing) => standing,
        Err(until) => return Ok(Err(NotPromised::CountryHeld { until })),
    };
    pay(tx, settings, country, now, standing).await
}

/// Spends the price once more, for a message that is sent again though the first may have gone out. The same code: for its
/// country it counts once.
pub async fn promise_again(
    tx: &mut Tx,
    settings: &config::Sms,
    country: Country,
    now: Moment,
) -> Result<std::result::Result<Promised, NotPromised>> {
    pay(tx, settings, country, now, Standing::Free).await
}

async fn pay(
    tx: &mut Tx,
    settings: &config::Sms,
    country: Country,
    now: Moment,
    standing: Standing,
) -> Result<std::result::Result<Promised, NotPromised>> {
    let price = settings.prices.of(country.0).unwrap_or(0);
    if !sql::spend(tx, &now.day(), price, settings.daily_cap.unwrap_or(i64::MAX)).await? {
        return Ok(Err(NotPromised::BudgetExhausted { until: now.next_midnight() }));
    }
    Ok(Ok(Promised { country, price, standing }))
}

impl Promised {
    /// For figures and the log, once the transaction has committed.
    pub fn tell(self) {
        let Self { country, price, standing } = self;
        let spent = metrics::counter!("sms_spent_micros_total", "country" => country.to_string());
        spent.increment(u64::try_from(price).unwrap_or(0));
        match standing {
            Standing::Begun => {
                tracing::warn!(%country, "too few codes to this country are used: it is held to a few an hour");
            }
            Standing::Ended => tracing::info!(%country, "this country's codes are used again: it is held no longer"),
            Standing::Free | Standing::Held => {}
        }
    }
}

/// Notes that a code was used. `made_at` is when the code was made, so that it counts for the hour it was sent in.
pub async fn note_verified(tx: &mut Tx, country: Country, made_at: Moment) -> Result<()> {
    sql::count_verified(tx, country, pumping::minute(made_at)).await
}

/// Deletes minutes that count for nothing any more, at most `most`; how many went.
pub async fn sweep_minutes(store: &Store, now: Moment, most: u32) -> Result<u64> {
    let before = pumping::minute(now.minus(DAY));
    crate::transaction!(store, |tx| { sql::delete_minutes(tx, before, i64::from(most)).await })
}

/// Deletes days before `before`, at most `most`; how many went.
pub async fn sweep_days(store: &Store, before: &str, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| { sql::delete_days(tx, before, i64::from(most)).await })
}
