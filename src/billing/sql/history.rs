//! What changed, and why.

use crate::auth::Plan;
use crate::billing::{Cause, Happened, What};
use crate::clock::Moment;
use crate::ids::UserId;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_one};

/// A line of a person's history.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Line {
    pub seq: i64,
    pub at: Moment,
    pub what: What,
    pub cause: String,
    pub cause_id: Option<String>,
    pub subscription: Option<String>,
    pub status: Option<String>,
    pub plan: Plan,
    pub current_period_end: Option<Moment>,
    pub cancels: Option<bool>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
}

/// Call it with the person's row in the queue locked.
pub(in crate::billing) async fn insert_line(
    tx: &mut Tx,
    user: UserId,
    happened: &Happened,
    plan: Plan,
    cause: &Cause,
    now: Moment,
) -> Result<()> {
    execute!(
        tx,
        "insert into billing_history (user_id, seq, at, what, cause, cause_id, subscription, status, plan,
                                      current_period_end, cancels, amount, currency)
         values ($1, (select coalesce(max(seq), 0) + 1 from billing_history where user_id = $1),
                 $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        user,
        now,
        happened.what,
        cause.word(),
        cause.id(),
        &happened.subscription,
        &happened.status,
        plan,
        happened.current_period_end,
        happened.cancels,
        happened.amount,
        &happened.currency
    )?;
    Ok(())
}

/// Whether something was said of a subscription already.
pub(in crate::billing) async fn has_line(
    on: &mut impl On,
    user: UserId,
    what: What,
    subscription: &str,
) -> Result<bool> {
    let sql = "select count(*) from billing_history where user_id = $1 and what = $2 and subscription = $3";
    let (count,) = fetch_one!(on, (i64,), sql, user, what, subscription)?;
    Ok(count > 0)
}

/// A person's lines, newest first, before one of them.
pub(in crate::billing) async fn lines(on: &mut impl On, user: UserId, before: i64, most: i64) -> Result<Vec<Line>> {
    fetch_all!(
        on,
        Line,
        "select seq, at, what, cause, cause_id, subscription, status, plan, current_period_end, cancels, amount, currency
         from billing_history where user_id = $1 and seq < $2 order by seq desc limit $3",
        user,
        before,
        most
    )
}

pub(in crate::billing) async fn delete_lines(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(tx, "delete from billing_history where user_id = $1", user)?;
    Ok(())
}
