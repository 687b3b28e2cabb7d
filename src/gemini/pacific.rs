//! Midnight where Gemini's daily quotas start anew: <https://ai.google.dev/gemini-api/docs/rate-limits>.
//!
//! The rule of the United States since 2007 is written out, because one zone does not need a time zone database:
//! daylight time from the second Sunday of March to the first Sunday of November, changing at 2:00 in the night,
//! so that midnight itself always exists once.

use time::{Date, Month, OffsetDateTime, Time, Weekday};

use crate::clock::Moment;

/// The next midnight in California (`America/Los_Angeles`), strictly later than `now`.
#[must_use]
pub fn next_pacific_midnight(now: Moment) -> Moment {
    let today = OffsetDateTime::from_unix_timestamp(now.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
    // It is at most one date earlier there than in UTC, so one of these two dates begins next.
    [today, today.next_day().unwrap_or(today)]
        .into_iter()
        .map(midnight)
        .find(|at| *at > now)
        .unwrap_or_else(|| now.next_midnight())
}

fn midnight(date: Date) -> Moment {
    let hours = if is_daylight(date) { 7 } else { 8 };
    Moment::from(date.with_time(Time::MIDNIGHT).assume_utc() + time::Duration::hours(hours))
}

/// Whether `date` *begins* in daylight time: the day it starts does not, the day it ends still does.
fn is_daylight(date: Date) -> bool {
    sunday(date.year(), Month::March, 2) < date && date <= sunday(date.year(), Month::November, 1)
}

fn sunday(year: i32, month: Month, nth: u8) -> Date {
    Date::from_calendar_date(year, month, 1)
        .map(|first| if first.weekday() == Weekday::Sunday { first } else { first.next_occurrence(Weekday::Sunday) })
        .map_or(Date::MAX, |first| first + time::Duration::weeks(i64::from(nth) - 1))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[track_caller]
    fn check(now: OffsetDateTime, expected: OffsetDateTime) {
        assert_eq!(next_pacific_midnight(Moment::from(now)).to_string(), Moment::from(expected).to_string());
    }

    #[test]
    fn winter_is_eight_hours_behind_and_summer_seven() {
        check(datetime!(2026-11-21 07:59:59.999 UTC), datetime!(2026-11-21 08:00 UTC));
        check(datetime!(2026-11-21 08:00 UTC), datetime!(2026-11-22 08:00 UTC));
        check(datetime!(2026-07-04 06:59 UTC), datetime!(2026-07-04 07:00 UTC));
        check(datetime!(2026-07-04 07:00 UTC), datetime!(2026-07-05 07:00 UTC));
        check(datetime!(2026-12-31 23:00 UTC), datetime!(2027-01-01 08:00 UTC));
    }

    #[test]
    fn the_days_on_which_the_clocks_change() {
        // 2026-03-08 has 23 hours, 2026-11-01 has 25.
        check(datetime!(2026-03-08 07:30 UTC), datetime!(2026-03-08 08:00 UTC));
        check(datetime!(2026-03-08 08:00 UTC), datetime!(2026-03-09 07:00 UTC));
        check(datetime!(2026-11-01 06:59 UTC), datetime!(2026-11-01 07:00 UTC));
        check(datetime!(2026-11-01 07:00 UTC), datetime!(2026-11-02 08:00 UTC));
        // Years whose March or November begins with a Sunday.
        check(datetime!(2015-03-08 08:00 UTC), datetime!(2015-03-09 07:00 UTC));
        check(datetime!(2020-11-01 07:00 UTC), datetime!(2020-11-02 08:00 UTC));
    }
}
