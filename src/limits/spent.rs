//! [`Spent`]: whether the deployment's tokens of a day are spent, without adding all of them up for every question.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use crate::clock::Moment;

/// How long a sum is good for. What other processes spend meanwhile is not seen.
const FRESH: Duration = Duration::from_secs(1);

/// The sum as it was last made, and what came to it here since.
#[derive(Debug, Default)]
pub struct Spent {
    known: tokio::sync::Mutex<Known>,
    /// All that this process ever added.
    here: AtomicI64,
}

#[derive(Debug, Default)]
struct Known {
    tokens: i64,
    made_at: Option<Moment>,
    /// Of what this process added, so much had come before the sum was begun.
    here: i64,
}

impl Spent {
    /// Counts what was stored, after its commit.
    pub fn add(&self, tokens: i64) {
        self.here.fetch_add(tokens, SeqCst);
    }

    /// Whether `most` or more is spent of the day that `now` falls on. `sum` adds up what is stored of it: once a second at
    /// most, however many ask, and again whenever what came since would make the difference.
    pub async fn is_over<E>(
        &self,
        most: i64,
        now: Moment,
        sum: impl Future<Output = Result<i64, E>>,
    ) -> Result<bool, E> {
        let mut known = self.known.lock().await;
        let here = self.here.load(SeqCst);
        let is_fresh = |at: Moment| at <= now && now.since(at) < FRESH && now < at.next_midnight();
        if known.made_at.is_some_and(is_fresh) {
            if known.tokens >= most {
                return Ok(true);
            }
            if known.tokens.saturating_add(here - known.here) < most {
                return Ok(false);
            }
        }
        let tokens = sum.await?;
        *known = Known { tokens, made_at: Some(now), here };
        Ok(tokens >= most)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    const MOST: i64 = 100;

    /// A day's sum somewhere else, and how often it was asked for.
    #[derive(Default)]
    struct Stored {
        tokens: Cell<i64>,
        asked: Cell<u32>,
    }

    impl Stored {
        async fn is_over(&self, spent: &Spent, now: Moment) -> bool {
            let sum = async {
                self.asked.set(self.asked.get() + 1);
                Ok::<_, Infallible>(self.tokens.get())
            };
            let Ok(is_over) = spent.is_over(MOST, now, sum).await;
            is_over
        }
    }

    #[tokio::test]
    async fn a_sum_is_made_once_a_second_and_what_is_spent_here_is_never_missed() {
        let (spent, stored, now) = (Spent::default(), Stored::default(), Moment::from_millis(86_400_000));
        for _ in 0..10 {
            assert!(!stored.is_over(&spent, now).await);
        }
        assert_eq!(stored.asked.get(), 1);
        spent.add(99);
        assert!(!stored.is_over(&spent, now).await);
        assert_eq!(stored.asked.get(), 1);
        // It reaches the limit here, as the stored sum then tells.
        spent.add(1);
        stored.tokens.set(100);
        for _ in 0..10 {
            assert!(stored.is_over(&spent, now).await);
        }
        assert_eq!(stored.asked.get(), 2);
    }

    #[tokio::test]
    async fn what_others_spend_is_seen_a_second_later_and_a_new_day_at_once() {
        let (spent, stored) = (Spent::default(), Stored::default());
        let now = Moment::from_millis(86_400_000 - 500);
        assert!(!stored.is_over(&spent, now.minus(Duration::from_secs(9))).await);
        stored.tokens.set(100);
        assert!(!stored.is_over(&spent, now.minus(Duration::from_millis(8_001))).await);
        assert!(stored.is_over(&spent, now.minus(Duration::from_secs(8))).await);
        assert!(stored.is_over(&spent, now).await);
        stored.tokens.set(0);
        assert!(stored.is_over(&spent, now.plus(Duration::from_millis(499))).await);
        assert!(!stored.is_over(&spent, now.plus(Duration::from_millis(500))).await);
        // A clock that was set back is asked anew, too.
        stored.tokens.set(100);
        assert!(stored.is_over(&spent, now).await);
    }
}
