//! Twilio's Messages API: one form-encoded POST per message, answered with 201.
//!
//! Its errors are judged here by their `code` (Twilio's "Error and Warning Dictionary") and else by their status. What it
//! says in words goes no further: the number stands in it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Error, Message, error};
use crate::config::{self, TwilioFrom};

const PATIENCE: Duration = Duration::from_secs(10);
/// An error is a few hundred bytes; a longer one is not Twilio's.
const LONGEST_ERROR: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Twilio {
    url: String,
    account_sid: String,
    auth_token: SecretString,
    from: (&'static str, String),
    client: reqwest::Client,
}

/// What Twilio says of a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    code: Option<i64>,
}

impl Twilio {
    pub(super) fn new(account: &config::Twilio) -> Result<Self, reqwest::Error> {
        // Credentials go to the address that was set, not to where that points.
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        let config::Twilio { base_url, account_sid, auth_token, from } = account;
        Ok(Self {
            url: format!("{base_url}/2010-04-01/Accounts/{account_sid}/Messages.json"),
            account_sid: account_sid.clone(),
            auth_token: auth_token.clone(),
            from: match from {
                TwilioFrom::Number(number) => ("From", number.clone()),
                TwilioFrom::MessagingService(sid) => ("MessagingServiceSid", sid.clone()),
            },
            client,
        })
    }

    pub(super) async fn post(&self, message: &Message) -> Result<(), Error> {
        let (sender, from) = &self.from;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("To", &message.to)
            .append_pair(sender, from)
            .append_pair("Body", &message.text)
            .finish();
        let answer = self
            .client
            .post(&self.url)
            .basic_auth(&self.account_sid, Some(self.auth_token.expose_secret()))
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(reqwest::header::ACCEPT, "application/json")
            .body(form)
            .send()
            .await
            .map_err(|error| Error::Unreachable(error.without_url()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let (status, retry_after) = (answer.status().as_u16(), error::retry_after(&answer));
        Err(judge(status, code(answer).await, retry_after))
    }
}

/// The code of a refusal, as far as it is one of Twilio's.
async fn code(mut answer: reqwest::Response) -> Option<i64> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > LONGEST_ERROR {
            return None;
        }
    }
    serde_json::from_slice::<Refusal>(&body).unwrap_or_default().code
}

fn judge(status: u16, code: Option<i64>, retry_after: Option<Duration>) -> Error {
    match (status, code) {
        // Not a number; not a mobile's.
        (_, Some(code @ (21211 | 21614))) => Error::NotANumber { code },
        (_, Some(21610)) => Error::OptedOut,
        (_, Some(20429)) => Error::TooMany { status, retry_after },
        (401, _) | (_, Some(20003)) => Error::BadCredentials,
        _ => match Error::of_status(status, retry_after) {
            Error::Refused { status, .. } => Error::Refused { status, code },
            judged => judged,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        for (status, code, word, is_passing) in [
            (400, Some(21211), "not_a_number", false),
            (400, Some(21614), "not_a_number", false),
            (400, Some(21610), "opted_out", false),
            (429, Some(20429), "too_many", true),
            (400, Some(20429), "too_many", true),
            (429, None, "too_many", true),
            (401, Some(20003), "bad_credentials", false),
            (401, None, "bad_credentials", false),
            (403, Some(20003), "bad_credentials", false),
            (500, None, "unavailable", true),
            (503, Some(20500), "unavailable", true),
            (400, Some(21606), "refused", false),
            (404, Some(20404), "refused", false),
            (302, None, "refused", false),
        ] {
            let judged = judge(status, code, None);
            assert_eq!((judged.word(), judged.is_passing()), (word, is_passing), "{status} {code:?}");
        }
        assert_eq!(judge(400, Some(21606), None).to_string(), "the sender answered 400 (code 21606)");
    }

    #[test]
    fn nothing_shows_the_token() {
        let account = config::Twilio {
            base_url: "https://api.twilio.com".into(),
            account_sid: "AC1".into(),
            auth_token: "hunter2".into(),
            from: TwilioFrom::Number("+15005550006".into()),
        };
        let twilio = Twilio::new(&account).expect("a client");
        let shown = format!("{account:?} {twilio:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(twilio.url, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json");
    }
}
