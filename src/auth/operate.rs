//! What an operator does about users, from the command line or a page. Everything holds on the next request, also in a
//! server that runs beside the command.

use super::password::{self, UnfitPassword};
use super::{Mobile, Plan, Role, User, sign_up, sql};
use crate::app::App;
use crate::ids::UserId;
use crate::store::{self, Result, Tx};

#[derive(Debug, thiserror::Error)]
pub enum AddError {
    #[error("the number is a user's already")]
    MobileTaken,
    #[error("a password {0}")]
    Password(#[from] UnfitPassword),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What is done about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Every request is refused until it is lifted; sessions wait.
    Suspend,
    Restore,
    SignOut,
    SetRole(Role),
}

/// Adds a user whose number the operator vouches for.
pub async fn add(app: &App, mobile: Mobile, password: Option<String>) -> std::result::Result<User, AddError> {
    let now = app.clock.now();
    let hash = match password {
        Some(password) => Some(app.keys.passwords.hash(password::fit(password)?).await),
        None => None,
    };
    let user = User {
        id: UserId::new(now),
        mobile,
        username: None,
        password_set: hash.is_some(),
        role: Role::User,
        plan: Plan::Basic,
        created_at: now,
        suspended_at: None,
    };
    crate::transaction!(app.store, |tx| {
        sql::lock_number(tx, &user.mobile).await?;
        if sql::user_by_mobile(tx, &user.mobile).await?.is_some() {
            return Err(AddError::MobileTaken);
        }
        sign_up::insert(tx, app, &user, hash.as_deref()).await?;
        Ok(())
    })?;
    Ok(user)
}

pub async fn find_by_mobile(app: &App, mobile: &Mobile) -> Result<Option<User>> {
    sql::user_by_mobile(&mut app.store.read().await?, mobile).await
}

/// Users in the order of their accounts' age, after one of them.
pub async fn list(app: &App, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
    let after = after.unwrap_or(UserId(uuid::Uuid::nil()));
    sql::users(&mut app.store.read().await?, after, i64::from(limit)).await
}

/// Does it; safe to repeat.
pub async fn act(app: &App, user: UserId, deed: Deed) -> Result<()> {
    let now = app.clock.now();
    let change = app.people.change_beside(user);
    crate::transaction!(app.store, |tx| {
        match deed {
            Deed::Suspend => sql::set_suspended(tx, user, Some(now)).await,
            Deed::Restore => sql::set_suspended(tx, user, None).await,
            Deed::SignOut => sql::end_sessions(tx, user, None, now).await.map(|_| ()),
            Deed::SetRole(role) => sql::set_role(tx, user, role).await,
        }
    })?;
    change.all();
    Ok(())
}

/// Removes all that this room holds of a user: the account, sessions, codes and marks. What other rooms hold goes first.
pub async fn delete(tx: &mut Tx, user: &User) -> Result<()> {
    sql::lock_number(tx, &user.mobile).await?;
    sql::delete_sessions(tx, user.id).await?;
    sql::delete_codes(tx, &user.mobile).await?;
    sql::delete_signups(tx, &user.mobile).await?;
    sql::delete_marks(tx, &user.mobile).await?;
    sql::delete_user(tx, user.id).await
}
