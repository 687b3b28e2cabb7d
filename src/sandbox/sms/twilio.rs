//! Twilio's call: who may come in, what a message needs, how it is answered.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::kept::{Kept, Way};
use super::script::Fault;
use super::{Sandbox, magic};

const FORM: &str = "application/x-www-form-urlencoded";
/// Twilio's own limit.
const LONGEST_TEXT: usize = 1600;

pub(super) fn router() -> Router<Arc<Sandbox>> {
    Router::new().route("/2010-04-01/Accounts/{sid}/Messages.json", post(send))
}

async fn send(
    State(sandbox): State<Arc<Sandbox>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_form = text_of(&headers, header::CONTENT_TYPE).starts_with(FORM);
    let form: Vec<(String, String)> =
        if is_form { url::form_urlencoded::parse(&body).into_owned().collect() } else { Vec::new() };
    let field = |name: &str| form.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str());
    let given = |name| Some(field(name).to_owned()).filter(|value| !value.is_empty());
    let (from, service) = (given("From"), given("MessagingServiceSid"));
    let asked = Kept { from, service, ..Kept::new(Way::Twilio, field("To"), field("Body")) };
    let checked = admit(&sandbox, &account, &headers).and_then(|()| check(&asked));
    let seconds = sandbox.options.clock.now().seconds();
    let taken = asked.clone();
    let answer = move |id| (Way::Twilio.good(), Json(told(&taken, &account, id, seconds))).into_response();
    sandbox.answer(asked, checked, answer).await
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Basic authentication as the account whose messages they are.
fn admit(sandbox: &Sandbox, account: &str, headers: &HeaderMap) -> Result<(), Fault> {
    let encoded = text_of(headers, header::AUTHORIZATION).strip_prefix("Basic ").unwrap_or_default();
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let is_right = pair.is_some_and(|(sid, token)| match &sandbox.options.account {
        Some((own_sid, own_token)) => sid == own_sid && token == own_token,
        None => !token.is_empty() && !token.starts_with("invalid"),
    });
    if is_right && pair.is_some_and(|(sid, _)| sid == account) {
        return Ok(());
    }
    Err(Fault::of(401, 20003).message("Authenticate"))
}

fn check(asked: &Kept) -> Result<(), Fault> {
    let wrong = |code, message: &str| Err(Fault::of(400, code).message(message));
    let (to, text) = (asked.to.as_str(), asked.text.as_str());
    if asked.from.is_none() && !asked.service.as_ref().is_some_and(|sid| sid.starts_with("MG")) {
        return wrong(21603, "A 'From' phone number is required.");
    }
    if to.is_empty() {
        return wrong(21604, "A 'To' phone number is required.");
    }
    if text.is_empty() {
        return wrong(21602, "Message body is required.");
    }
    if text.chars().count() > LONGEST_TEXT {
        return wrong(21617, "The concatenated message body exceeds the 1600 character limit.");
    }
    if let Some(fault) = magic::refusal(asked.from.as_deref().unwrap_or_default(), to) {
        return Err(fault);
    }
    let digits = to.strip_prefix('+').unwrap_or_default();
    if !(7..=15).contains(&digits.len()) || digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return wrong(21211, &format!("The 'To' number {to} is not a valid phone number."));
    }
    Ok(())
}

fn told(asked: &Kept, account: &str, id: u64, seconds: i64) -> Value {
    let sid = format!("SM{id:032x}");
    let made = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let made = made.format(&Rfc2822).unwrap_or_default();
    json!({
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": asked.text,
        "date_created": made,
        "date_sent": null,
        "date_updated": made,
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "from": asked.from,
        "messaging_service_sid": asked.service,
        "num_media": "0",
        "num_segments": segments(&asked.text).to_string(),
        "price": null,
        "price_unit": "USD",
        "sid": sid,
        "status": if asked.service.is_none() { "queued" } else { "accepted" },
        "subresource_uris": {"media": format!("/2010-04-01/Accounts/{account}/Messages/{sid}/Media.json")},
        "to": asked.to,
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"),
    })
}

/// How many messages it is on the air: 160 letters of the GSM alphabet (here: of ASCII), 70 of any other.
fn segments(text: &str) -> usize {
    let (one, of_many) = if text.is_ascii() { (160, 153) } else { (70, 67) };
    let length = text.encode_utf16().count();
    if length <= one { 1 } else { length.div_ceil(of_many) }
}
