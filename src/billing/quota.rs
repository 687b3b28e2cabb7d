//! The daily prompts: taken in the transaction that accepts a message, given back in the one that ends its reply unpaid.

use super::{Prompts, sql};
use crate::auth::Plan;
use crate::clock::Moment;
use crate::config;
use crate::ids::UserId;
use crate::store::{On, Result, Store, Tx};

/// Prompts a day by plan; None: no limit.
pub fn daily_limit(quota: &config::Quota, plan: Plan) -> Option<u32> {
    match plan {
        Plan::Basic => Some(quota.basic_daily_prompts),
        Plan::Pro => quota.pro_daily_prompts,
    }
}

/// Takes one prompt of the UTC day of `now`: exact under any concurrency, for it is one conditional upsert.
/// None when the day is spent; then nothing was written.
pub async fn spend_one(tx: &mut Tx, user: UserId, limit: Option<u32>, now: Moment) -> Result<Option<Prompts>> {
    let spent = sql::spend(tx, user, &now.day(), limit.map_or(i64::MAX, i64::from)).await?;
    Ok(spent.map(|count| Prompts::new(limit, count, now)))
}

/// Gives one prompt back to the day it was taken from.
pub async fn give_back(tx: &mut Tx, user: UserId, day: &str) -> Result<()> {
    sql::give_back(tx, user, day).await
}

/// Where a person stands today.
pub async fn prompts(on: &mut impl On, user: UserId, limit: Option<u32>, now: Moment) -> Result<Prompts> {
    Ok(Prompts::new(limit, sql::used(on, user, &now.day()).await?, now))
}

/// Deletes counts of days before `before`, at most `most`; how many went.
pub async fn sweep_prompts(store: &Store, before: &str, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| { sql::delete_prompt_days(tx, before, most).await })
}
