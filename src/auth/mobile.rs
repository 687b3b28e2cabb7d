//! [`Mobile`]: a person's number in its one form, however it was typed.

use std::str::FromStr;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

use crate::config::{self, MobileNumbers};
use crate::sms::Country;

/// What a number may look like on the way in, separators aside.
const FEWEST_DIGITS: usize = 7;
const MOST_DIGITS: usize = 15;
/// With the international prefix and the national zero, as people type them.
const MOST_TYPED: usize = 20;

/// E.164 for a valid number; with `MOBILE_NUMBERS=lenient` also any other 7 to 15 digits as they are. What was typed with
/// a plus is never a number of the default country without its code.
#[derive(Clone, PartialEq, Eq, Hash, sqlx::Type, serde::Serialize)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Mobile(String);

/// It is no number, or none that is taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMobile {
    #[error("must be a mobile number: digits, an optional +, spaces, dashes, brackets")]
    NoNumber,
    #[error("must be a valid mobile number")]
    Invalid,
}

impl Mobile {
    pub fn parse(typed: &str, settings: &config::Auth) -> Result<Self, NotAMobile> {
        let (has_plus, digits) = digits(typed)?;
        let country = Region::from_str(&settings.default_country).ok();
        let with_plus = format!("+{digits}");
        let at_home = e164(&digits, country, Line::Mobile);
        let valid = if has_plus { e164(&with_plus, country, Line::Any) } else { at_home.clone() };
        let is_lenient = settings.mobile_numbers == MobileNumbers::Lenient;
        let may_stay = is_lenient && (FEWEST_DIGITS..=MOST_DIGITS).contains(&digits.len());
        match valid {
            Some(valid) => Ok(Self(valid)),
            None if !may_stay => Err(NotAMobile::Invalid),
            // Without its plus it would read as somebody's at home.
            None if at_home.is_some() => Ok(Self(with_plus)),
            None => Ok(Self(digits)),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// No number of any country's: it was taken as it is, which only `MOBILE_NUMBERS=lenient` does.
    #[must_use]
    pub fn is_as_typed(&self) -> bool {
        !self.0.starts_with('+')
    }

    #[must_use]
    pub fn country(&self) -> Country {
        Country::of(&self.0)
    }

    /// For logs: no more than the last two digits.
    #[must_use]
    pub fn masked(&self) -> String {
        format!("…{}", &self.0[self.0.len().saturating_sub(2)..])
    }
}

impl std::fmt::Debug for Mobile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.masked())
    }
}

fn digits(typed: &str) -> Result<(bool, String), NotAMobile> {
    let (mut has_plus, mut digits) = (false, String::new());
    for character in typed.chars() {
        match character {
            '0'..='9' => digits.push(character),
            '+' if !has_plus && digits.is_empty() => has_plus = true,
            '(' | ')' | '[' | ']' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            _ if character.is_whitespace() => {}
            _ => return Err(NotAMobile::NoNumber),
        }
    }
    if digits.len() < FEWEST_DIGITS || digits.len() > MOST_TYPED {
        return Err(NotAMobile::NoNumber);
    }
    Ok((has_plus, digits))
}

/// Which lines are meant. Codes are for mobiles; a landline is believed only with its plus, for its digits alone are more
/// likely made up: `1234567890` is one in India.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Any,
    Mobile,
}

fn e164(number: &str, country: Option<Region>, line: Line) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(number, country).ok()?;
    let is_meant = PHONE_NUMBER_UTIL.is_valid_number(&number)
        && (line == Line::Any
            || matches!(
                PHONE_NUMBER_UTIL.get_number_type(&number),
                PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile
            ));
    is_meant.then(|| PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Environment, Settings};

    fn settings(mobile_numbers: MobileNumbers) -> config::Auth {
        let loaded = Settings::load(&Environment::default()).expect("the defaults are in order");
        config::Auth { mobile_numbers, ..loaded.settings.auth }
    }

    fn lenient(typed: &str) -> Result<String, NotAMobile> {
        Mobile::parse(typed, &settings(MobileNumbers::Lenient)).map(|mobile| mobile.0)
    }

    fn strict(typed: &str) -> Result<String, NotAMobile> {
        Mobile::parse(typed, &settings(MobileNumbers::Strict)).map(|mobile| mobile.0)
    }

    #[test]
    fn a_valid_number_is_e164_however_it_is_typed() {
        let ways = ["9876543210", "+919876543210", "+91 98765 43210", "09876543210", "919876543210", "00919876543210"];
        for typed in ways.into_iter().chain([" (0)98765-43210 ", "[+91] 98765\u{2013}43210", "+91\u{a0}9876543210"]) {
            assert_eq!(lenient(typed).as_deref(), Ok("+919876543210"), "{typed}");
            assert_eq!(strict(typed).as_deref(), Ok("+919876543210"), "{typed}");
        }
        assert_eq!(strict("+44 20 7946 0958").as_deref(), Ok("+442079460958"));
    }

    #[test]
    fn the_older_clients_numbers_are_taken_as_they_are_if_lenient() {
        for typed in ["1234567890", "12345678900", "909090901"] {
            assert_eq!(lenient(typed).as_deref(), Ok(typed));
            assert_eq!(strict(typed), Err(NotAMobile::Invalid));
        }
        assert_eq!(lenient("1 (234) 567-890").as_deref(), Ok("1234567890"));
        assert_eq!(strict("+9876543210"), Err(NotAMobile::Invalid), "Iran has no such number");
        assert_eq!(lenient("+1234567890").as_deref(), Ok("1234567890"));
    }

    #[test]
    fn with_a_plus_it_is_never_a_number_at_home() {
        for typed in ["+7975553034", "+9876543210", "+ 0 98765 43210"] {
            let kept: String = typed.chars().filter(|character| *character != ' ').collect();
            assert_eq!(lenient(typed), Ok(kept), "{typed}");
            assert_eq!(strict(typed), Err(NotAMobile::Invalid), "{typed}");
        }
        assert_eq!(lenient("+1234567890123456"), Err(NotAMobile::Invalid), "sixteen digits");
    }

    #[test]
    fn anything_else_is_refused() {
        for typed in
            ["", "+", "123456", "1234567890123456", "98765x43210", "9876543210+", "++919876543210", "९८७६५४३२१०"]
        {
            assert!(lenient(typed).is_err(), "{typed}");
        }
        assert!(lenient(&"1".repeat(100_000)).is_err());
    }

    #[test]
    fn logs_show_two_digits() {
        let mobile = Mobile::parse("9876543210", &settings(MobileNumbers::Strict)).expect("a number");
        assert_eq!(format!("{mobile:?}"), "…10");
    }

    fn spread(digits: String) -> impl Strategy<Value = String> {
        let gaps =
            prop::collection::vec(prop::sample::select(vec!["", "", "", " ", "-", " (", ") ", "[", "]"]), digits.len());
        gaps.prop_map(move |gaps| {
            digits.chars().zip(gaps).flat_map(|(digit, gap)| gap.chars().chain([digit])).collect()
        })
    }

    fn spread_digits(pattern: &'static str) -> impl Strategy<Value = String> {
        pattern.prop_flat_map(spread)
    }

    proptest! {
        #[test]
        fn one_person_has_one_number(
            typed in "[6-9][0-9]{9}".prop_flat_map(|national| {
                let ways = ["", "0", "91", "+91", "0091"].map(|prefix| spread(format!("{prefix}{national}")));
                (Just(national), ways)
            })
        ) {
            let (national, ways) = typed;
            // Some of these are landlines.
            let Ok(one) = strict(&national) else { return Ok(()) };
            for way in ways {
                prop_assert_eq!(strict(&way), Ok(one.clone()), "{}", way);
                prop_assert_eq!(lenient(&way), Ok(one.clone()), "{}", way);
            }
            // With a plus and without its country it is somebody else's, or nobody's.
            prop_assert_ne!(lenient(&format!("+{national}")), Ok(one));
        }

        #[test]
        fn a_plus_begins_with_the_country(digits in spread_digits("[0-9]{5,18}")) {
            if let Ok(stored) = lenient(&format!("+{digits}")) {
                let plain: String = digits.chars().filter(char::is_ascii_digit).collect();
                let is_indian = stored.starts_with("+91");
                prop_assert!(!is_indian || plain.trim_start_matches('0').starts_with("91"), "{} is {}", digits, stored);
                prop_assert_eq!(strict(&format!("+{digits}")).unwrap_or_else(|_| stored.clone()), stored);
            }
        }

        #[test]
        fn what_is_stored_reads_as_itself(typed in "\\+?[0-9 ()-]{0,24}") {
            if let Ok(stored) = lenient(&typed) {
                prop_assert_eq!(lenient(&stored), Ok(stored.clone()));
            }
        }

        #[test]
        fn nothing_makes_it_panic(typed in "\\PC{0,40}") {
            let _ = lenient(&typed);
        }
    }
}
