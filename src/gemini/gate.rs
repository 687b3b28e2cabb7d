//! The limits that Gemini named lately. They are the project's, so what refuses one question holds back all others to the
//! same model, for as long as was told.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Error, Quota};
use crate::clock::Moment;

/// When Gemini does not say how long.
const PAUSE: Duration = Duration::from_secs(2);
/// Longer delays are believed by those who were told them, and hold nobody else: one odd header must not close a model for
/// days. Only a day's quota may.
const LONGEST: Duration = Duration::from_mins(10);
/// How many may ask in the moment a model opens; in the first second after it twice as many, and so on, so that one more
/// refusal meets few and not all.
const FIRST: u64 = 32;

/// The models that are held, by name.
#[derive(Debug, Default)]
pub struct Gate {
    holds: Mutex<HashMap<String, Hold>>,
}

#[derive(Debug)]
struct Hold {
    until: Moment,
    error: Error,
    /// How many wait for the opening.
    waiting: u64,
}

impl Hold {
    fn place(&mut self, last: Moment) -> Moment {
        if self.until > last {
            return self.until;
        }
        let place = self.until.plus(Duration::from_secs(u64::from((self.waiting / FIRST + 1).ilog2())));
        self.waiting += 1;
        if place < last { place } else { self.until }
    }
}

/// What stands before a question.
#[derive(Debug)]
pub struct Held {
    /// The place of the one who asked, at the opening or seconds after it.
    pub due: Moment,
    /// What Gemini said.
    pub error: Error,
}

impl Gate {
    /// Heeds what Gemini said to a question to `model`. If it spoke of a limit: when the one who asked may ask again, as
    /// [`Gate::held`] tells.
    pub fn heed(&self, model: &str, error: &Error, now: Moment, last: Moment) -> Option<Moment> {
        let Error::Refused(refusal) = error else { return None };
        let until = refusal.not_before(now).unwrap_or_else(|| now.plus(PAUSE));
        if refusal.status != 429 || (until > now.plus(LONGEST) && refusal.quota != Some(Quota::PerDay)) {
            return None;
        }
        let mut holds = self.holds();
        holds.retain(|_, hold| now < hold.until);
        let hold = holds.entry(model.to_owned()).or_insert_with(|| Hold { until, error: error.clone(), waiting: 0 });
        if until > hold.until {
            (hold.until, hold.error) = (until, error.clone());
        }
        Some(hold.place(last))
    }

    /// A place in the line before `model`, for one who can wait until `last`: beyond it, no place is taken, and `due` is
    /// the opening. None: the model may be asked.
    pub fn held(&self, model: &str, now: Moment, last: Moment) -> Option<Held> {
        let mut holds = self.holds();
        let hold = holds.get_mut(model).filter(|hold| now < hold.until)?;
        Some(Held { due: hold.place(last), error: hold.error.clone() })
    }

    fn holds(&self) -> MutexGuard<'_, HashMap<String, Hold>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Refusal;
    use super::*;

    const NOW: Moment = Moment::from_millis(1_795_258_020_000); // 2026-11-21T10:47:00Z

    fn after(seconds: u64) -> Moment {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn refused(status: u16, details: &Value) -> Error {
        Error::refused(Refusal::of_error(&json!({"code": status, "details": details}), None))
    }

    fn told(delay: &str) -> Error {
        refused(429, &json!([{"retryDelay": delay}]))
    }

    fn heed(gate: &Gate, error: &Error, now: Moment) {
        gate.heed("m", error, now, now.plus(LONGEST));
    }

    fn due(gate: &Gate, now: Moment) -> Option<Moment> {
        gate.held("m", now, now.plus(LONGEST)).map(|held| held.due)
    }

    #[test]
    fn a_limit_holds_its_model_until_its_end_and_no_other_one() {
        let gate = Gate::default();
        heed(&gate, &told("38s"), NOW);
        assert_eq!(due(&gate, NOW), Some(after(38)));
        assert_eq!(due(&gate, after(37)), Some(after(38)));
        assert_eq!(due(&gate, after(38)), None);
        assert!(gate.held("other", NOW, after(600)).is_none());
    }

    #[test]
    fn the_longest_of_several_holds() {
        let gate = Gate::default();
        for (delay, until) in [("20s", 20), ("7s", 20), ("38s", 38)] {
            heed(&gate, &told(delay), NOW);
            assert_eq!(due(&gate, NOW), Some(after(until)), "{delay}");
        }
        let minute = json!([{"violations": [{"quotaId": "RequestsPerMinutePerProject"}]}]);
        heed(&gate, &refused(429, &minute), NOW);
        assert_eq!(due(&gate, NOW), Some(after(60)));
        heed(&gate, &told("1s"), after(60));
        assert_eq!(due(&gate, after(60)), Some(after(61)), "what is over counts no more");
    }

    #[test]
    fn a_day_holds_to_its_end_and_an_odd_delay_nobody() {
        let gate = Gate::default();
        heed(&gate, &told("601s"), NOW);
        assert_eq!(due(&gate, NOW), None);
        let day = json!([{"violations": [{"quotaId": "RequestsPerDayPerProject"}]}]);
        heed(&gate, &refused(429, &day), NOW);
        assert_eq!(due(&gate, NOW).map(|at| at.to_string()).as_deref(), Some("2026-11-22T08:00:00.000Z"));
        assert_eq!(gate.held("m", NOW, after(600)).map(|held| held.error.code()), Some("upstream_quota_exhausted"));
    }

    #[test]
    fn only_limits_hold() {
        let gate = Gate::default();
        for error in [refused(503, &json!([{"retryDelay": "9s"}])), refused(404, &json!([])), Error::Cut(String::new())]
        {
            heed(&gate, &error, NOW);
            assert_eq!(due(&gate, NOW), None, "{error}");
        }
        heed(&gate, &refused(429, &json!([])), NOW);
        assert_eq!(due(&gate, NOW), Some(after(2)), "and one without a delay for a moment");
    }

    #[test]
    fn a_thousand_who_wait_come_in_over_seconds() {
        let gate = Gate::default();
        heed(&gate, &told("10s"), NOW);
        let mut at = [0; 6];
        for _ in 1..1000 {
            let place = due(&gate, NOW).expect("a place").since(after(10)).as_secs();
            at[usize::try_from(place).expect("few")] += 1;
        }
        assert_eq!(at, [31, 64, 128, 256, 512, 8]);
        assert_eq!(gate.held("m", NOW, after(12)).map(|held| held.due), Some(after(10)), "never at the last moment");
    }
}
