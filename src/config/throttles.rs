//! How often sign-in may be tried, and what else nobody is signed in for. Numbers are counted in the database, addresses in the throttles.

use super::parse;
use super::reader::Reader;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Throttles {
    /// Wrong codes that end a code.
    pub code_tries: u32,
    /// Wrong codes in 24 hours before each further one costs a growing delay.
    pub wrong_codes_a_day: u32,
    pub codes_in_10_minutes: u32,
    pub codes_a_day: u32,
    /// Wrong passwords in 15 minutes, per number and per address.
    pub wrong_passwords: u32,
    pub wrong_passwords_by_address: u32,
    /// Failed verifications in 5 minutes.
    pub failed_verifications_by_address: u32,
    /// In 10 minutes.
    pub signups_by_address: u32,
    pub codes_by_address: u32,
    pub forgotten_passwords_by_address: u32,
    pub refreshes_by_address: u32,
    pub checkout_returns_by_address: u32,
}

static CODE_TRIES: Setting = Setting::new("OTP_TRIES", Preset::Always("5"), "Wrong tries that end a code.");
static WRONG_CODES: Setting = Setting::new(
    "OTP_WRONG_PER_DAY",
    Preset::Always("20"),
    "Wrong codes per number in 24 hours; each further one costs a delay that doubles, from a minute to an hour.",
);
static CODES_SOON: Setting =
    Setting::new("OTP_SENDS_PER_10_MINUTES", Preset::Always("5"), "Codes sent to a number in 10 minutes.");
static CODES_A_DAY: Setting =
    Setting::new("OTP_SENDS_PER_DAY", Preset::Always("10"), "Codes sent to a number in 24 hours.");
static WRONG_PASSWORDS: Setting =
    Setting::new("PASSWORD_FAILURES_PER_NUMBER", Preset::Always("10"), "Wrong passwords for a number in 15 minutes.");
static WRONG_PASSWORDS_BY_ADDRESS: Setting = Setting::new(
    "PASSWORD_FAILURES_PER_ADDRESS",
    Preset::Always("30"),
    "Wrong passwords from an address (IPv6: its /64) in 15 minutes.",
);
static FAILED_VERIFICATIONS: Setting = Setting::new(
    "VERIFY_FAILURES_PER_ADDRESS",
    Preset::Always("30"),
    "Codes from an address that were not right, in 5 minutes.",
);
static SIGNUPS: Setting =
    Setting::new("SIGNUPS_PER_ADDRESS", Preset::Always("300"), "Sign-ups from an address in 10 minutes.");
static CODES_BY_ADDRESS: Setting =
    Setting::new("OTP_SENDS_PER_ADDRESS", Preset::Always("600"), "Codes asked for from an address in 10 minutes.");
static FORGOTTEN: Setting = Setting::new(
    "FORGOT_PASSWORD_PER_ADDRESS",
    Preset::Always("60"),
    "Forgotten passwords reported from an address in 10 minutes.",
);
static REFRESHES: Setting =
    Setting::new("REFRESHES_PER_ADDRESS", Preset::Always("1200"), "Tokens refreshed from an address in 10 minutes.");
static RETURNS: Setting = Setting::new(
    "CHECKOUT_RETURNS_PER_ADDRESS",
    Preset::Always("120"),
    "Returns from checkout that an address reports in 10 minutes.",
);

pub(super) static SETTINGS: [&Setting; 12] = [
    &CODE_TRIES,
    &WRONG_CODES,
    &CODES_SOON,
    &CODES_A_DAY,
    &WRONG_PASSWORDS,
    &WRONG_PASSWORDS_BY_ADDRESS,
    &FAILED_VERIFICATIONS,
    &SIGNUPS,
    &CODES_BY_ADDRESS,
    &FORGOTTEN,
    &REFRESHES,
    &RETURNS,
];

pub(super) fn read(reader: &mut Reader<'_>) -> Throttles {
    let mut count = |setting| reader.value(setting, parse::number(1..=1_000_000));
    Throttles {
        code_tries: count(&CODE_TRIES),
        wrong_codes_a_day: count(&WRONG_CODES),
        codes_in_10_minutes: count(&CODES_SOON),
        codes_a_day: count(&CODES_A_DAY),
        wrong_passwords: count(&WRONG_PASSWORDS),
        wrong_passwords_by_address: count(&WRONG_PASSWORDS_BY_ADDRESS),
        failed_verifications_by_address: count(&FAILED_VERIFICATIONS),
        signups_by_address: count(&SIGNUPS),
        codes_by_address: count(&CODES_BY_ADDRESS),
        forgotten_passwords_by_address: count(&FORGOTTEN),
        refreshes_by_address: count(&REFRESHES),
        checkout_returns_by_address: count(&RETURNS),
    }
}
