//! An account's end: all that is held of a person goes, room by room of the house.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::auth::operate::{self, Deed};
use crate::auth::{self, ChangeError, Device, Proof, SignedIn, User};
use crate::billing::{self, HeldCounts};
use crate::chat::{self, RoomCounts, RoomError};
use crate::clock::Moment;
use crate::http::replay;
use crate::ids::UserId;
use crate::jobs::{self, Claim, EndError};
use crate::store;

/// How long its person waits for the end; a large account takes longer, and goes on by itself.
const PATIENCE: Duration = Duration::from_secs(25);
/// Before what was cut short is tried again.
const PAUSE: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("there is no such user")]
    NoSuchUser,
    #[error(transparent)]
    Rooms(#[from] RoomError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What was held when the erasure was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    pub requested_at: Moment,
    /// None while the last of it is still going.
    pub completed_at: Option<Moment>,
    pub rooms: RoomCounts,
    pub sessions: i64,
    pub billing: HeldCounts,
}

/// Erases the caller's account, on proof that it is theirs. Once this was granted nothing takes it back: their sessions end
/// in the same transaction that promises the rest, which goes on whatever becomes of this process.
pub async fn leave(app: &Arc<App>, me: &SignedIn, proof: Proof, device: &Device) -> Result<Receipt, ChangeError> {
    let mut reader = app.store.read().await?;
    let mut receipt = Receipt {
        requested_at: app.clock.now(),
        completed_at: None,
        rooms: chat::count_rooms(&mut reader, me.user).await?,
        sessions: auth::count_sessions(&mut reader, me.user).await?,
        billing: billing::count_held(&mut reader, me.user).await?,
    };
    drop(reader);
    auth::resign(app, me, proof, device).await?;
    let erasing = {
        let (app, user) = (Arc::clone(app), me.user);
        async move { erase(&app, user).await }
    };
    match tokio::time::timeout(PATIENCE, app.tasks.spawn(erasing)).await {
        // Somebody else may have ended it.
        Ok(Ok(Ok(()) | Err(EraseError::NoSuchUser))) => receipt.completed_at = Some(app.clock.now()),
        Ok(Ok(Err(cause))) => tracing::warn!(%cause, "an erasure was cut short, and will be taken up again"),
        Ok(Err(cause)) => tracing::error!(%cause, "an erasure broke, and will be taken up again"),
        Err(_) => {}
    }
    app.live.ring_for_jobs();
    Ok(receipt)
}

/// The job that ends what [`leave`] began, should its process not have.
pub async fn work(app: &App, claim: &Claim, user: UserId) -> Result<(), EndError> {
    let now = app.clock.now();
    match erase(app, user).await {
        // The job went with the account.
        Ok(()) => Ok(()),
        Err(EraseError::NoSuchUser) => crate::transaction!(app.store, |tx| { jobs::forget_house(tx, claim.id).await }),
        Err(EraseError::Rooms(RoomError::Store(cause)) | EraseError::Store(cause)) => {
            put_off(app, claim, &cause, now).await
        }
        Err(EraseError::Rooms(other)) => put_off(app, claim, &other, now).await,
    }
}

async fn put_off(app: &App, claim: &Claim, why: &impl std::fmt::Display, now: Moment) -> Result<(), EndError> {
    tracing::warn!(%why, "an erasure waits");
    let due = now.plus(PAUSE);
    crate::transaction!(app.store, |tx| { jobs::retry_house(tx, app.node, claim, due, "the erasure waits").await })
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
