//! The job that carries a code to its person. The code is made again from what is stored; the job never held it.

use std::time::Duration;

use uuid::Uuid;

use super::code::Purpose;
use super::sql;
use crate::app::App;
use crate::clock::Moment;
use crate::jobs::{self, Claim, EndError};
use crate::sms::{self, Country, Message};
use crate::store;

/// The pause after the first try; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// Why a message is not sent again that may have gone out.
const TOO_DEAR: &str = "what codes may cost today is spent, and the first may have gone out";

/// What became of one try.
enum Tried {
    /// Gone, or not to go at all.
    Over,
    Failed {
        why: sms::Error,
        country: Country,
        code_ends_at: Moment,
    },
}

/// Does the job of delivering a code. Repeating it sends the same code again; it is given up after the sender's number of
/// tries, when the code would be over by the next one, where trying again cannot help, and when there is no money for that.
pub async fn deliver(app: &App, claim: &Claim, id: Uuid) -> Result<(), EndError> {
    let tried = send(app, id).await;
    let now = app.clock.now();
    let due = now.plus(PAUSE * 2_u32.pow(u32::try_from(claim.faults.clamp(0, 10)).unwrap_or(0)));
    let (note, due) = match &tried {
        Ok(Tried::Over) => (String::new(), None),
        Ok(Tried::Failed { why, code_ends_at, .. }) => {
            let due = due.max(now.plus(why.retry_after().unwrap_or_default()));
            (why.to_string(), Some(due).filter(|due| why.is_passing() && due < code_ends_at))
        }
        Err(cause) => (cause.to_string(), Some(due)),
    };
    if let Some(due) = due.filter(|_| claim.faults + 1 < app.sms.most_tries()) {
        return try_again(app, claim, &tried, due, &note).await;
    }
    match &tried {
        Ok(Tried::Over) => {}
        Ok(Tried::Failed { why, .. }) if why.is_of_the_number() => {
            tracing::info!(job = %claim.id, why = note, "a code was not delivered");
        }
        Ok(Tried::Failed { .. }) | Err(_) => tracing::error!(job = %claim.id, why = note, "a code was not delivered"),
    }
    crate::transaction!(app.store, |tx| { jobs::finish_house(tx, app.node, claim, &note, now).await })
}

/// Puts the job back for another try. One after a message that may have gone out is paid for like the first.
async fn try_again(
    app: &App,
    claim: &Claim,
    tried: &store::Result<Tried>,
    due: Moment,
    note: &str,
) -> Result<(), EndError> {
    let now = app.clock.now();
    let again = match tried {
        Ok(Tried::Failed { why, country, .. }) if why.may_have_gone_out() => {
            Some(*country).filter(|_| app.settings.auth.otp_delivery.is_paid())
        }
        _ => None,
    };
    let paid: Result<_, EndError> = crate::transaction!(app.store, |tx| {
        let paid = match again {
            Some(country) => Some(sms::promise_again(tx, &app.settings.sms, country, now).await?),
            None => None,
        };
        if matches!(paid, Some(Err(_))) {
            jobs::finish_house(tx, app.node, claim, TOO_DEAR, now).await?;
        } else {
            jobs::retry_house(tx, app.node, claim, due, note).await?;
        }
        Ok(paid)
    });
    match paid? {
        Some(Ok(promised)) => promised.tell(),
        Some(Err(_)) => tracing::error!(job = %claim.id, why = note, "a code was not sent again: {TOO_DEAR}"),
        None => {}
    }
    Ok(())
}

/// Sends a code, unless it is spent, over, or for a person who is not there.
async fn send(app: &App, id: Uuid) -> store::Result<Tried> {
    let mut reader = app.store.read().await?;
    let Some(code) = sql::unspent_code(&mut reader, id).await? else { return Ok(Tried::Over) };
    let now = app.clock.now();
    // Only a user has a password to forget or a deed to confirm; the caller was told the same either way.
    let is_for_users = matches!(code.purpose, Purpose::ResetPassword | Purpose::Confirm);
    let has_reader = !is_for_users || sql::user_by_mobile(&mut reader, &code.mobile).await?.is_some();
    drop(reader);
    if code.expires_at <= now || !has_reader {
        return Ok(Tried::Over);
    }
    let digits = app.keys.codes.code(&code.nonce, code.mobile.as_str(), code.purpose.as_str());
    let message = Message {
        id: code.id,
        to: code.mobile.as_str().to_owned(),
        masked: code.mobile.masked(),
        text: text(&digits, code.purpose, code.expires_at.since(now).as_secs().div_ceil(60)),
        code: digits,
        purpose: code.purpose.as_str(),
        expires_at: code.expires_at,
    };
    let sent = app.sms.send(&message, now).await;
    let outcome = sent.as_ref().err().map_or("sent", sms::Error::word);
    let country = code.mobile.country();
    metrics::counter!("sms_sent_total", "outcome" => outcome, "country" => country.to_string()).increment(1);
    Ok(match sent {
        Ok(()) => Tried::Over,
        Err(why) => Tried::Failed { why, country, code_ends_at: code.expires_at },
    })
}

fn text(code: &str, purpose: Purpose, minutes: u64) -> String {
    let deed = match purpose {
        Purpose::Login => "sign in",
        Purpose::Signup => "sign up",
        Purpose::ResetPassword => "set a new password",
        Purpose::ChangeMobile => "use this number",
        Purpose::Confirm => "confirm what you asked for",
    };
    let span = if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") };
    format!("{code} is your code to {deed}. It is valid for {span}. Give it to nobody.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_one_message_and_is_paid_as_one() {
        let purposes =
            [Purpose::Login, Purpose::Signup, Purpose::ResetPassword, Purpose::ChangeMobile, Purpose::Confirm];
        for purpose in purposes {
            // 160 characters of the GSM alphabet fit into one; these are all in it.
            let text = text("271828", purpose, 60);
            assert!(
                text.len() <= 160
                    && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_alphanumeric() || byte == b'.'),
                "{text}"
            );
        }
    }
}
