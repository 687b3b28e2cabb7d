//! [`Country`]: where a number belongs, which is what prices, limits and figures go by.

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

/// What stands for a number of no country: CLDR's word for an unknown region.
const NOWHERE: &str = "ZZ";

/// The country of a number, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country(pub Option<Region>);

impl Country {
    /// Of a number as it is stored: with a plus it begins with a country's calling code.
    #[must_use]
    pub fn of(number: &str) -> Self {
        let parsed = number.starts_with('+').then(|| PHONE_NUMBER_UTIL.parse(number, None).ok()).flatten();
        Self(parsed.and_then(|number| PHONE_NUMBER_UTIL.get_region_for_number(&number)))
    }
}

impl std::fmt::Display for Country {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(region) => region.fmt(out),
            None => out.write_str(NOWHERE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_its_country() {
        for (number, country) in [
            ("+919876543210", "IN"),
            ("+12025550143", "US"),
            ("+16045550143", "CA"),
            ("+442079460958", "GB"),
            ("9876543210", "ZZ"),
            ("1234567890", "ZZ"),
            ("+", "ZZ"),
        ] {
            assert_eq!(Country::of(number).to_string(), country, "{number}");
        }
    }
}
