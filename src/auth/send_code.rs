//! Sending a code: decided and counted here, carried by a job, so that answer and time are the same for every number.

use std::time::Duration;

use super::code::Purpose;
use super::marks::{self, Allowance, DAY, Mark, TEN_MINUTES};
use super::{Mobile, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::config::OtpDelivery;
use crate::ids::CodeId;
use crate::jobs::{self, Job};
use crate::keys::Codes;
use crate::sms::{self, NotPromised, Promised};
use crate::store::{self, Tx};

/// How long a second request repeats the living code instead of voiding it.
const REPEATED: Duration = Duration::from_mins(1);

/// A code is on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub expires_in: Duration,
    /// When asking again makes a new code.
    pub resend_in: Duration,
    /// The code itself, if it may be shown.
    pub otp: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("too many codes were sent to this number")]
    TooMany { now: Moment, until: Moment },
    #[error("what codes may cost today is spent")]
    BudgetExhausted { now: Moment, until: Moment },
    #[error("too few of the codes to this country are used")]
    CountryHeld { now: Moment, until: Moment },
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Sends a code to a number, whosever it is. `may_show`: the answer goes to somebody who may read codes.
///
/// Counted, paid for and promised in one transaction: a refusal sends nothing and leaves the code before it alive.
pub async fn send_code(app: &App, mobile: &Mobile, purpose: Purpose, may_show: bool) -> Result<Sent, SendError> {
    let now = app.clock.now();
    let going = crate::transaction!(app.store, |tx| {
        sql::lock_number(tx, mobile).await?;
        promise_code(tx, app, mobile, purpose, now).await
    })?;
    Ok(going.sent(app, may_show, now))
}

/// A code that goes out once the transaction that promised it has committed.
pub(super) struct Going {
    code: sql::Unspent,
    price: Option<Promised>,
}

/// Counts, pays for and promises a code; the number is locked. The caller's transaction must not commit after a refusal.
pub(super) async fn promise_code(
    tx: &mut Tx,
    app: &App,
    mobile: &Mobile,
    purpose: Purpose,
    now: Moment,
) -> Result<Going, SendError> {
    if let Err(until) = marks::check(tx, mobile, Mark::Sent, &allowances(app), now).await? {
        return Err(SendError::TooMany { now, until });
    }
    let code = living_or_new(tx, app, mobile, purpose, now).await?;
    marks::add(tx, mobile, Mark::Sent, now).await?;
    if !is_shown(app) {
        jobs::enqueue_house(tx, &Job::SendCode { id: code.id }, now).await?;
    }
    Ok(Going { price: promise(tx, app, mobile, now).await?, code })
}

/// Whether codes are in answers, and nowhere else.
const fn is_shown(app: &App) -> bool {
    matches!(app.settings.auth.otp_delivery, OtpDelivery::Response)
}

impl Going {
    /// Once it has committed.
    pub(super) fn sent(self, app: &App, may_show: bool, now: Moment) -> Sent {
        let Self { code, price } = self;
        if let Some(promised) = price {
            promised.tell();
        }
        if !is_shown(app) {
            app.live.ring_for_jobs();
        } else if !may_show {
            tracing::warn!(to = %code.mobile.masked(), "a code was not shown: the request did not come from this machine. \
                ALLOW_OTP_IN_RESPONSE=true shows codes to everybody");
        }
        let digits = || app.keys.codes.code(&code.nonce, code.mobile.as_str(), code.purpose.as_str());
        Sent {
            expires_in: code.expires_at.since(now),
            resend_in: code.created_at.plus(REPEATED).since(now),
            otp: (is_shown(app) && may_show).then(digits),
        }
    }
}

/// Last of the transaction, because the rows of day and country are everybody's.
async fn promise(tx: &mut Tx, app: &App, mobile: &Mobile, now: Moment) -> Result<Option<Promised>, SendError> {
    if !app.settings.auth.otp_delivery.is_paid() {
        return Ok(None);
    }
    match sms::promise(tx, &app.settings.sms, mobile.country(), now).await? {
        Ok(promised) => Ok(Some(promised)),
        Err(NotPromised::BudgetExhausted { until }) => Err(SendError::BudgetExhausted { now, until }),
        Err(NotPromised::CountryHeld { until }) => Err(SendError::CountryHeld { now, until }),
    }
}

fn allowances(app: &App) -> [Allowance; 2] {
    let throttles = &app.settings.throttles;
    [
        Allowance { name: "codes", most: throttles.codes_in_10_minutes, within: TEN_MINUTES },
        Allowance { name: "codes-a-day", most: throttles.codes_a_day, within: DAY },
    ]
}

async fn living_or_new(
    tx: &mut Tx,
    app: &App,
    mobile: &Mobile,
    purpose: Purpose,
    now: Moment,
) -> store::Result<sql::Unspent> {
    let tries = i64::from(app.settings.throttles.code_tries);
    for code in sql::unspent_codes(tx, mobile, [purpose; 2]).await? {
        let is_living = code.expires_at > now && code.tries < tries;
        if is_living && now < code.created_at.plus(REPEATED) {
            return Ok(code);
        }
        sql::spend_code(tx, code.id, now).await?;
    }
    let code = sql::Unspent {
        id: CodeId::new(now).0,
        mobile: mobile.clone(),
        purpose,
        nonce: Codes::nonce(),
        created_at: now,
        expires_at: now.plus(app.settings.auth.otp_ttl),
        tries: 0,
    };
    sql::insert_code(tx, &code).await?;
    Ok(code)
}
