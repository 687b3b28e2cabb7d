//! Every statement about what codes cost and which countries are held.

use super::Country;
use crate::clock::Moment;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_one, fetch_optional};

/// A country's last hour, in whole minutes.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Hour {
    pub sends: i64,
    pub held_sends: i64,
    pub verified: i64,
    /// The first minute with a send while the country was held.
    pub first_held: Option<i64>,
}

/// Locks a country's row until the transaction ends; since when it is held.
pub(super) async fn lock_country(tx: &mut Tx, country: Country) -> Result<Option<Moment>> {
    let (held_at,) = fetch_one!(
        tx,
        (Option<Moment>,),
        "insert into sms_countries (country) values ($1)
         on conflict (country) do update set country = excluded.country returning held_at",
        country.to_string()
    )?;
    Ok(held_at)
}

pub(super) async fn set_held(tx: &mut Tx, country: Country, since: Option<Moment>) -> Result<()> {
    execute!(tx, "update sms_countries set held_at = $2 where country = $1", country.to_string(), since)?;
    Ok(())
}

pub(super) async fn hour(on: &mut impl On, country: Country, since: i64) -> Result<Hour> {
    fetch_one!(
        on,
        Hour,
        "select cast(coalesce(sum(sends), 0) as bigint) as sends,
                cast(coalesce(sum(held_sends), 0) as bigint) as held_sends,
                cast(coalesce(sum(verified), 0) as bigint) as verified,
                min(case when held_sends > 0 then minute end) as first_held
         from sms_minutes where country = $1 and minute >= $2",
        country.to_string(),
        since
    )
}

pub(super) async fn was_sent_to(on: &mut impl On, country: Country, since: i64) -> Result<bool> {
    let sql = "select 1 from sms_minutes where country = $1 and minute >= $2 limit 1";
    Ok(fetch_optional!(on, (i32,), sql, country.to_string(), since)?.is_some())
}

pub(super) async fn count_send(tx: &mut Tx, country: Country, minute: i64, is_held: bool) -> Result<()> {
    execute!(
        tx,
        "insert into sms_minutes (country, minute, sends, held_sends, verified) values ($1, $2, 1, $3, 0)
         on conflict (country, minute) do update set sends = sms_minutes.sends + 1,
             held_sends = sms_minutes.held_sends + excluded.held_sends",
        country.to_string(),
        minute,
        i64::from(is_held)
    )?;
    Ok(())
}

pub(super) async fn count_verified(tx: &mut Tx, country: Country, minute: i64) -> Result<()> {
    let sql = "update sms_minutes set verified = verified + 1 where country = $1 and minute = $2";
    execute!(tx, sql, country.to_string(), minute)?;
    Ok(())
}

/// Spends on a day what stays within its limit; false when it would not.
pub(super) async fn spend(tx: &mut Tx, day: &str, price: i64, limit: i64) -> Result<bool> {
    let spent = fetch_optional!(
        tx,
        (i64,),
        "insert into sms_days (day, sends, spent) select $1, 1, $2 where cast($2 as bigint) <= cast($3 as bigint)
         on conflict (day) do update set sends = sms_days.sends + 1, spent = sms_days.spent + excluded.spent
             where sms_days.spent + excluded.spent <= $3
         returning spent",
        day,
        price,
        limit
    )?;
    Ok(spent.is_some())
}

pub(super) async fn delete_minutes(tx: &mut Tx, before: i64, most: i64) -> Result<u64> {
    execute!(
        tx,
        "delete from sms_minutes where (country, minute) in
             (select country, minute from sms_minutes where minute < $1 order by minute limit $2)",
        before,
        most
    )
}

pub(super) async fn delete_days(tx: &mut Tx, before: &str, most: i64) -> Result<u64> {
    execute!(
        tx,
        "delete from sms_days where day in (select day from sms_days where day < $1 order by day limit $2)",
        before,
        most
    )
}
