//! What sign-in shows.

use serde::Serialize;

use crate::auth::{Plan, Role, Sent, Session, SignedUp, TokenPair, User};
use crate::clock::Moment;
use crate::ids::{SessionId, UserId};

/// A person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UserView {
    pub id: UserId,
    /// E.164 where the number is a valid one.
    #[schema(example = "+919876543210")]
    pub mobile: String,
    /// False only for a sign-up whose number waits for its code.
    pub mobile_verified: bool,
    #[schema(required, example = "Ada")]
    pub username: Option<String>,
    #[schema(inline)]
    pub role: Role,
    pub plan: Plan,
    pub created_at: Moment,
    pub password_set: bool,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            mobile: user.mobile.as_str().to_owned(),
            mobile_verified: true,
            username: user.username,
            role: user.role,
            plan: user.plan,
            created_at: user.created_at,
            password_set: user.password_set,
        }
    }
}

/// A sign-up that waits for its code.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SignedUpView {
    user: UserView,
    /// To be given back at the verification: it proves that the password is the same person's.
    #[schema(example = "AZn3qtaofRCcnjsfDF1-IgAAAAAAAAAB")]
    signup_token: String,
    /// The code, if one was sent: in development only, to this machine only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "271828")]
    otp: Option<String>,
}

impl From<SignedUp> for SignedUpView {
    fn from(made: SignedUp) -> Self {
        let user = UserView { mobile_verified: false, ..made.user.into() };
        Self { user, signup_token: made.token, otp: made.sent.and_then(|sent| sent.otp) }
    }
}

/// A code is on its way, or would be if the number were somebody's.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SentView {
    #[schema(example = "The code is on its way")]
    message: &'static str,
    /// Seconds until the code is void.
    #[schema(example = 300)]
    expires_in: u64,
    /// Seconds until asking again makes a new code; before, the same one is sent again.
    #[schema(example = 60)]
    resend_in: u64,
    /// The code itself: in development only, to this machine only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "271828")]
    otp: Option<String>,
}

impl From<Sent> for SentView {
    fn from(sent: Sent) -> Self {
        Self {
            message: "The code is on its way",
            expires_in: sent.expires_in.as_secs(),
            resend_in: sent.resend_in.as_secs(),
            otp: sent.otp,
        }
    }
}

/// What signing in gives.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct TokenPairView {
    #[schema(example = "eyJhbGciOiJIUzI1NiIsImtpZCI6Ij...")]
    access_token: String,
    /// Left away with `X-Token-Delivery: cookie`: it is in the cookie then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "AZn3qtaofRCcnjsfDF1-IgAAAAAAAAAC")]
    refresh_token: Option<String>,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token runs out.
    #[schema(example = 900)]
    expires_in: u64,
    session_id: SessionId,
    user: UserView,
    /// The same as `access_token`, for older clients.
    #[schema(deprecated, example = "eyJhbGciOiJIUzI1NiIsImtpZCI6Ij...")]
    token: String,
    /// The same as `access_token`, for older clients.
    #[schema(deprecated, example = "eyJhbGciOiJIUzI1NiIsImtpZCI6Ij...")]
    access: String,
    /// The same as `refresh_token`, for older clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(deprecated, nullable = false)]
    refresh: Option<String>,
}

impl TokenPairView {
    pub(super) fn new(pair: TokenPair, shows_refresh: bool) -> Self {
        let refresh = shows_refresh.then_some(pair.refresh);
        Self {
            token: pair.access.clone(),
            access: pair.access.clone(),
            access_token: pair.access,
            refresh: refresh.clone(),
            refresh_token: refresh,
            token_type: "Bearer",
            expires_in: pair.expires_in.as_secs(),
            session_id: pair.session,
            user: pair.user.into(),
        }
    }
}

/// A device that is signed in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SessionView {
    id: SessionId,
    created_at: Moment,
    /// To within a few minutes.
    last_seen_at: Moment,
    #[schema(required, example = "curl/8.14.1")]
    user_agent: Option<String>,
    /// Where it signed in from.
    #[schema(example = "203.0.113.7")]
    address: String,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionView {
    pub(super) fn new(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            user_agent: session.user_agent,
            address: session.address,
            current: session.id == current,
        }
    }
}
