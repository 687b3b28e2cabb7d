//! Token pairs: what a session hands out, one generation after the other.

use std::time::Duration;

use super::{Device, User, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::SessionId;
use crate::keys::Claims;
use crate::store::{Result, Tx};

/// What signing in gives.
#[derive(Clone)]
pub struct TokenPair {
    pub access: String,
    /// The same for the same session and generation, however often it is made.
    pub refresh: String,
    pub expires_in: Duration,
    pub session: SessionId,
    pub user: User,
}

impl std::fmt::Debug for TokenPair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TokenPair").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Opens a session for a user.
pub(super) async fn open_session(
    tx: &mut Tx,
    app: &App,
    user: &User,
    device: &Device,
    now: Moment,
) -> Result<SessionId> {
    let id = SessionId::new(now);
    sql::insert_session(tx, id, user.id, device, now, now.plus(app.settings.auth.refresh_token)).await?;
    Ok(id)
}

/// The tokens of one generation of a session.
pub(super) fn pair(app: &App, user: User, session: SessionId, generation: i64) -> TokenPair {
    let expires_in = app.settings.auth.access_token;
    let claims = Claims::new(user.id, session, generation, app.clock.now(), expires_in);
    TokenPair {
        access: app.keys.access.sign(&claims),
        refresh: app.keys.refresh.seal(session.0, generation),
        expires_in,
        session,
        user,
    }
}
