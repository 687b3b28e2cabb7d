//! The job that carries a code to its person. The code is made again from what is stored; the job never held it.

use std::time::Duration;

use uuid::Uuid;

use super::code::Purpose;
use super::sql;
use crate::app::App;
use crate::jobs::{self, Claim, EndError};
use crate::sms::{self, Message};
use crate::store;

/// Tries of one delivery, and the pause after the first; the next is twice as long.
const MOST_TRIES: i64 = 3;
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error(transparent)]
    Sms(#[from] sms::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Does the job of delivering a code. Repeating it sends the same code again; after three tries it is given up.
pub async fn deliver(app: &App, claim: &Claim, id: Uuid) -> Result<(), EndError> {
    let outcome = send(app, id).await;
    let now = app.clock.now();
    let may_pass = match &outcome {
        Err(DeliverError::Sms(error)) => error.is_passing(),
        Err(DeliverError::Store(_)) => true,
        Ok(()) => false,
    };
    let note = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
    if may_pass && claim.faults + 1 < MOST_TRIES {
        let due = now.plus(PAUSE * 2_u32.pow(u32::try_from(claim.faults).unwrap_or(0)));
        return crate::transaction!(app.store, |tx| { jobs::retry_house(tx, app.node, claim, due, &note).await });
    }
    if !note.is_empty() {
        tracing::error!(job = %claim.id, why = note, "a code was not delivered");
    }
    crate::transaction!(app.store, |tx| { jobs::finish_house(tx, app.node, claim, &note, now).await })
}

/// Sends a code, unless it is spent, over, or for a person who is not there.
async fn send(app: &App, id: Uuid) -> Result<(), DeliverError> {
    let mut reader = app.store.read().await?;
    let Some(code) = sql::unspent_code(&mut reader, id).await? else { return Ok(()) };
    let now = app.clock.now();
    // Only a user has a password to forget or a deed to confirm; the caller was told the same either way.
    let is_for_users = matches!(code.purpose, Purpose::ResetPassword | Purpose::Confirm);
    let has_reader = !is_for_users || sql::user_by_mobile(&mut reader, &code.mobile).await?.is_some();
    drop(reader);
    if code.expires_at <= now || !has_reader {
        return Ok(());
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
    app.sms.send(&message, now).await?;
    Ok(())
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
