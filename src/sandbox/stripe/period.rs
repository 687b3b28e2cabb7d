//! When periods end: the same day of each month, or the month's last one where there is no such day.

use time::util::days_in_month;
use time::{Date, Month, OffsetDateTime, Time};

use super::catalog::Interval;

const DAY: i64 = 24 * 60 * 60;

/// The first of the moments that lie whole intervals after `anchor` and after `after`.
pub(super) fn next(anchor: i64, interval: Interval, after: i64) -> i64 {
    match interval {
        Interval::Day => whole(anchor, DAY, after),
        Interval::Week => whole(anchor, 7 * DAY, after),
        Interval::Month => months(anchor, 1, after),
        Interval::Year => months(anchor, 12, after),
    }
}

fn whole(anchor: i64, span: i64, after: i64) -> i64 {
    anchor + ((after - anchor).div_euclid(span) + 1) * span
}

fn months(anchor: i64, step: i32, after: i64) -> i64 {
    let (begun, reached) = (moment(anchor), moment(after));
    let behind = (reached.year() - begun.year()) * 12 + i32::from(u8::from(reached.month()))
        - i32::from(u8::from(begun.month()));
    let mut count = behind / step;
    loop {
        let at = later(begun, count * step);
        if at > after {
            return at;
        }
        count += 1;
    }
}

fn later(begun: OffsetDateTime, months: i32) -> i64 {
    let month = i32::from(u8::from(begun.month())) - 1 + months;
    let year = begun.year() + month.div_euclid(12);
    let month = u8::try_from(month.rem_euclid(12) + 1).ok().and_then(|month| Month::try_from(month).ok());
    let month = month.expect("a remainder of twelve is a month");
    let day = begun.day().min(days_in_month(month, year));
    // The calendar ends in the year 9999.
    Date::from_calendar_date(year, month, day).map_or(i64::MAX, |date| at(date, begun.time()))
}

fn at(date: Date, time: Time) -> i64 {
    date.with_time(time).assume_utc().unix_timestamp()
}

fn moment(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_month_has_the_day_it_began_on_or_its_last() {
        let anchor = datetime!(2027-01-31 12:00 UTC).unix_timestamp();
        let mut at = anchor;
        let mut ends = Vec::new();
        for _ in 0..4 {
            at = next(anchor, Interval::Month, at);
            ends.push(moment(at).date().to_string());
        }
        assert_eq!(ends, ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]);
        let leap = datetime!(2028-02-29 00:00 UTC).unix_timestamp();
        assert_eq!(next(leap, Interval::Year, leap), datetime!(2029-02-28 00:00 UTC).unix_timestamp());
        assert_eq!(next(leap, Interval::Week, leap + 1), leap + 7 * DAY);
        assert_eq!(next(leap, Interval::Day, leap), leap + DAY);
        // A trial's end lies before the first period's.
        assert_eq!(next(anchor, Interval::Month, anchor - 5), anchor);
    }
}
