//! Sign-in: codes, passwords, tokens, numbers.

use std::time::Duration;

use secrecy::SecretString;

use super::delivery::{self, OtpDelivery};
use super::parse::{self, Parsed};
use super::reader::Reader;
use super::sample::is_sample;
use super::setting::{Preset, Setting};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MobileNumbers {
    /// Any 7 to 15 digits, beside what is valid.
    Lenient,
    Strict,
}

#[derive(Clone, Debug)]
pub struct Auth {
    /// The first signs, all verify. At least one once the server runs; 32 bytes or more in production.
    pub secret_keys: Vec<SecretString>,
    /// PEM, Ed25519; the first signs, all verify. Empty: `secret_keys` sign.
    pub jwt_private_keys: Vec<SecretString>,
    pub access_token: Duration,
    pub refresh_token: Duration,
    pub otp_delivery: OtpDelivery,
    pub otp_ttl: Duration,
    pub auto_signup: bool,
    pub legacy_signup: bool,
    pub default_country: String,
    pub mobile_numbers: MobileNumbers,
    pub allow_otp_in_response: bool,
}

const fn by_env(development: &'static str, production: &'static str) -> Preset {
    Preset::ByEnv { development, production }
}

pub(super) static SECRET_KEY: Setting = Setting::new(
    "SECRET_KEY",
    Preset::Unset("made once in development, kept in the data folder; must be set in production"),
    "Signs tokens and codes; 32 random bytes or more. A list apart by commas: the first signs, all verify.",
)
.or(&["JWT_SECRET"])
.secret();
static JWT_PRIVATE_KEY: Setting = Setting::new(
    "JWT_PRIVATE_KEY",
    Preset::Unset("SECRET_KEY signs"),
    "Ed25519 keys (PEM) to sign access tokens with, so that other services can verify them; \\n stands for a new line.",
)
.secret();
static ACCESS_TOKEN: Setting =
    Setting::new("ACCESS_TOKEN_EXPIRE_MINUTES", Preset::Always("15"), "How long an access token lives.");
static REFRESH_TOKEN: Setting =
    Setting::new("REFRESH_TOKEN_EXPIRE_DAYS", Preset::Always("30"), "How long a session lives without being used.");
static OTP_TTL: Setting = Setting::new("OTP_TTL_SECONDS", Preset::Always("300"), "How long a code can be used.");
static AUTO_SIGNUP: Setting =
    Setting::new("AUTO_SIGNUP", Preset::Always("true"), "Whether a verified unknown number becomes a user.");
static LEGACY_SIGNUP: Setting = Setting::new(
    "LEGACY_SIGNUP",
    Preset::Unset("true in development and where MOBILE_NUMBERS is lenient"),
    "Whether a sign-up's password counts without its token, when the code is verified from the same address within 10 minutes; and whether a sign-up of nothing but a number is sent a code.",
);
static DEFAULT_COUNTRY: Setting =
    Setting::new("DEFAULT_COUNTRY", Preset::Always("IN"), "The country of numbers without +, two letters.");
static MOBILE_NUMBERS: Setting = Setting::new(
    "MOBILE_NUMBERS",
    by_env("lenient", "strict"),
    "strict takes valid numbers only, lenient any other 7 to 15 digits too.",
);
pub(super) static ALLOW_OTP_IN_RESPONSE: Setting = Setting::new(
    "ALLOW_OTP_IN_RESPONSE",
    Preset::Always("false"),
    "With OTP_DELIVERY=response: put the code into answers that do not go to loopback too.",
);

pub(super) static SETTINGS: [&Setting; 10] = [
    &SECRET_KEY,
    &JWT_PRIVATE_KEY,
    &ACCESS_TOKEN,
    &REFRESH_TOKEN,
    &OTP_TTL,
    &AUTO_SIGNUP,
    &LEGACY_SIGNUP,
    &DEFAULT_COUNTRY,
    &MOBILE_NUMBERS,
    &ALLOW_OTP_IN_RESPONSE,
];

pub(super) fn read(reader: &mut Reader<'_>) -> Auth {
    const NUMBERS: &[(&str, MobileNumbers)] = &[("lenient", MobileNumbers::Lenient), ("strict", MobileNumbers::Strict)];
    let secrets = |texts: Vec<String>| texts.into_iter().map(SecretString::from).collect();
    let keys = reader.optional(&SECRET_KEY, secret_list);
    if !reader.is_production() && keys.iter().flatten().any(|key| is_sample(key)) {
        reader.note(
            "SECRET_KEY: a sample's; whoever knows it can sign in as anybody, so production refuses it".to_owned(),
        );
    }
    let mobile_numbers = reader.value(&MOBILE_NUMBERS, parse::choice(NUMBERS));
    // Whoever takes the older clients' numbers has the older clients.
    let has_older_clients = !reader.is_production() || mobile_numbers == MobileNumbers::Lenient;
    Auth {
        secret_keys: keys.map(secrets).unwrap_or_default(),
        jwt_private_keys: reader.optional(&JWT_PRIVATE_KEY, private_keys).map(secrets).unwrap_or_default(),
        access_token: reader.value(&ACCESS_TOKEN, parse::minutes(1..=1440)),
        refresh_token: reader.value(&REFRESH_TOKEN, parse::days(1..=365)),
        otp_delivery: delivery::read(reader),
        otp_ttl: reader.value(&OTP_TTL, parse::seconds(30..=3600)),
        auto_signup: reader.value(&AUTO_SIGNUP, parse::boolean),
        legacy_signup: reader.optional(&LEGACY_SIGNUP, parse::boolean).unwrap_or(has_older_clients),
        default_country: reader.value(&DEFAULT_COUNTRY, country),
        mobile_numbers,
        allow_otp_in_response: reader.value(&ALLOW_OTP_IN_RESPONSE, parse::boolean),
    }
}

fn secret_list(value: &str) -> Parsed<Vec<String>> {
    let keys: Vec<String> = value.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
    if keys.is_empty() { Err("names no key".to_owned()) } else { Ok(keys) }
}

/// PEM blocks one after another, with real new lines or `\n`.
fn private_keys(value: &str) -> Parsed<Vec<String>> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    let wrong = || "is not PEM: -----BEGIN PRIVATE KEY----- (made by `openssl genpkey -algorithm ed25519`)".to_owned();
    let text = value.replace("\\n", "\n");
    let mut keys = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(END).filter(|_| rest.starts_with(BEGIN)).ok_or_else(wrong)? + END.len();
        keys.push(format!("{}\n", &rest[..end]));
        rest = rest[end..].trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    }
    Ok(keys)
}

fn country(value: &str) -> Parsed<String> {
    let country = value.to_ascii_uppercase();
    if country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(country)
    } else {
        Err("is not a country's two letters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_taken_one_after_another() {
        let key = "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n";
        let escaped = key.replace('\n', "\\n");
        assert_eq!(private_keys(&format!("{key}{key}")), Ok(vec![key.to_owned(); 2]));
        assert_eq!(private_keys(&format!("{escaped},{escaped}")), Ok(vec![key.to_owned(); 2]));
        assert!(private_keys("MC4C").is_err());
        assert!(private_keys(&key.replace("PRIVATE", "PUBLIC")).is_err());
    }
}
