//! An account's end: all that is held of a person goes, room by room of the house.

use crate::app::App;
use crate::auth::operate::{self, Deed};
use crate::auth::{self, User};
use crate::chat::{self, RoomError};
use crate::http::replay;
use crate::ids::UserId;
use crate::{billing, jobs, store};

#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("there is no such user")]
    NoSuchUser,
    #[error(transparent)]
    Rooms(#[from] RoomError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Erases a user: rooms and messages, prompts, keys, sessions, codes, the account. Safe to repeat after it was cut short.
///
/// They are suspended first, so that nothing new begins; the number is free once it is done.
pub async fn erase(app: &App, user: UserId) -> Result<(), EraseError> {
    operate::act(app, user, Deed::Suspend).await?;
    operate::act(app, user, Deed::SignOut).await?;
    let user = auth::find(app, user).await?.ok_or(EraseError::NoSuchUser)?;
    loop {
        chat::delete_rooms(app, user.id).await?;
        if end_account(app, &user).await? {
            return Ok(());
        }
    }
}

/// The last transaction; false when a request that was under way has opened one more room.
async fn end_account(app: &App, user: &User) -> store::Result<bool> {
    let now = app.clock.now();
    let change = app.people.change_beside(user.id);
    let ended = crate::transaction!(app.store, |tx| {
        jobs::lock(tx, user.id).await?;
        if chat::has_rooms(tx, user.id).await? {
            return Ok(false);
        }
        replay::forget(tx, user.id).await?;
        billing::forget(tx, user.id, now).await?;
        jobs::close_account(tx, user.id).await?;
        operate::delete(tx, user).await?;
        Ok::<_, store::Error>(true)
    })?;
    change.all();
    Ok(ended)
}
