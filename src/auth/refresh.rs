//! Refreshing: a session moves on by a generation, and its refresh tokens tell a lost answer from a stolen token.
//!
//! A refresh token is the seal of session and generation, so the successor of a token is always the same one. A spent
//! token is honoured while nothing of its successor was used: then the answer that carried it may have been lost.

use super::marks::TEN_MINUTES;
use super::tokens::{self, TokenPair};
use super::{Device, User, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::SessionId;
use crate::limits::{Limit, Standing as Throttle};
use crate::people;
use crate::store::{self, Tx};

#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("it is no token of ours")]
    Invalid,
    #[error("the session has ended")]
    Ended,
    /// The session is ended now: two hold its tokens.
    #[error("the token was used before")]
    Reused,
    #[error("the account is suspended")]
    Suspended,
    #[error("too many refreshes from this address")]
    TooMany(Throttle),
    #[error(transparent)]
    Store(#[from] store::Error),
}

enum Outcome {
    Pair(User, i64),
    Ended,
    Reused,
}

/// Gives the successor of a token's pair. The same token at the same time gives the same successor, however often.
pub async fn refresh(app: &App, token: &str, device: &Device) -> Result<TokenPair, RefreshError> {
    let now = app.clock.now();
    let limit = Limit::new(app.settings.throttles.refreshes_by_address, TEN_MINUTES);
    app.limits.hit("refreshes", &device.throttle_key, limit, now).await.map_err(RefreshError::TooMany)?;
    let (session, generation) = app.keys.refresh.open(token).ok_or(RefreshError::Invalid)?;
    let session = SessionId(session);
    let standing = people::standing(&mut app.store.read().await?, session).await?.ok_or(RefreshError::Ended)?;
    if standing.is_suspended {
        return Err(RefreshError::Suspended);
    }
    let change = app.people.change(standing.user);
    let outcome: Result<Outcome, store::Error> =
        crate::transaction!(app.store, |tx| { step(tx, app, session, generation, now).await });
    let outcome = outcome?;
    change.all();
    match outcome {
        Outcome::Pair(user, generation) => Ok(tokens::pair(app, user, session, generation)),
        Outcome::Ended => Err(RefreshError::Ended),
        Outcome::Reused => Err(RefreshError::Reused),
    }
}

async fn step(tx: &mut Tx, app: &App, session: SessionId, generation: i64, now: Moment) -> store::Result<Outcome> {
    let expires_at = now.plus(app.settings.auth.refresh_token);
    let advanced = sql::advance(tx, session, generation, now, expires_at).await?;
    let Some(standing) = people::standing(tx, session).await? else { return Ok(Outcome::Ended) };
    if standing.expires_at <= now {
        return Ok(Outcome::Ended);
    }
    let is_honoured = generation + 1 == standing.generation && standing.used_generation < standing.generation;
    if !advanced && !is_honoured {
        sql::end_session(tx, standing.user, session, now).await?;
        return Ok(Outcome::Reused);
    }
    let user = sql::user(tx, standing.user).await?;
    Ok(user.map_or(Outcome::Ended, |user| Outcome::Pair(user, standing.generation)))
}
