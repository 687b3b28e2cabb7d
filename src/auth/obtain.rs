//! Coming in by password.

use super::password::{self, PasswordError};
use super::tokens::{self, TokenPair};
use super::{Device, Mobile, User, sql};
use crate::app::App;
use crate::ids::SessionId;
use crate::store;

#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the account is suspended")]
    Suspended,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Opens a session for who knows the password.
pub async fn obtain(app: &App, mobile: &Mobile, password: String, device: &Device) -> Result<TokenPair, ObtainError> {
    let right = password::try_password(app, mobile, password, device).await?;
    let now = app.clock.now();
    let opened: Result<Option<(User, SessionId)>, ObtainError> = crate::transaction!(app.store, |tx| {
        let holds = right.still_holds(tx).await?;
        let Some(user) = sql::user(tx, right.user).await?.filter(|_| holds) else { return Ok(None) };
        if user.suspended_at.is_some() {
            return Err(ObtainError::Suspended);
        }
        let session = tokens::open_session(tx, app, &user, device, now).await?;
        Ok(Some((user, session)))
    });
    let (user, session) = opened?.ok_or(PasswordError::Wrong)?;
    Ok(tokens::pair(app, user, session, 1))
}
