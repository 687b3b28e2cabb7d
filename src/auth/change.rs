//! Changing what signs somebody in: a forgotten password, a known one, the number.
//!
//! Each needs a fresh code to the number that counts, or the password; each ends sessions in its own transaction.

use super::code::{self, Purpose, Refused, Tried};
use super::password::{self, PasswordError, Right};
use super::{Device, Mobile, SignedIn, User, sql, verify};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::JobId;
use crate::jobs::{self, Job};
use crate::limits::Standing;
use crate::store::{self, Tx};

/// When an erasure that was granted and not ended is taken up: longer than most take.
const TAKEN_UP_AFTER: std::time::Duration = std::time::Duration::from_mins(2);

/// What proves that it is the account's own person, beyond a session.
#[derive(Debug)]
pub enum Proof {
    Password(String),
    Code(String),
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("the code was not taken")]
    Code(Refused),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the number is a user's already")]
    MobileTaken,
    #[error("the account is gone")]
    Gone,
    #[error("too many failed verifications from this address")]
    TooMany(Standing),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What a transaction came to; a refused code is committed as well, for it counts.
type Outcome<T> = Result<std::result::Result<T, ChangeError>, store::Error>;

/// Does what takes a code. A refused code is a failure of its address, anything else that comes of it is none.
async fn counted<T>(
    app: &App,
    device: &Device,
    work: impl Future<Output = Result<T, ChangeError>>,
) -> Result<T, ChangeError> {
    let reserved = verify::reserve_failure(app, device).await.map_err(ChangeError::TooMany)?;
    let done = work.await;
    if !matches!(done, Err(ChangeError::Code(_))) {
        reserved.give_back(app.clock.now()).await;
    }
    done
}

/// Sets a new password by a code to the number, and ends every session.
pub async fn reset_password(
    app: &App,
    mobile: &Mobile,
    otp: &str,
    new: String,
    device: &Device,
) -> Result<(), ChangeError> {
    counted(app, device, reset(app, mobile, otp, new)).await
}

async fn reset(app: &App, mobile: &Mobile, otp: &str, new: String) -> Result<(), ChangeError> {
    code::try_ahead(app, mobile, [Purpose::ResetPassword; 2], otp).await?.map_err(ChangeError::Code)?;
    let hash = app.keys.passwords.hash(new).await;
    let now = app.clock.now();
    let outcome: Outcome<_> = crate::transaction!(app.store, |tx| {
        let code = match code::try_code(tx, app, mobile, [Purpose::ResetPassword; 2], otp, now).await? {
            Tried::Right(code) => code,
            Tried::Wrong(refused) => return Ok(Err(ChangeError::Code(refused))),
        };
        code::spend(tx, code, now).await?;
        // A right code of a number that is nobody's: told as a wrong one is.
        let Some(user) = sql::user_by_mobile(tx, mobile).await? else {
            return Ok(Err(ChangeError::Code(Refused::Invalid { attempts_left: 0 })));
        };
        let change = app.people.change(user.id);
        sql::set_password(tx, user.id, &hash).await?;
        sql::end_sessions(tx, user.id, None, now).await?;
        Ok(Ok(change))
    });
    outcome??.all();
    Ok(())
}

/// Sets a new password, or a first one, and ends every other session.
pub async fn change_password(
    app: &App,
    me: &SignedIn,
    proof: Proof,
    new: String,
    device: &Device,
) -> Result<(), ChangeError> {
    match proof {
        Proof::Password(_) => set_password(app, me, proof, new, device).await,
        Proof::Code(_) => counted(app, device, set_password(app, me, proof, new, device)).await,
    }
}

async fn set_password(app: &App, me: &SignedIn, proof: Proof, new: String, device: &Device) -> Result<(), ChangeError> {
    let user = present(app, me).await?;
    let purposes = [Purpose::Confirm, Purpose::ResetPassword];
    let proven = prove(app, &user, proof, purposes, device).await?;
    let hash = app.keys.passwords.hash(new).await;
    let now = app.clock.now();
    let change = app.people.change(me.user);
    let outcome: Outcome<()> = crate::transaction!(app.store, |tx| {
        if let Err(refused) = proven.hold(tx, app, &user.mobile, purposes, now).await? {
            return Ok(Err(refused));
        }
        sql::set_password(tx, me.user, &hash).await?;
        sql::end_sessions(tx, me.user, Some(me.session), now).await?;
        Ok(Ok(()))
    });
    let outcome = outcome?;
    change.all();
    outcome
}

/// Moves an account to a number that a code proves to be its person's.
pub async fn change_mobile(
    app: &App,
    me: &SignedIn,
    mobile: &Mobile,
    otp: &str,
    proof: Proof,
    device: &Device,
) -> Result<User, ChangeError> {
    counted(app, device, move_to(app, me, mobile, otp, proof, device)).await
}

async fn move_to(
    app: &App,
    me: &SignedIn,
    mobile: &Mobile,
    otp: &str,
    proof: Proof,
    device: &Device,
) -> Result<User, ChangeError> {
    let mut user = present(app, me).await?;
    code::try_ahead(app, mobile, [Purpose::ChangeMobile; 2], otp).await?.map_err(ChangeError::Code)?;
    let proven = prove(app, &user, proof, [Purpose::Confirm; 2], device).await?;
    let now = app.clock.now();
    let change = app.people.change(me.user);
    let outcome: Outcome<()> = crate::transaction!(app.store, |tx| {
        // Two people swapping numbers wait for one another in the same order.
        let (first, second) =
            if user.mobile.as_str() < mobile.as_str() { (&user.mobile, mobile) } else { (mobile, &user.mobile) };
        sql::lock_number(tx, first).await?;
        sql::lock_number(tx, second).await?;
        let code = match code::try_code(tx, app, mobile, [Purpose::ChangeMobile; 2], otp, now).await? {
            Tried::Right(code) => code,
            Tried::Wrong(refused) => return Ok(Err(ChangeError::Code(refused))),
        };
        if let Err(refused) = proven.hold(tx, app, &user.mobile, [Purpose::Confirm; 2], now).await? {
            return Ok(Err(refused));
        }
        code::spend(tx, code, now).await?;
        if sql::user_by_mobile(tx, mobile).await?.is_some() {
            return Ok(Err(ChangeError::MobileTaken));
        }
        sql::set_mobile(tx, me.user, mobile).await?;
        sql::delete_signups(tx, mobile).await?;
        Ok(Ok(()))
    });
    let outcome = outcome?;
    change.all();
    outcome?;
    user.mobile = mobile.clone();
    Ok(user)
}

/// Ends an account for its person: from this transaction on it is suspended and signed out, and a job promises that all that
/// is held of them goes, should whoever asked for this not see to it.
pub async fn resign(app: &App, me: &SignedIn, proof: Proof, device: &Device) -> Result<(), ChangeError> {
    match proof {
        Proof::Password(_) => suspend(app, me, proof, device).await,
        Proof::Code(_) => counted(app, device, suspend(app, me, proof, device)).await,
    }
}

async fn suspend(app: &App, me: &SignedIn, proof: Proof, device: &Device) -> Result<(), ChangeError> {
    let user = present(app, me).await?;
    let proven = prove(app, &user, proof, [Purpose::Confirm; 2], device).await?;
    let now = app.clock.now();
    let change = app.people.change(me.user);
    let outcome: Outcome<()> = crate::transaction!(app.store, |tx| {
        if let Err(refused) = proven.hold(tx, app, &user.mobile, [Purpose::Confirm; 2], now).await? {
            return Ok(Err(refused));
        }
        sql::set_suspended(tx, me.user, Some(now)).await?;
        sql::end_sessions(tx, me.user, None, now).await?;
        let job = Job::EraseUser { user: me.user };
        jobs::keep_house(tx, JobId(me.user.0), &job, now.plus(TAKEN_UP_AFTER)).await?;
        Ok(Ok(()))
    });
    let outcome = outcome?;
    change.all();
    outcome
}

async fn present(app: &App, me: &SignedIn) -> Result<User, ChangeError> {
    sql::user(&mut app.store.read().await?, me.user).await?.ok_or(ChangeError::Gone)
}

/// A proof on its way into the transaction that acts on it.
enum Proven {
    Password(Right),
    /// Looked at once more in the transaction, where it is also spent.
    Code(String),
}

async fn prove(
    app: &App,
    user: &User,
    proof: Proof,
    purposes: [Purpose; 2],
    device: &Device,
) -> Result<Proven, ChangeError> {
    match proof {
        Proof::Password(password) => {
            Ok(Proven::Password(password::try_password(app, &user.mobile, password, device).await?))
        }
        Proof::Code(otp) => {
            code::try_ahead(app, &user.mobile, purposes, &otp).await?.map_err(ChangeError::Code)?;
            Ok(Proven::Code(otp))
        }
    }
}

impl Proven {
    /// Whether it holds now; a code is spent by it.
    async fn hold(&self, tx: &mut Tx, app: &App, mobile: &Mobile, purposes: [Purpose; 2], now: Moment) -> Outcome<()> {
        Ok(match self {
            Self::Password(right) if right.still_holds(tx).await? => Ok(()),
            Self::Password(_) => Err(PasswordError::Wrong.into()),
            Self::Code(otp) => match code::try_code(tx, app, mobile, purposes, otp, now).await? {
                Tried::Right(code) => Ok(code::spend(tx, code, now).await?),
                Tried::Wrong(refused) => Err(ChangeError::Code(refused)),
            },
        })
    }
}
