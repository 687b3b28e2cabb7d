//! Subscriptions as they were fetched last, and payments that were taken back.

use crate::billing::Known;
use crate::ids::UserId;
use crate::store::{On, Result, Tx};
use crate::stripe::Charge;
use crate::{execute, fetch_all, fetch_optional};

macro_rules! subscriptions {
    ($which:literal) => {
        concat!(
            "select id, customer, status, price, amount, currency, current_period_start, current_period_end, cancels,
                    overdue_since, created_at, latest_invoice, is_ours
             from subscriptions ",
            $which
        )
    };
}

pub(in crate::billing) async fn subscriptions(on: &mut impl On, user: UserId) -> Result<Vec<Known>> {
    fetch_all!(on, Known, subscriptions!("where user_id = $1 order by created_at, id"), user)
}

/// Everybody's subscriptions by their ids, a page of at most `most` behind `after`.
pub(in crate::billing) async fn all_subscriptions(on: &mut impl On, after: &str, most: i64) -> Result<Vec<Known>> {
    fetch_all!(on, Known, subscriptions!("where id > $1 order by id limit $2"), after, most)
}

pub(in crate::billing) async fn subscription(on: &mut impl On, id: &str) -> Result<Option<Known>> {
    fetch_optional!(on, Known, subscriptions!("where id = $1"), id)
}

pub(in crate::billing) async fn put_subscription(tx: &mut Tx, user: UserId, sub: &Known) -> Result<()> {
    execute!(
        tx,
        "insert into subscriptions (id, user_id, customer, status, price, amount, currency, current_period_start,
                                    current_period_end, cancels, overdue_since, created_at, latest_invoice, is_ours)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         on conflict (id) do update set user_id = excluded.user_id, customer = excluded.customer,
             status = excluded.status, price = excluded.price, amount = excluded.amount, currency = excluded.currency,
             current_period_start = excluded.current_period_start, current_period_end = excluded.current_period_end,
             cancels = excluded.cancels, overdue_since = excluded.overdue_since,
             latest_invoice = excluded.latest_invoice, is_ours = excluded.is_ours",
        &sub.id,
        user,
        &sub.customer,
        &sub.status,
        &sub.price,
        sub.amount,
        &sub.currency,
        sub.current_period_start,
        sub.current_period_end,
        sub.cancels,
        sub.overdue_since,
        sub.created_at,
        &sub.latest_invoice,
        sub.is_ours
    )?;
    Ok(())
}

pub(in crate::billing) async fn delete_subscription(tx: &mut Tx, id: &str) -> Result<()> {
    execute!(tx, "delete from subscriptions where id = $1", id)?;
    Ok(())
}

pub(in crate::billing) async fn delete_subscriptions(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(tx, "delete from subscriptions where user_id = $1", user)?;
    execute!(tx, "delete from charges_taken_back where user_id = $1", user)?;
    Ok(())
}

/// What was known of a payment: how much was given back, and whether it was disputed.
pub(in crate::billing) async fn taken_back(on: &mut impl On, charge: &str) -> Result<Option<(i64, bool)>> {
    fetch_optional!(on, (i64, bool), "select refunded, disputed from charges_taken_back where charge = $1", charge)
}

pub(in crate::billing) async fn put_taken_back(tx: &mut Tx, user: UserId, charge: &Charge) -> Result<()> {
    execute!(
        tx,
        "insert into charges_taken_back (charge, user_id, amount, refunded, currency, disputed)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (charge) do update set refunded = excluded.refunded, disputed = excluded.disputed",
        &charge.id,
        user,
        charge.amount,
        charge.amount_refunded,
        &charge.currency,
        charge.is_disputed
    )?;
    Ok(())
}
