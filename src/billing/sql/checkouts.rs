//! Attempts at a checkout.

use crate::clock::Moment;
use crate::ids::{CheckoutId, UserId};
use crate::store::{On, Result, Store, Tx};
use crate::stripe;
use crate::{execute, fetch_all, fetch_optional};

macro_rules! checkouts {
    ($which:literal) => {
        concat!(
            "select id, user_id, status, customer, price, success_url, cancel_url, session, url, created_at, expires_at
             from checkouts ",
            $which
        )
    };
}

crate::words! {
    /// How far an attempt has come.
    pub enum Stage {
        /// Stripe is being asked; whether it heard is not known.
        Making = "making",
        Open = "open",
        Complete = "complete",
        Expired = "expired",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(in crate::billing) struct Checkout {
    pub id: CheckoutId,
    pub user_id: UserId,
    pub status: Stage,
    pub customer: Option<String>,
    pub price: String,
    pub success_url: String,
    pub cancel_url: String,
    pub session: Option<String>,
    pub url: Option<String>,
    pub created_at: Moment,
    pub expires_at: Moment,
}

/// The attempt of a person's that may still come to something.
pub(in crate::billing) async fn living_checkout(on: &mut impl On, user: UserId) -> Result<Option<Checkout>> {
    fetch_optional!(on, Checkout, checkouts!("where user_id = $1 and status in ('making', 'open')"), user)
}

pub(in crate::billing) async fn checkout(on: &mut impl On, id: CheckoutId) -> Result<Option<Checkout>> {
    fetch_optional!(on, Checkout, checkouts!("where id = $1"), id)
}

pub(in crate::billing) async fn checkout_of_session(on: &mut impl On, session: &str) -> Result<Option<Checkout>> {
    fetch_optional!(on, Checkout, checkouts!("where session = $1"), session)
}

pub(in crate::billing) async fn insert_checkout(tx: &mut Tx, new: &Checkout) -> Result<()> {
    execute!(
        tx,
        "insert into checkouts (id, user_id, status, customer, price, success_url, cancel_url, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id,
        new.user_id,
        new.status,
        &new.customer,
        &new.price,
        &new.success_url,
        &new.cancel_url,
        new.created_at,
        new.expires_at
    )?;
    Ok(())
}

/// False when another request has done it, or the attempt is over.
pub(in crate::billing) async fn set_open(
    tx: &mut Tx,
    id: CheckoutId,
    customer: &str,
    session: &stripe::Checkout,
    expires_at: Moment,
) -> Result<bool> {
    let changed = execute!(
        tx,
        "update checkouts set status = 'open', customer = $2, session = $3, url = $4, expires_at = $5
         where id = $1 and status = 'making'",
        id,
        customer,
        &session.id,
        &session.url,
        expires_at
    )?;
    Ok(changed == 1)
}

/// Ends an attempt; one that is over stays as it ended.
pub(in crate::billing) async fn end_checkout(tx: &mut Tx, id: CheckoutId, how: Stage) -> Result<()> {
    execute!(tx, "update checkouts set status = $2 where id = $1 and status in ('making', 'open')", id, how)?;
    Ok(())
}

/// The sessions of a person's that may be open.
pub(in crate::billing) async fn open_sessions(on: &mut impl On, user: UserId) -> Result<Vec<String>> {
    let sql = "select session from checkouts where user_id = $1 and status = 'open' and session is not null";
    Ok(fetch_all!(on, (String,), sql, user)?.into_iter().map(|(session,)| session).collect())
}

pub(in crate::billing) async fn delete_checkouts(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(tx, "delete from checkouts where user_id = $1", user)?;
    Ok(())
}

/// Deletes attempts older than `before`, at most `most`; how many went.
pub(in crate::billing) async fn delete_old_checkouts(store: &Store, before: Moment, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| {
        execute!(
            tx,
            "delete from checkouts where id in
                 (select id from checkouts where created_at < $1 and status in ('complete', 'expired')
                  order by created_at limit $2)",
            before,
            i64::from(most)
        )
    })
}
