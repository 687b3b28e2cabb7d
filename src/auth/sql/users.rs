//! Users and what proves to be one.

use crate::auth::{Mobile, Role, User};
use crate::clock::Moment;
use crate::ids::UserId;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_optional};

pub(in crate::auth) async fn user(on: &mut impl On, id: UserId) -> Result<Option<User>> {
    fetch_optional!(
        on,
        User,
        "select id, mobile, username, password_hash is not null as password_set, role, plan, created_at, suspended_at
         from users where id = $1",
        id
    )
}

pub(in crate::auth) async fn user_by_mobile(on: &mut impl On, mobile: &Mobile) -> Result<Option<User>> {
    fetch_optional!(
        on,
        User,
        "select id, mobile, username, password_hash is not null as password_set, role, plan, created_at, suspended_at
         from users where mobile = $1",
        mobile
    )
}

/// All users, the oldest first, after one of them.
pub(in crate::auth) async fn users(on: &mut impl On, after: UserId, limit: i64) -> Result<Vec<User>> {
    fetch_all!(
        on,
        User,
        "select id, mobile, username, password_hash is not null as password_set, role, plan, created_at, suspended_at
         from users where id > $1 order by id limit $2",
        after,
        limit
    )
}

pub(in crate::auth) async fn insert_user(tx: &mut Tx, user: &User, password_hash: Option<&str>) -> Result<()> {
    execute!(
        tx,
        "insert into users (id, mobile, username, password_hash, role, plan, created_at, rooms_rev)
         values ($1, $2, $3, $4, $5, $6, $7, 0)",
        user.id,
        &user.mobile,
        user.username.as_deref(),
        password_hash,
        user.role,
        user.plan,
        user.created_at
    )?;
    Ok(())
}

pub(in crate::auth) async fn delete_user(tx: &mut Tx, id: UserId) -> Result<()> {
    execute!(tx, "delete from users where id = $1", id)?;
    Ok(())
}

/// A user's stored hash: None without such a user, `Some((id, None))` without a password.
pub(in crate::auth) async fn password_of(
    on: &mut impl On,
    mobile: &Mobile,
) -> Result<Option<(UserId, Option<String>)>> {
    fetch_optional!(on, (UserId, Option<String>), "select id, password_hash from users where mobile = $1", mobile)
}

/// Whether a user's hash is still this one; locks the row until the transaction ends.
pub(in crate::auth) async fn still_has_password(tx: &mut Tx, id: UserId, hash: &str) -> Result<bool> {
    let sql = "update users set password_hash = password_hash where id = $1 and password_hash = $2";
    Ok(execute!(tx, sql, id, hash)? == 1)
}

pub(in crate::auth) async fn set_password(tx: &mut Tx, id: UserId, hash: &str) -> Result<()> {
    execute!(tx, "update users set password_hash = $2 where id = $1", id, hash)?;
    Ok(())
}

pub(in crate::auth) async fn set_mobile(tx: &mut Tx, id: UserId, mobile: &Mobile) -> Result<()> {
    execute!(tx, "update users set mobile = $2 where id = $1", id, mobile)?;
    Ok(())
}

pub(in crate::auth) async fn set_username(tx: &mut Tx, id: UserId, username: Option<&str>) -> Result<bool> {
    Ok(execute!(tx, "update users set username = $2 where id = $1", id, username)? == 1)
}

pub(in crate::auth) async fn set_role(tx: &mut Tx, id: UserId, role: Role) -> Result<()> {
    execute!(tx, "update users set role = $2 where id = $1", id, role)?;
    Ok(())
}

/// Sets or lifts a suspension; one that stands keeps its time.
pub(in crate::auth) async fn set_suspended(tx: &mut Tx, id: UserId, since: Option<Moment>) -> Result<()> {
    match since {
        Some(now) => {
            execute!(tx, "update users set suspended_at = coalesce(suspended_at, $2) where id = $1", id, now)?;
        }
        None => {
            execute!(tx, "update users set suspended_at = null where id = $1", id)?;
        }
    }
    Ok(())
}
