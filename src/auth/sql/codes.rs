//! One-time codes.

use uuid::Uuid;

use crate::auth::Mobile;
use crate::auth::code::Purpose;
use crate::clock::Moment;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_optional};

/// A code that was not spent: neither used nor replaced.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::auth) struct Unspent {
    pub id: Uuid,
    pub mobile: Mobile,
    pub purpose: Purpose,
    pub nonce: String,
    pub created_at: Moment,
    pub expires_at: Moment,
    pub tries: i64,
}

pub(in crate::auth) async fn unspent_code(on: &mut impl On, id: Uuid) -> Result<Option<Unspent>> {
    fetch_optional!(
        on,
        Unspent,
        "select id, mobile, purpose, nonce, created_at, expires_at, tries from codes where id = $1 and spent_at is null",
        id
    )
}

/// The unspent codes of a number for one of two purposes: at most one of each.
pub(in crate::auth) async fn unspent_codes(
    on: &mut impl On,
    mobile: &Mobile,
    purposes: [Purpose; 2],
) -> Result<Vec<Unspent>> {
    fetch_all!(
        on,
        Unspent,
        "select id, mobile, purpose, nonce, created_at, expires_at, tries from codes
         where mobile = $1 and purpose in ($2, $3) and spent_at is null",
        mobile,
        purposes[0],
        purposes[1]
    )
}

pub(in crate::auth) async fn insert_code(tx: &mut Tx, code: &Unspent) -> Result<()> {
    execute!(
        tx,
        "insert into codes (id, mobile, purpose, nonce, created_at, expires_at, tries) values ($1, $2, $3, $4, $5, $6, 0)",
        code.id,
        &code.mobile,
        code.purpose,
        &code.nonce,
        code.created_at,
        code.expires_at
    )?;
    Ok(())
}

/// Takes a code out of use that a newer one replaces.
pub(in crate::auth) async fn spend_code(tx: &mut Tx, id: Uuid, now: Moment) -> Result<()> {
    execute!(tx, "update codes set spent_at = $2 where id = $1 and spent_at is null", id, now)?;
    Ok(())
}

/// Takes a code out of use because it was right: whose it was, and when it was made.
pub(in crate::auth) async fn use_code(tx: &mut Tx, id: Uuid, now: Moment) -> Result<Option<(Mobile, Moment)>> {
    let sql = "update codes set spent_at = $2 where id = $1 and spent_at is null returning mobile, created_at";
    fetch_optional!(tx, (Mobile, Moment), sql, id, now)
}

/// Counts a wrong try; the tries so far, this one included.
pub(in crate::auth) async fn count_try(tx: &mut Tx, id: Uuid) -> Result<i64> {
    let tries = fetch_optional!(tx, (i64,), "update codes set tries = tries + 1 where id = $1 returning tries", id)?;
    Ok(tries.map_or(i64::MAX, |(tries,)| tries))
}

pub(in crate::auth) async fn delete_codes(tx: &mut Tx, mobile: &Mobile) -> Result<()> {
    execute!(tx, "delete from codes where mobile = $1", mobile)?;
    Ok(())
}

pub(in crate::auth) async fn sweep_codes(tx: &mut Tx, before: Moment, batch: i64) -> Result<u64> {
    execute!(tx, "delete from codes where id in (select id from codes where expires_at < $1 limit $2)", before, batch)
}
