//! What codes may cost: where they may go, at which price, how much a day, and when a country looks like fraud.

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::setting::{Preset, Setting};
use super::{Auth, MobileNumbers};

/// Money is whole millionths of the currency that prices and cap are written in.
#[derive(Clone, Debug)]
pub struct Sms {
    /// None: every country, in development.
    pub countries: Option<Vec<Region>>,
    pub prices: Prices,
    /// For a UTC day and the whole deployment; None: no limit.
    pub daily_cap: Option<i64>,
    pub pumping: Pumping,
}

/// Fraud that lets codes be sent for the messages' own sake: so many in an hour, so few of them used.
#[derive(Clone, Copy, Debug)]
pub struct Pumping {
    pub sends_an_hour: u32,
    pub verified_percent: u32,
    /// What a country gets that looks like it.
    pub held_sends_an_hour: u32,
}

/// What a message costs, by where it goes.
#[derive(Clone, Debug, Default)]
pub struct Prices(Vec<(Place, i64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Region(Region),
    CallingCode(i32),
    Elsewhere,
}

impl Prices {
    /// The country's own price, else that of its calling code, else what stands for all others.
    #[must_use]
    pub fn of(&self, country: Option<Region>) -> Option<i64> {
        let code = country.and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region));
        let places = [country.map(Place::Region), code.map(Place::CallingCode), Some(Place::Elsewhere)];
        let price = |place: Place| self.0.iter().find(|(known, _)| *known == place).map(|(_, price)| *price);
        places.into_iter().flatten().find_map(price)
    }
}

impl Sms {
    #[must_use]
    pub fn allows(&self, country: Option<Region>) -> bool {
        self.countries.as_ref().is_none_or(|allowed| country.is_some_and(|country| allowed.contains(&country)))
    }
}

static COUNTRIES: Setting = Setting::new(
    "SMS_COUNTRIES",
    Preset::Unset("all in development; must be set in production"),
    "Countries that codes may be sent to, two letters each: IN,US. Numbers of others are refused; those of no country, which MOBILE_NUMBERS=lenient takes, are not.",
);
static PRICES: Setting = Setting::new(
    "SMS_PRICES",
    Preset::Unset("none: what is spent is not counted"),
    "What a message costs, by country, calling code or * for all others: IN=0.0042,+1=0.0079,*=0.05.",
);
static DAILY_CAP: Setting = Setting::new(
    "SMS_DAILY_CAP",
    Preset::Unset("no limit"),
    "What the whole deployment may spend on codes in a UTC day, in the currency of SMS_PRICES; beyond it 503 sms_budget_exhausted.",
);
static PUMPING_SENDS: Setting = Setting::new(
    "SMS_PUMPING_SENDS_PER_HOUR",
    Preset::Always("20"),
    "Codes to a country in an hour from which on it is asked how many were used.",
);
static PUMPING_VERIFIED: Setting = Setting::new(
    "SMS_PUMPING_VERIFIED_PERCENT",
    Preset::Always("20"),
    "If fewer of them were used, the country is held; 0 holds none.",
);
static PUMPING_HELD: Setting =
    Setting::new("SMS_PUMPING_HELD_PER_HOUR", Preset::Always("5"), "Codes that a held country gets in an hour.");

pub(super) static SETTINGS: [&Setting; 6] =
    [&COUNTRIES, &PRICES, &DAILY_CAP, &PUMPING_SENDS, &PUMPING_VERIFIED, &PUMPING_HELD];

pub(super) fn read(reader: &mut Reader<'_>, auth: &Auth) -> Sms {
    let sms = Sms {
        countries: reader.optional(&COUNTRIES, countries),
        prices: reader.optional(&PRICES, prices).unwrap_or_default(),
        daily_cap: reader.optional(&DAILY_CAP, micros),
        pumping: Pumping {
            sends_an_hour: reader.value(&PUMPING_SENDS, parse::number(1..=1_000_000)),
            verified_percent: reader.value(&PUMPING_VERIFIED, parse::number(0..=100)),
            held_sends_an_hour: reader.value(&PUMPING_HELD, parse::number(1..=1_000_000)),
        },
    };
    check_prices(reader, &sms, auth.mobile_numbers == MobileNumbers::Lenient);
    if reader.is_production() && auth.otp_delivery.is_paid() {
        if !reader.is_set(&COUNTRIES) {
            reader.problem(COUNTRIES.name, "is missing: production sends codes to no country that is not named");
        }
        if !reader.is_set(&DAILY_CAP) {
            reader.note("SMS_DAILY_CAP: not set; what strangers may spend on codes has no end".to_owned());
        }
    }
    sms
}

/// A cap without a price for each country would be none, nor one without a price for numbers of no country where they are
/// taken.
fn check_prices(reader: &mut Reader<'_>, sms: &Sms, is_lenient: bool) {
    if sms.daily_cap.is_none() || reader.is_set(&PRICES) && sms.prices.0.is_empty() {
        return;
    }
    let mut allowed: Vec<_> = sms.countries.iter().flatten().copied().map(Some).collect();
    if is_lenient || sms.countries.is_none() {
        allowed.push(None);
    }
    let unpriced: Vec<_> = allowed
        .into_iter()
        .filter(|country| sms.prices.of(*country).is_none())
        .map(|country| country.map_or("*".to_owned(), |region| region.to_string()))
        .collect();
    if !unpriced.is_empty() {
        reader.problem(PRICES.name, format!("has no price for {}, which SMS_DAILY_CAP needs", unpriced.join(", ")));
    }
}

fn countries(value: &str) -> Parsed<Vec<Region>> {
    let names = parse::list(value);
    if names.is_empty() {
        return Err("names no country".to_owned());
    }
    names.iter().map(|name| region(name)).collect()
}

fn region(name: &str) -> Parsed<Region> {
    let letters = name.to_ascii_uppercase();
    let known = Region::from_code(&letters).ok();
    let known = known.filter(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(*region).is_some());
    known.ok_or_else(|| format!("has {name}, which is not a country's two letters"))
}

fn prices(value: &str) -> Parsed<Prices> {
    let mut prices = Vec::new();
    for item in parse::list(value) {
        let (name, price) = item.split_once('=').ok_or_else(|| format!("has {item}, which is not like IN=0.0042"))?;
        let place = match name.strip_prefix('+') {
            _ if name == "*" => Place::Elsewhere,
            Some(code) => Place::CallingCode(calling_code(code)?),
            None => Place::Region(region(name)?),
        };
        if prices.iter().any(|(known, _)| *known == place) {
            return Err(format!("has {name} twice"));
        }
        prices.push((place, micros(price)?));
    }
    if prices.is_empty() { Err("names no price".to_owned()) } else { Ok(Prices(prices)) }
}

fn calling_code(digits: &str) -> Parsed<i32> {
    let code = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    code.and_then(|digits| digits.parse().ok())
        .filter(|code| (1..=999).contains(code))
        .ok_or_else(|| format!("has +{digits}, which is not a country's calling code"))
}

/// An amount like `0.0042`, exactly, in millionths.
fn micros(value: &str) -> Parsed<i64> {
    const DECIMALS: usize = 6;
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (1..=9).contains(&whole.len()) && part.len() <= DECIMALS && is_number(whole) && is_number(part);
    let digits = format!("{whole}{part:0<DECIMALS$}");
    digits.parse().ok().filter(|_| fits).ok_or_else(|| "is not an amount like 0.0042, six decimals at most".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(name: &str) -> Region {
        region(name).expect("a country")
    }

    #[test]
    fn amounts_are_exact() {
        let amounts = [("0.0042", 4_200), ("25", 25_000_000), ("0.000001", 1), ("1.5", 1_500_000), ("0", 0)];
        for (text, millionths) in amounts {
            assert_eq!(micros(text), Ok(millionths), "{text}");
        }
        for wrong in ["", ".5", "-1", "+1", "1e3", "0.0000001", "1,5", "1.2.3", "1234567890", "٣"] {
            assert!(micros(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_nearest_price_counts() {
        let list = prices("in=0.0042, +1=0.0079 CA=0.01,*=0.05").expect("prices");
        let price = |name| list.of(Some(known(name)));
        assert_eq!(
            [price("IN"), price("US"), price("CA"), price("GB")].map(Option::unwrap_or_default),
            [4_200, 7_900, 10_000, 50_000]
        );
        assert_eq!(list.of(None), Some(50_000), "a number of no country");
        assert_eq!(prices("IN=1").expect("a price").of(Some(known("US"))), None);
        for wrong in ["", "IN", "IN=", "QQ=1", "+0=1", "+12345=1", "+-1=1", "IN=1,in=2", "IN=x"] {
            assert!(prices(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_country_is_two_letters_that_exist() {
        assert_eq!(countries("in, US"), Ok(vec![known("IN"), known("US")]));
        for wrong in ["", "India", "QQ", "91", "*"] {
            assert!(countries(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(whole in 0_i64..1_000_000_000, part in 0_i64..1_000_000) {
            prop_assert_eq!(micros(&format!("{whole}.{part:06}")), Ok(whole * 1_000_000 + part));
        }

        #[test]
        fn nothing_makes_prices_panic(text in "\\PC{0,40}") {
            let _ = (prices(&text), countries(&text), micros(&text));
        }
    }
}
