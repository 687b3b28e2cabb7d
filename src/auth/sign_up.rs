//! Signing up: a number says who it would be. Nothing of it counts before a code proves the number.

use std::time::Duration;

use super::marks::TEN_MINUTES;
use super::send_code::{SendError, Sent, promise_code};
use super::{Device, Mobile, Plan, Purpose, Role, User, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::UserId;
use crate::jobs;
use crate::limits::{Limit, Standing};
use crate::store::{self, Tx};

/// How long a sign-up waits for its number to be verified.
const WAITS: Duration = Duration::from_hours(24);

/// What somebody would like to be.
#[derive(Debug)]
pub struct Wish {
    pub mobile: Mobile,
    pub username: Option<String>,
    pub password: Option<String>,
}

/// A sign-up that waits for its code.
#[derive(Debug)]
pub struct SignedUp {
    pub user: User,
    /// Proves at the verification that it is the same person's.
    pub token: String,
    /// Older clients sign up with a number alone and wait for the code, which they never ask for.
    pub sent: Option<Sent>,
}

#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("the number is verified already")]
    MobileTaken,
    #[error("too many sign-ups from this address")]
    TooMany(Standing),
    #[error(transparent)]
    Code(#[from] SendError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Keeps a sign-up until its number is verified. The only call that tells whether a number is taken. With `LEGACY_SIGNUP` one
/// of a number and nothing else is sent its code, as if it had been asked for; `may_show` as there.
pub async fn sign_up(app: &App, wish: Wish, device: &Device, may_show: bool) -> Result<SignedUp, SignUpError> {
    let now = app.clock.now();
    let wants_code = app.settings.auth.legacy_signup && wish.username.is_none() && wish.password.is_none();
    let limit = Limit::new(app.settings.throttles.signups_by_address, TEN_MINUTES);
    app.limits.hit("sign-ups", &device.throttle_key, limit, now).await.map_err(SignUpError::TooMany)?;
    let password_hash = match wish.password {
        Some(password) => Some(app.keys.passwords.hash(password).await),
        None => None,
    };
    let signup = sql::Pending {
        id: UserId::new(now),
        username: wish.username,
        password_hash,
        address: device.address.clone(),
        created_at: now,
    };
    let going = crate::transaction!(app.store, |tx| {
        sql::lock_number(tx, &wish.mobile).await?;
        if sql::user_by_mobile(tx, &wish.mobile).await?.is_some() {
            return Err(SignUpError::MobileTaken);
        }
        sql::insert_signup(tx, &wish.mobile, &signup, now.plus(WAITS)).await?;
        if !wants_code {
            return Ok(None);
        }
        Ok(Some(promise_code(tx, app, &wish.mobile, Purpose::Login, now).await?))
    })?;
    let sent = going.map(|going| going.sent(app, may_show, now));
    let token = app.keys.signup.seal(signup.id.0, 0);
    Ok(SignedUp { user: user_of(&wish.mobile, Some(&signup), signup.id, now), token, sent })
}

/// What a verification brings along to prove that a sign-up was the same person's.
#[derive(Debug, Default)]
pub(super) struct Proof {
    pub token: Option<String>,
    pub password: Option<String>,
}

/// Which sign-up a verification says is its own.
pub(super) enum Claim {
    Proven(Option<UserId>),
    /// The one whose hash the password fits, if it fits any.
    ByPassword(String, Vec<(UserId, String)>),
}

/// What a verification claims: by token, by password, or, for the older clients, by coming from the same address soon.
pub(super) async fn claim(app: &App, mobile: &Mobile, proof: Proof, device: &Device) -> store::Result<Claim> {
    let now = app.clock.now();
    let by_token = proof.token.and_then(|token| app.keys.signup.open(&token)).map(|(id, _)| UserId(id));
    if by_token.is_some() {
        return Ok(Claim::Proven(by_token));
    }
    let pending = sql::pending(&mut app.store.read().await?, mobile, &device.address, now).await?;
    let hashes = pending.iter().filter_map(|signup| Some((signup.id, signup.password_hash.clone()?)));
    let hashes: Vec<_> = hashes.collect();
    if let Some(password) = proof.password.filter(|_| !hashes.is_empty()) {
        return Ok(Claim::ByPassword(password, hashes));
    }
    let is_recent = |signup: &&sql::Pending| now.since(signup.created_at) <= TEN_MINUTES;
    let same = pending.iter().find(|signup| signup.address == device.address).filter(is_recent);
    Ok(Claim::Proven(same.filter(|_| app.settings.auth.legacy_signup).map(|signup| signup.id)))
}

impl Claim {
    /// Whether proving it costs a hash or more.
    pub(super) const fn is_costly(&self) -> bool {
        matches!(self, Self::ByPassword(..))
    }

    /// The sign-up that is the caller's own.
    pub(super) async fn prove(self, app: &App) -> Option<UserId> {
        let (password, hashes) = match self {
            Self::Proven(signup) => return signup,
            Self::ByPassword(password, hashes) => (password, hashes),
        };
        for (id, hash) in hashes {
            if app.keys.passwords.fits(password.clone(), Some(hash)).await {
                return Some(id);
            }
        }
        // Another password is no lack of proof, it is proof of somebody else.
        None
    }
}

/// Makes the user of a number that was just verified: from the proven sign-up, or bare. None when nobody may sign up.
pub(super) async fn create(
    tx: &mut Tx,
    app: &App,
    mobile: &Mobile,
    proven: Option<UserId>,
    now: Moment,
) -> store::Result<Option<User>> {
    if !app.settings.auth.auto_signup && !sql::has_signup(tx, mobile, now).await? {
        return Ok(None);
    }
    let signup = match proven {
        Some(id) => sql::pending_by_id(tx, id, mobile, now).await?,
        None => None,
    };
    let id = signup.as_ref().map_or_else(|| UserId::new(now), |signup| signup.id);
    let user = user_of(mobile, signup.as_ref(), id, now);
    insert(tx, app, &user, signup.and_then(|signup| signup.password_hash).as_deref()).await?;
    Ok(Some(user))
}

/// A user with all that every user has, in one transaction.
pub(super) async fn insert(tx: &mut Tx, app: &App, user: &User, password_hash: Option<&str>) -> store::Result<()> {
    sql::insert_user(tx, user, password_hash).await?;
    jobs::open_account(tx, user.id, app.settings.quota.basic_replies_at_once).await?;
    sql::delete_signups(tx, &user.mobile).await
}

fn user_of(mobile: &Mobile, signup: Option<&sql::Pending>, id: UserId, now: Moment) -> User {
    User {
        id,
        mobile: mobile.clone(),
        username: signup.and_then(|signup| signup.username.clone()),
        password_set: signup.is_some_and(|signup| signup.password_hash.is_some()),
        role: Role::User,
        plan: Plan::Basic,
        created_at: now,
        suspended_at: None,
    }
}
