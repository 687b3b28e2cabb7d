//! Coming in by code: the code proves the number, the number is a user, the user gets a session.

use super::code::{self, Purpose, Refused, Tried};
use super::marks::FIVE_MINUTES;
use super::sign_up::{self, Proof};
use super::tokens::{self, TokenPair};
use super::{Device, Mobile, User, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::{SessionId, UserId};
use crate::limits::{Limit, Reservation, Standing};
use crate::store::{self, Tx};

/// What is presented.
#[derive(Debug)]
pub struct Presented {
    pub mobile: Mobile,
    pub otp: String,
    /// None: the living code to sign in or to sign up.
    pub purpose: Option<Purpose>,
    pub signup_token: Option<String>,
    pub password: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the code was not taken")]
    Code(Refused),
    #[error("nobody can sign up here")]
    SignupClosed,
    #[error("the account is suspended")]
    Suspended,
    #[error("too many failed verifications from this address")]
    TooMany(Standing),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What the transaction found; a refusal is committed as well, for it counts.
enum Outcome {
    In(User, SessionId),
    Refused(VerifyError),
}

/// Takes a code and opens a session, making the user when the number has none yet. Of parallel calls with the same code
/// one comes in.
pub async fn verify(app: &App, presented: Presented, device: &Device) -> Result<TokenPair, VerifyError> {
    let reserved = reserve_failure(app, device).await.map_err(VerifyError::TooMany)?;
    let came = take_code(app, presented, device).await;
    if !matches!(came, Err(VerifyError::Code(_))) {
        reserved.give_back(app.clock.now()).await;
    }
    came
}

async fn take_code(app: &App, presented: Presented, device: &Device) -> Result<TokenPair, VerifyError> {
    let Presented { mobile, otp, purpose, signup_token: token, password } = presented;
    let purposes = purpose.map_or([Purpose::Login, Purpose::Signup], |purpose| [purpose; 2]);
    let claim = sign_up::claim(app, &mobile, Proof { token, password }, device).await?;
    if claim.is_costly() {
        code::try_ahead(app, &mobile, purposes, &otp).await?.map_err(VerifyError::Code)?;
    }
    let proven = claim.prove(app).await;
    let now = app.clock.now();
    let outcome: Result<Outcome, store::Error> = crate::transaction!(app.store, |tx| {
        match code::try_code(tx, app, &mobile, purposes, &otp, now).await? {
            Tried::Right(code) => {
                code::spend(tx, code, now).await?;
                come_in(tx, app, &mobile, proven, device, now).await
            }
            Tried::Wrong(refused) => Ok(Outcome::Refused(VerifyError::Code(refused))),
        }
    });
    match outcome? {
        Outcome::In(user, session) => Ok(tokens::pair(app, user, session, 1)),
        Outcome::Refused(why) => Err(why),
    }
}

async fn come_in(
    tx: &mut Tx,
    app: &App,
    mobile: &Mobile,
    proven: Option<UserId>,
    device: &Device,
    now: Moment,
) -> store::Result<Outcome> {
    let known = sql::user_by_mobile(tx, mobile).await?;
    let user = match known {
        Some(user) if user.suspended_at.is_some() => return Ok(Outcome::Refused(VerifyError::Suspended)),
        Some(user) => user,
        None => match sign_up::create(tx, app, mobile, proven, now).await? {
            Some(user) => user,
            None => return Ok(Outcome::Refused(VerifyError::SignupClosed)),
        },
    };
    let session = tokens::open_session(tx, app, &user, device, now).await?;
    Ok(Outcome::In(user, session))
}

/// Counts a failed verification from an address in advance, so that parallel ones cannot all slip past.
pub(super) async fn reserve_failure<'a>(app: &'a App, device: &Device) -> Result<Reservation<'a>, Standing> {
    let limit = Limit::new(app.settings.throttles.failed_verifications_by_address, FIVE_MINUTES);
    app.limits.reserve("failed-verifications", &device.throttle_key, limit, app.clock.now()).await
}
