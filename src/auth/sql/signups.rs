//! Sign-ups whose number is not verified yet.

use crate::auth::Mobile;
use crate::clock::Moment;
use crate::ids::UserId;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_optional};

#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::auth) struct Pending {
    /// What the user's id will be.
    pub id: UserId,
    pub username: Option<String>,
    pub password_hash: Option<String>,
    pub address: String,
    pub created_at: Moment,
}

/// Living sign-ups of a number, those from an address first, then the newest: strangers who sign the number up again and
/// again do not crowd out its person. Each may cost a hash, so they are few.
pub(in crate::auth) async fn pending(
    on: &mut impl On,
    mobile: &Mobile,
    address: &str,
    now: Moment,
) -> Result<Vec<Pending>> {
    fetch_all!(
        on,
        Pending,
        "select id, username, password_hash, address, created_at from signups
         where mobile = $1 and expires_at > $2
         order by case when address = $3 then 0 else 1 end, created_at desc, id desc limit 20",
        mobile,
        now,
        address
    )
}

pub(in crate::auth) async fn has_signup(on: &mut impl On, mobile: &Mobile, now: Moment) -> Result<bool> {
    let found =
        fetch_optional!(on, (i32,), "select 1 from signups where mobile = $1 and expires_at > $2 limit 1", mobile, now);
    Ok(found?.is_some())
}

pub(in crate::auth) async fn pending_by_id(
    on: &mut impl On,
    id: UserId,
    mobile: &Mobile,
    now: Moment,
) -> Result<Option<Pending>> {
    fetch_optional!(
        on,
        Pending,
        "select id, username, password_hash, address, created_at from signups
         where id = $1 and mobile = $2 and expires_at > $3",
        id,
        mobile,
        now
    )
}

pub(in crate::auth) async fn insert_signup(
    tx: &mut Tx,
    mobile: &Mobile,
    signup: &Pending,
    expires_at: Moment,
) -> Result<()> {
    execute!(
        tx,
        "insert into signups (id, mobile, username, password_hash, address, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        signup.id,
        mobile,
        signup.username.as_deref(),
        signup.password_hash.as_deref(),
        &signup.address,
        signup.created_at,
        expires_at
    )?;
    Ok(())
}

pub(in crate::auth) async fn delete_signups(tx: &mut Tx, mobile: &Mobile) -> Result<()> {
    execute!(tx, "delete from signups where mobile = $1", mobile)?;
    Ok(())
}

pub(in crate::auth) async fn sweep_signups(tx: &mut Tx, before: Moment, batch: i64) -> Result<u64> {
    execute!(
        tx,
        "delete from signups where id in (select id from signups where expires_at < $1 limit $2)",
        before,
        batch
    )
}
