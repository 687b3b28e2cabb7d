//! How a code reaches its person: in the answer, in the log, through Twilio, or through a sender of the operator's own.

use secrecy::{ExposeSecret, SecretString};

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::sample::is_sample;
use super::setting::{Preset, Setting};

/// How a code reaches its person.
#[derive(Clone, Debug)]
pub enum OtpDelivery {
    /// In the answer itself, to loopback only: development.
    Response,
    /// In the server's log: development.
    Log,
    /// A text message by Twilio.
    Twilio(Twilio),
    /// A POST to the operator's own sender, signed with `secret`.
    Webhook { url: url::Url, secret: SecretString },
}

/// An account at Twilio.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// Without a slash at the end.
    pub base_url: String,
    pub account_sid: String,
    pub auth_token: SecretString,
    pub from: TwilioFrom,
}

/// Whom the messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwilioFrom {
    /// A number of the account's, or a name that it may send under.
    Number(String),
    MessagingService(String),
}

impl OtpDelivery {
    /// Whether codes leave for somebody who is paid for it.
    #[must_use]
    pub const fn is_paid(&self) -> bool {
        matches!(self, Self::Twilio(_) | Self::Webhook { .. })
    }
}

pub(super) static OTP_DELIVERY: Setting = Setting::new(
    "OTP_DELIVERY",
    Preset::ByEnv { development: "response", production: "" },
    "How codes are sent: twilio or webhook; in development also response (in the answer, on loopback) and log.",
);
static TWILIO_ACCOUNT_SID: Setting =
    Setting::new("TWILIO_ACCOUNT_SID", Preset::Unset("none"), "The account that OTP_DELIVERY=twilio sends with.");
static TWILIO_AUTH_TOKEN: Setting =
    Setting::new("TWILIO_AUTH_TOKEN", Preset::Unset("none"), "That account's token.").secret();
static TWILIO_FROM: Setting = Setting::new(
    "TWILIO_FROM",
    Preset::Unset("none"),
    "The number (or name) that messages come from; this or TWILIO_MESSAGING_SERVICE_SID.",
);
static TWILIO_MESSAGING_SERVICE_SID: Setting = Setting::new(
    "TWILIO_MESSAGING_SERVICE_SID",
    Preset::Unset("none"),
    "Twilio's messaging service that chooses the sender.",
);
static TWILIO_BASE_URL: Setting = Setting::new(
    "TWILIO_BASE_URL",
    Preset::Always("https://api.twilio.com"),
    "Another server that speaks Twilio's protocol.",
)
.address();
static SMS_WEBHOOK_URL: Setting =
    Setting::new("SMS_WEBHOOK_URL", Preset::Unset("none"), "Where OTP_DELIVERY=webhook posts each code.").address();
static SMS_WEBHOOK_SECRET: Setting =
    Setting::new("SMS_WEBHOOK_SECRET", Preset::Unset("none"), "What those posts are signed with.").secret();

pub(super) static SETTINGS: [&Setting; 8] = [
    &OTP_DELIVERY,
    &TWILIO_ACCOUNT_SID,
    &TWILIO_AUTH_TOKEN,
    &TWILIO_FROM,
    &TWILIO_MESSAGING_SERVICE_SID,
    &TWILIO_BASE_URL,
    &SMS_WEBHOOK_URL,
    &SMS_WEBHOOK_SECRET,
];

/// What is unfinished falls back to the log, after it was told.
pub(super) fn read(reader: &mut Reader<'_>) -> OtpDelivery {
    let word = reader.optional(&OTP_DELIVERY, word);
    let (twilio, webhook) = (read_twilio(reader), read_webhook(reader));
    let read = match word.as_deref() {
        Some("response") => return OtpDelivery::Response,
        Some("twilio") => twilio,
        Some("webhook") => webhook,
        _ => return OtpDelivery::Log,
    };
    read.unwrap_or_else(|missing| {
        for (setting, what) in missing {
            reader.problem(setting.name, what);
        }
        OtpDelivery::Log
    })
}

/// What production adds: secrets that are no sample's.
pub(super) fn refuse_samples(reader: &mut Reader<'_>, delivery: &OtpDelivery) {
    let (setting, secret) = match delivery {
        OtpDelivery::Twilio(twilio) => (&TWILIO_AUTH_TOKEN, &twilio.auth_token),
        OtpDelivery::Webhook { secret, .. } => (&SMS_WEBHOOK_SECRET, secret),
        OtpDelivery::Response | OtpDelivery::Log => return,
    };
    if is_sample(secret.expose_secret()) {
        reader.problem(setting.name, "is a sample's; production refuses it");
    }
    if let OtpDelivery::Twilio(twilio) = delivery
        && is_sample(&twilio.account_sid)
    {
        reader.problem(TWILIO_ACCOUNT_SID.name, "is a sample's; production refuses it");
    }
}

type Missing = Vec<(&'static Setting, &'static str)>;

fn read_twilio(reader: &mut Reader<'_>) -> Result<OtpDelivery, Missing> {
    const NEEDED: &str = "is missing: OTP_DELIVERY is twilio";
    let account_sid = reader.optional(&TWILIO_ACCOUNT_SID, sid);
    let auth_token = reader.optional(&TWILIO_AUTH_TOKEN, parse::text);
    let number = reader.optional(&TWILIO_FROM, parse::text);
    let service = reader.optional(&TWILIO_MESSAGING_SERVICE_SID, sid);
    let base_url = reader.value(&TWILIO_BASE_URL, base_url);
    let from = match (number, service) {
        (Some(number), None) => Ok(TwilioFrom::Number(number)),
        (None, Some(service)) => Ok(TwilioFrom::MessagingService(service)),
        (Some(_), Some(_)) => Err("is one sender too many beside TWILIO_MESSAGING_SERVICE_SID"),
        (None, None) => Err("is missing: OTP_DELIVERY is twilio (TWILIO_MESSAGING_SERVICE_SID would do)"),
    };
    // What is there and wrong was told already.
    let unset = |setting: &'static Setting| (!reader.is_set(setting)).then_some((setting, NEEDED));
    match (account_sid, auth_token, from) {
        (Some(account_sid), Some(auth_token), Ok(from)) => {
            Ok(OtpDelivery::Twilio(Twilio { base_url, account_sid, auth_token: auth_token.into(), from }))
        }
        (_, _, from) => {
            let is_wrong = reader.is_set(&TWILIO_MESSAGING_SERVICE_SID) && !reader.is_set(&TWILIO_FROM);
            let sender = from.err().filter(|_| !is_wrong).map(|what| (&TWILIO_FROM, what));
            Err([unset(&TWILIO_ACCOUNT_SID), unset(&TWILIO_AUTH_TOKEN), sender].into_iter().flatten().collect())
        }
    }
}

fn read_webhook(reader: &mut Reader<'_>) -> Result<OtpDelivery, Missing> {
    const NEEDED: &str = "is missing: OTP_DELIVERY is webhook";
    let url = reader.optional(&SMS_WEBHOOK_URL, parse::web_address);
    let secret = reader.optional(&SMS_WEBHOOK_SECRET, parse::text);
    if let (Some(url), Some(secret)) = (url, secret) {
        return Ok(OtpDelivery::Webhook { url, secret: secret.into() });
    }
    let unset = |setting: &'static Setting| (!reader.is_set(setting)).then_some((setting, NEEDED));
    Err([unset(&SMS_WEBHOOK_URL), unset(&SMS_WEBHOOK_SECRET)].into_iter().flatten().collect())
}

fn word(value: &str) -> Parsed<String> {
    let word = value.to_ascii_lowercase();
    match word.as_str() {
        "response" | "log" | "twilio" | "webhook" => Ok(word),
        _ => Err("is not response, log, twilio or webhook".to_owned()),
    }
}

/// Twilio's ids stand in addresses as they are.
fn sid(value: &str) -> Parsed<String> {
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(value.to_owned())
    } else {
        Err("is not an id of Twilio's, letters and digits".to_owned())
    }
}

fn base_url(value: &str) -> Parsed<String> {
    parse::web_address(value)?;
    Ok(value.trim_end_matches('/').to_owned())
}
