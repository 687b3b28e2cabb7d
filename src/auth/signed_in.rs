//! [`SignedIn`]: the extractor that stands in front of everything that is somebody's.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::{Plan, Role, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::http::{ApiError, Code};
use crate::ids::{SessionId, UserId};
use crate::keys::{BadToken, Claims};
use crate::limits::Limit;
use crate::people::{Recalled, Standing};
use crate::store;

/// How exactly a session tells when it was last seen: a write each time would cost more than the answer.
const SEEN_EVERY: Duration = Duration::from_mins(5);

/// Who is asking, as of this moment: a session ended or a user suspended a moment ago is refused already.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn {
    pub user: UserId,
    pub session: SessionId,
    pub plan: Plan,
    pub role: Role,
    /// The revision of the user's room list: no older than any write that was answered.
    pub rooms_rev: i64,
    /// The generation of the token pair that the request came with.
    pub generation: i64,
    /// When the access token runs out.
    pub expires_at: Moment,
}

/// Why a request is nobody's.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    #[error("there is no token")]
    NoToken,
    #[error(transparent)]
    Token(#[from] BadToken),
    #[error("the session has ended")]
    Ended,
    #[error("the account is suspended")]
    Suspended,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<NotSignedIn> for ApiError {
    fn from(error: NotSignedIn) -> Self {
        match error {
            NotSignedIn::NoToken => Self::new(Code::TokenMissing),
            NotSignedIn::Token(BadToken::Invalid) => Self::new(Code::TokenInvalid),
            NotSignedIn::Token(BadToken::Expired) => Self::new(Code::TokenExpired),
            NotSignedIn::Ended => Self::new(Code::SessionEnded),
            NotSignedIn::Suspended => Self::new(Code::AccountSuspended),
            NotSignedIn::Store(cause) => cause.into(),
        }
    }
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let claims = app.keys.access.read(bearer(parts)?, app.clock.now()).map_err(NotSignedIn::from)?;
        let standing = standing(app, &claims).await?;
        let limit = Limit::per_minute(app.settings.server.requests_per_minute);
        tracing::Span::current().record("user_id", tracing::field::display(standing.user));
        app.limits.hit("requests", &standing.user.to_string(), limit, app.clock.now()).await?;
        Ok(Self {
            user: standing.user,
            session: standing.session,
            plan: standing.plan,
            role: standing.role,
            rooms_rev: standing.rooms_rev,
            generation: claims.generation,
            expires_at: Moment::from_millis(claims.exp.saturating_mul(1000)),
        })
    }
}

fn bearer(parts: &Parts) -> Result<&str, NotSignedIn> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(NotSignedIn::NoToken)?;
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(BadToken::Invalid)?;
    // Two tokens are no token: a proxy and we might read different ones.
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BadToken::Invalid.into());
    }
    Ok(token.trim())
}

/// How the session of a token stands now.
async fn standing(app: &App, claims: &Claims) -> Result<Standing, NotSignedIn> {
    let now = app.clock.now();
    let standing = match app.people.recall(claims.sub, claims.sid, now) {
        Recalled::Known(standing) => standing,
        Recalled::Unknown(leave) => {
            let standing = app.people.read(&app.store, &app.tasks, claims.sid).await?.ok_or(NotSignedIn::Ended)?;
            app.people.keep(leave, standing, now);
            standing
        }
    };
    if standing.user != claims.sub || standing.expires_at <= now {
        return Err(NotSignedIn::Ended);
    }
    if standing.is_suspended {
        return Err(NotSignedIn::Suspended);
    }
    if wants_noting(&standing, claims, now) {
        // Apart, because every request would carry room for what is seldom done.
        Box::pin(note_use(app, &standing, claims, now)).await?;
    }
    Ok(standing)
}

/// Whether the session of one who is signed in lives on and its user is not suspended.
pub async fn is_alive(app: &App, signed_in: &SignedIn) -> Result<bool, store::Error> {
    let standing = match app.people.recall(signed_in.user, signed_in.session, app.clock.now()) {
        Recalled::Known(standing) => Some(standing),
        Recalled::Unknown(_) => app.people.read(&app.store, &app.tasks, signed_in.session).await?,
    };
    Ok(standing.is_some_and(|standing| !standing.is_suspended && standing.expires_at > app.clock.now()))
}

/// Something of the newest pair is used for the first time (so the spent refresh token is worth nothing from now on),
/// or the session was not seen for a while.
fn wants_noting(standing: &Standing, claims: &Claims, now: Moment) -> bool {
    let is_first = claims.generation == standing.generation && standing.used_generation < claims.generation;
    is_first || now.since(standing.last_seen_at) >= SEEN_EVERY
}

async fn note_use(app: &App, standing: &Standing, claims: &Claims, now: Moment) -> Result<(), store::Error> {
    let change = app.people.change(standing.user);
    crate::transaction!(app.store, |tx| { sql::note_use(tx, standing.session, claims.generation, now).await })?;
    change.all();
    Ok(())
}
