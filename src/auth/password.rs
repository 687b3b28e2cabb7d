//! Passwords: what one may be, and trying one, counted against its number and its address.

use super::marks::{self, Allowance, Mark, QUARTER_HOUR};
use super::{Device, Mobile, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::ids::UserId;
use crate::limits::{Limit, Standing};
use crate::store::{self, Tx};

/// Characters that a password has at least and at most.
const FEWEST: usize = 8;
const MOST: usize = 128;

/// A password that nobody may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have {FEWEST} to {MOST} characters")]
pub struct UnfitPassword;

/// A password as it may be set.
pub(super) fn fit(password: String) -> Result<String, UnfitPassword> {
    if (FEWEST..=MOST).contains(&password.chars().count()) { Ok(password) } else { Err(UnfitPassword) }
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Wrong, or there is no such user, or they have no password: nobody can tell which.
    #[error("number or password are not right")]
    Wrong,
    #[error("too many wrong passwords for this number")]
    TooManyForNumber { now: Moment, until: Moment },
    #[error("too many wrong passwords from this address")]
    TooManyFromAddress(Standing),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A password that was right a moment ago; to be held against what is stored once more by the transaction that acts.
#[derive(Debug)]
pub(super) struct Right {
    pub user: UserId,
    hash: String,
}

impl Right {
    /// False: the password was changed meanwhile.
    pub(super) async fn still_holds(&self, tx: &mut Tx) -> store::Result<bool> {
        sql::still_has_password(tx, self.user, &self.hash).await
    }
}

/// Tries a number's password. It takes the same time for every number, and a failure is counted before the password is
/// looked at, so that nobody gets a free try by hanging up. One at a time: of a hundred parallel wrong tries ten are looked
/// at, and who is right is not refused for others whose outcome is open.
pub(super) async fn try_password(
    app: &App,
    mobile: &Mobile,
    password: String,
    device: &Device,
) -> Result<Right, PasswordError> {
    let now = app.clock.now();
    let throttles = &app.settings.throttles;
    let by_address = Limit::new(throttles.wrong_passwords_by_address, QUARTER_HOUR);
    let reserved = app.limits.reserve("failed-passwords", &device.throttle_key, by_address, now).await;
    let reserved = reserved.map_err(PasswordError::TooManyFromAddress)?;
    let _turn = app.limits.turn(mobile.as_str()).await;
    let allowance = Allowance { name: "wrong-passwords", most: throttles.wrong_passwords, within: QUARTER_HOUR };
    let (mark, known) = crate::transaction!(app.store, |tx| {
        sql::lock_number(tx, mobile).await?;
        if let Err(until) = marks::check(tx, mobile, Mark::WrongPassword, &[allowance], now).await? {
            return Err(PasswordError::TooManyForNumber { now, until });
        }
        let mark = marks::add(tx, mobile, Mark::WrongPassword, now).await?;
        Ok((mark, sql::password_of(tx, mobile).await?))
    })?;
    let (user, hash) = known.map_or((None, None), |(user, hash)| (Some(user), hash));
    let fits = app.keys.passwords.fits(password, hash.clone()).await;
    match (fits, user, hash) {
        (true, Some(user), Some(hash)) => {
            crate::transaction!(app.store, |tx| { sql::delete_mark(tx, mark).await })?;
            reserved.give_back(now).await;
            Ok(Right { user, hash })
        }
        _ => Err(PasswordError::Wrong),
    }
}
