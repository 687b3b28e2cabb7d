//! Ending sessions: on every node, from the next request on.

use super::sql;
use crate::app::App;
use crate::ids::{SessionId, UserId};
use crate::people;
use crate::store::Result;

/// Which of a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// All but this one.
    Others(SessionId),
}

/// Ends one session of a user; false when they have no such living session.
pub async fn end(app: &App, user: UserId, session: SessionId) -> Result<bool> {
    let now = app.clock.now();
    let change = app.people.change(user);
    let ended = crate::transaction!(app.store, |tx| { sql::end_session(tx, user, session, now).await })?;
    change.all();
    Ok(ended)
}

/// Ends many; how many there were.
pub async fn end_many(app: &App, user: UserId, scope: Scope) -> Result<u64> {
    let now = app.clock.now();
    let keep = match scope {
        Scope::All => None,
        Scope::Others(current) => Some(current),
    };
    let change = app.people.change(user);
    let ended = crate::transaction!(app.store, |tx| { sql::end_sessions(tx, user, keep, now).await })?;
    change.all();
    Ok(ended)
}

/// Ends the session of a refresh token, also of a spent one. False when this server did not make it.
pub async fn end_by_refresh_token(app: &App, token: &str) -> Result<bool> {
    let Some((session, _)) = app.keys.refresh.open(token) else { return Ok(false) };
    let session = SessionId(session);
    let standing = people::standing(&mut app.store.read().await?, session).await?;
    if let Some(standing) = standing {
        end(app, standing.user, session).await?;
    }
    Ok(true)
}
