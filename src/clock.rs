//! Time. Everything that asks what time it is asks the [`Clock`] of the [`App`](crate::app::App);
//! tests hold it still. Moments are whole milliseconds, so that both engines give back what was stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Decode, Encode, Postgres, Sqlite, Type};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::sync::watch;
// The monotonic clock, which tests can move on.
use tokio::time::Instant;

/// How far the measured offset to the database's clock may be off before leases and the day are not trusted.
pub const UNSURE: Duration = Duration::from_secs(1);

/// How long an offset is good for.
const GOOD: i64 = 60_000;
/// And how long it is kept before one that is less exact, so that it is renewed well before it is over.
const KEPT: i64 = 30_000;

const RFC3339_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A point in time: milliseconds since 1970-01-01T00:00Z.
///
/// JSON: RFC 3339 in UTC with milliseconds. PostgreSQL: `timestamptz`. SQLite: an integer, so that order is order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// Earlier than anything that happened here.
    pub const FIRST: Self = Self(0);
    /// Later than any moment that either engine can store beside it (the year 9999).
    pub const LAST: Self = Self(253_402_300_799_999);

    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as JWTs and webhook signatures count.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(span)))
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(span)))
    }

    /// Time from `earlier` to this moment; zero when it lies later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The UTC day this moment falls on, `2026-11-21`.
    #[must_use]
    pub fn day(self) -> String {
        self.to_string()[..10].to_owned()
    }

    /// The next midnight UTC, strictly later than this moment.
    #[must_use]
    pub const fn next_midnight(self) -> Self {
        Self((self.0.div_euclid(DAY) + 1) * DAY)
    }

    fn date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

fn whole_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl std::fmt::Display for Moment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.date_time().format(RFC3339_MILLIS).map_err(|_| std::fmt::Error)?;
        out.write_str(&text)
    }
}

impl From<OffsetDateTime> for Moment {
    fn from(at: OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl utoipa::PartialSchema for Moment {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, milliseconds"))
            .examples(["2026-11-21T10:47:00.000Z"])
            .into()
    }
}

impl utoipa::ToSchema for Moment {}

impl Type<Sqlite> for Moment {
    fn type_info() -> sqlx::sqlite::SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
    fn compatible(ty: &sqlx::sqlite::SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(ty)
    }
}

impl Encode<'_, Sqlite> for Moment {
    fn encode_by_ref(&self, buf: &mut sqlx::sqlite::SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Sqlite>>::encode_by_ref(&self.0, buf)
    }
}

impl<'r> Decode<'r, Sqlite> for Moment {
    fn decode(value: sqlx::sqlite::SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<Sqlite>>::decode(value).map(Self)
    }
}

impl Type<Postgres> for Moment {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buf: &mut sqlx::postgres::PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <OffsetDateTime as Encode<Postgres>>::encode_by_ref(&self.date_time(), buf)
    }
}

impl<'r> Decode<'r, Postgres> for Moment {
    fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <OffsetDateTime as Decode<Postgres>>::decode(value).map(Self::from)
    }
}

/// The one source of "now".
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// This machine's clock: the embedded shape, where one process owns the data.
    System,
    /// Local monotonic time plus an offset to the database's clock, so that nodes agree whatever their own clocks say.
    Database { start: Instant, offset: AtomicI64, measured: AtomicI64, error: AtomicI64 },
    /// Stands still until a test moves it.
    Held(watch::Sender<i64>),
}

impl Clock {
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Kind::System))
    }

    /// Follows a database; until the first [`Clock::follow`] it is not [`Clock::is_sure`].
    #[must_use]
    pub fn of_database() -> Self {
        let (offset, measured, error) = (AtomicI64::new(system_millis()), AtomicI64::new(0), AtomicI64::new(i64::MAX));
        Self(Arc::new(Kind::Database { start: Instant::now(), offset, measured, error }))
    }

    #[must_use]
    pub fn held(at: Moment) -> Self {
        Self(Arc::new(Kind::Held(watch::channel(at.0).0)))
    }

    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(match &*self.0 {
            Kind::System => system_millis(),
            Kind::Database { start, offset, .. } => offset.load(SeqCst) + whole_millis(start.elapsed()),
            Kind::Held(at) => *at.borrow(),
        })
    }

    /// Takes in one reading of the database's clock, `asked` being the local time just before the question; whether it was
    /// a quick one. The truth lies within the time the question took: one that took long does not replace a better one that
    /// is still good.
    pub fn follow(&self, asked: Instant, database: Moment) -> bool {
        let Kind::Database { start, offset, measured, error } = &*self.0 else { return true };
        let round_trip = whole_millis(asked.elapsed());
        let (now, may_be_off) = (whole_millis(start.elapsed()), round_trip / 2);
        let is_quick = may_be_off <= whole_millis(UNSURE);
        let kept_for = if is_quick { KEPT } else { GOOD };
        if may_be_off <= error.load(SeqCst) || now - measured.load(SeqCst) >= kept_for {
            offset.store(database.0 + round_trip / 2 - now, SeqCst);
            error.store(may_be_off, SeqCst);
            measured.store(now, SeqCst);
        }
        is_quick
    }

    /// Whether leases and the quota's day may be taken from this clock: measured within the last minute, to within a second.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        match &*self.0 {
            Kind::Database { start, measured, error, .. } => {
                let age = whole_millis(start.elapsed()) - measured.load(SeqCst);
                error.load(SeqCst) <= whole_millis(UNSURE) && age < GOOD
            }
            Kind::System | Kind::Held(_) => true,
        }
    }

    /// Whether this clock follows a database and wants [`Clock::follow`] every ten seconds.
    #[must_use]
    pub fn follows_database(&self) -> bool {
        matches!(*self.0, Kind::Database { .. })
    }

    /// Returns when [`Clock::now`] has reached `until`.
    pub async fn sleep_until(&self, until: Moment) {
        if let Kind::Held(at) = &*self.0 {
            // The sender lives in `self`, so waiting cannot fail.
            let _ = at.subscribe().wait_for(|now| *now >= until.0).await;
        } else {
            tokio::time::sleep(until.since(self.now())).await;
        }
    }

    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now().plus(span)).await;
    }

    /// Sets a held clock back, as somebody may do with a machine's.
    pub fn set_back(&self, by: Duration) {
        if let Kind::Held(at) = &*self.0 {
            at.send_modify(|now| *now -= whole_millis(by));
        }
    }

    /// Moves a held clock; any other one goes by itself.
    pub fn advance(&self, by: Duration) {
        if let Kind::Held(at) = &*self.0 {
            at.send_modify(|now| *now += whole_millis(by));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
fn system_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, whole_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc_with_milliseconds() {
        assert_eq!(Moment::from_millis(1_795_258_020_005).to_string(), "2026-11-21T10:47:00.005Z");
        assert_eq!(Moment::from_millis(1_795_258_020_005).day(), "2026-11-21");
    }

    #[test]
    fn midnight_is_strictly_later() {
        let midnight = Moment::from_millis(1_795_219_200_000);
        assert_eq!(midnight.minus(Duration::from_millis(1)).next_midnight(), midnight);
        assert_eq!(midnight.next_midnight(), midnight.plus(Duration::from_hours(24)));
    }

    /// A question that took so long.
    fn asked_for(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the machine is up for longer")
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_clock_is_unsure_until_it_was_measured_quickly() {
        let clock = Clock::of_database();
        assert!(!clock.is_sure());
        assert!(!clock.follow(asked_for(4), Moment::from_millis(1_000)));
        assert!(!clock.is_sure());
        assert!(clock.follow(Instant::now(), Moment::from_millis(5_000)));
        assert!(clock.is_sure());
        assert_eq!(clock.now().millis(), 5_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_measurement_spoils_no_good_clock_before_its_minute_is_over() {
        let clock = Clock::of_database();
        clock.follow(Instant::now(), Moment::from_millis(5_000));
        for second in 1..60 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!clock.follow(asked_for(4), Moment::from_millis(90_000)));
            assert!(clock.is_sure(), "after {second} seconds");
            assert_eq!(clock.now().millis(), 5_000 + 1_000 * second);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!clock.is_sure(), "a minute without a quick one");
        clock.follow(asked_for(4), Moment::from_millis(90_000));
        assert_eq!((clock.now().millis(), clock.is_sure()), (92_000, false));
        clock.follow(Instant::now(), Moment::from_millis(5_000));
        assert_eq!((clock.now().millis(), clock.is_sure()), (5_000, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_less_exact_measurement_is_taken_well_before_the_better_one_is_over() {
        let clock = Clock::of_database();
        clock.follow(Instant::now(), Moment::from_millis(5_000));
        for (after, shows) in [(10, 15_000), (10, 25_000), (9, 34_000), (1, 90_500)] {
            tokio::time::advance(Duration::from_secs(after)).await;
            assert!(clock.follow(asked_for(1), Moment::from_millis(90_000)));
            assert_eq!((clock.now().millis(), clock.is_sure()), (shows, true));
        }
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(clock.is_sure(), "it has a minute of its own");
    }
}
