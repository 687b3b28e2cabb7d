//! Marks: what counts against a number, in the database, where nothing forgets it before its time.

use std::time::Duration;

use uuid::Uuid;

use super::{Mobile, sql};
use crate::clock::Moment;
use crate::http::rate_limit::{self, RateLimit};
use crate::ids::MarkId;
use crate::store::{Result, Tx};

pub(super) const FIVE_MINUTES: Duration = Duration::from_mins(5);
pub(super) const TEN_MINUTES: Duration = Duration::from_mins(10);
pub(super) const QUARTER_HOUR: Duration = Duration::from_mins(15);
pub(super) const DAY: Duration = Duration::from_hours(24);

crate::words! {
    /// What was noted about a number.
    pub(super) enum Mark {
        Sent = "sent",
        WrongCode = "wrong_code",
        WrongPassword = "wrong_password",
    }
}

/// So many marks in so much time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub name: &'static str,
    pub most: u32,
    pub within: Duration,
}

/// Whether a number may be marked once more: `Ok`, or the moment from which it may.
///
/// Call it under the number's lock, and add the mark in the same transaction.
pub(super) async fn check(
    tx: &mut Tx,
    mobile: &Mobile,
    mark: Mark,
    allowances: &[Allowance],
    now: Moment,
) -> Result<std::result::Result<(), Moment>> {
    let most = allowances.iter().map(|allowance| allowance.most).max().unwrap_or(0);
    let longest = allowances.iter().map(|allowance| allowance.within).max().unwrap_or_default();
    let times = sql::marks(tx, mobile, mark, now.minus(longest), i64::from(most)).await?;
    let mut free_at = now;
    for allowance in allowances {
        let counted = times.iter().filter(|at| at.plus(allowance.within) > now).count();
        let most = usize::try_from(allowance.most).unwrap_or(usize::MAX);
        let full = times.get(most - 1).map(|oldest| oldest.plus(allowance.within));
        free_at = full.map_or(free_at, |free| free.max(free_at));
        let is_free = full.is_none_or(|free| free <= now);
        // What is about to be marked counts from now.
        let newest = if is_free { now } else { times.first().copied().unwrap_or(now) };
        note(allowance, counted + usize::from(is_free), newest.plus(allowance.within).since(now));
    }
    Ok(if free_at > now { Err(free_at) } else { Ok(()) })
}

pub(super) async fn add(tx: &mut Tx, mobile: &Mobile, mark: Mark, now: Moment) -> Result<Uuid> {
    let id = MarkId::new(now).0;
    sql::insert_mark(tx, id, mobile, mark, now).await?;
    Ok(id)
}

fn note(allowance: &Allowance, counted: usize, reset_after: Duration) {
    let counted = u32::try_from(counted).unwrap_or(u32::MAX);
    let Allowance { name, most: quota, within: window } = *allowance;
    rate_limit::note(RateLimit { name, quota, window, remaining: quota.saturating_sub(counted), reset_after });
}
