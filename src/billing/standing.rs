//! What a subscription is worth: which statuses are Pro, for how long, and which one counts.

use std::time::Duration;

use crate::clock::Moment;
use crate::stripe::Subscription;

/// A subscription as it was fetched last.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Known {
    pub id: String,
    pub customer: String,
    /// Stripe's word.
    pub status: String,
    pub price: Option<String>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub current_period_start: Option<Moment>,
    pub current_period_end: Option<Moment>,
    pub cancels: bool,
    /// Since when its payment is overdue; only with `past_due`.
    pub overdue_since: Option<Moment>,
    pub created_at: Moment,
    pub latest_invoice: Option<String>,
    /// It was made by a checkout of ours.
    pub is_ours: bool,
}

impl Known {
    pub(super) fn new(sub: Subscription, overdue_since: Option<Moment>) -> Self {
        Self {
            is_ours: sub.user_id.is_some(),
            id: sub.id,
            customer: sub.customer,
            status: sub.status,
            price: sub.price,
            amount: sub.amount,
            currency: sub.currency,
            current_period_start: sub.current_period_start,
            current_period_end: sub.current_period_end,
            cancels: sub.cancels,
            overdue_since,
            created_at: sub.created,
            latest_invoice: sub.latest_invoice,
        }
    }

    /// Whether this makes its person Pro: `trialing`, `active`, and `past_due` until the grace is over. All else does not,
    /// words to come included.
    pub(super) fn is_pro(&self, grace: Duration, now: Moment) -> bool {
        match self.status.as_str() {
            "trialing" | "active" => true,
            "past_due" => self.grace_until(grace).is_none_or(|until| now < until),
            _ => false,
        }
    }

    pub(super) fn grace_until(&self, grace: Duration) -> Option<Moment> {
        self.overdue_since.map(|since| since.plus(grace))
    }

    /// Whether nothing will come of it any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "canceled" | "incomplete_expired")
    }

    /// What is best stands first: paid before overdue, then the oldest.
    fn rank(&self) -> (bool, Moment, &str) {
        (self.status == "past_due", self.created_at, &self.id)
    }
}

/// The best of those that are Pro.
fn best<'k>(subs: impl Iterator<Item = &'k Known>, grace: Duration, now: Moment) -> Option<&'k Known> {
    subs.filter(|sub| sub.is_pro(grace, now)).min_by(|a, b| a.rank().cmp(&b.rank()))
}

/// The subscription that counts: of those that are Pro the best, else the newest. None without any.
pub(super) fn counting(subs: &[Known], grace: Duration, now: Moment) -> Option<&Known> {
    best(subs.iter(), grace, now).or_else(|| subs.iter().max_by_key(|sub| (!sub.is_over(), sub.created_at)))
}

/// Those of our checkout's that somebody pays for beside the best of them. What our checkout did not make is no reason and
/// left alone: it may be for something else.
pub(super) fn surplus(subs: &[Known], grace: Duration, now: Moment) -> impl Iterator<Item = &Known> {
    let ours = || subs.iter().filter(|sub| sub.is_ours);
    let kept = best(ours(), grace, now);
    ours().filter(move |sub| sub.is_pro(grace, now) && kept.is_some_and(|kept| kept.id != sub.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_hours(7 * 24);
    const NOW: Moment = Moment::from_millis(1_795_255_200_000);

    fn known(id: &str, status: &str, age: u64) -> Known {
        Known {
            id: id.to_owned(),
            customer: "cus_1".to_owned(),
            status: status.to_owned(),
            price: None,
            amount: None,
            currency: None,
            current_period_start: None,
            current_period_end: None,
            cancels: false,
            overdue_since: (status == "past_due").then(|| NOW.minus(Duration::from_hours(age))),
            created_at: NOW.minus(Duration::from_hours(age)),
            latest_invoice: None,
            is_ours: true,
        }
    }

    #[test]
    fn only_what_is_paid_or_just_overdue_is_pro() {
        for status in ["trialing", "active"] {
            assert!(known("a", status, 1).is_pro(GRACE, NOW), "{status}");
        }
        for status in ["incomplete", "incomplete_expired", "unpaid", "canceled", "paused", "a word to come", ""] {
            assert!(!known("a", status, 1).is_pro(GRACE, NOW), "{status}");
        }
        let overdue = known("a", "past_due", 7 * 24);
        assert!(!overdue.is_pro(GRACE, NOW) && overdue.is_pro(GRACE, NOW.minus(Duration::from_millis(1))));
        assert!(!known("a", "past_due", 0).is_pro(Duration::ZERO, NOW));
    }

    #[test]
    fn the_oldest_that_is_paid_counts_and_the_others_are_surplus() {
        let mut subs = vec![
            known("ended", "canceled", 90),
            known("overdue", "past_due", 50),
            known("first", "active", 40),
            known("second", "active", 30),
        ];
        assert_eq!(counting(&subs, GRACE, NOW).map(|sub| sub.id.as_str()), Some("first"));
        let left: Vec<&str> = surplus(&subs, GRACE, NOW).map(|sub| sub.id.as_str()).collect();
        assert_eq!(left, ["overdue", "second"]);
        subs[2].is_ours = false;
        let left: Vec<&str> = surplus(&subs, GRACE, NOW).map(|sub| sub.id.as_str()).collect();
        assert_eq!(left, ["overdue"], "another's is neither ended nor a reason to end ours");
        assert_eq!(counting(&subs[..1], GRACE, NOW).map(|sub| sub.id.as_str()), Some("ended"));
        assert!(counting(&[], GRACE, NOW).is_none());
    }
}
