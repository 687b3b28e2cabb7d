//! Throttles: how often something may happen, counted by the generic cell rate algorithm.
//!
//! Only what may be forgotten is counted here: a restart forgives everyone. What must survive one (codes, prompts)
//! is counted in the database. Begin at [`Limits::hit`].

mod memory;
mod spent;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Moment;
use crate::http::{ApiError, Code, rate_limit};
use memory::Memory;
pub use spent::Spent;

/// `burst` at once; spent ones come back evenly, all of them within `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub burst: u32,
    pub per: Duration,
}

impl Limit {
    #[must_use]
    pub const fn new(burst: u32, per: Duration) -> Self {
        Self { burst, per }
    }

    #[must_use]
    pub const fn per_minute(burst: u32) -> Self {
        Self::new(burst, Duration::from_mins(1))
    }
}

/// How a key stands with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub scope: &'static str,
    pub limit: Limit,
    pub allowed: bool,
    pub remaining: u32,
    /// When all of the limit is free again.
    pub reset_after: Duration,
    /// When one more is allowed; zero when one is allowed now.
    pub retry_after: Duration,
}

impl Standing {
    /// 429 `rate_limited` with `Retry-After`.
    #[must_use]
    pub fn refusal(&self) -> ApiError {
        let whole = self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0);
        ApiError::new(Code::RateLimited).retry_after(whole)
    }

    /// Shows the standing in the running request's answer.
    fn noted(self) -> Self {
        rate_limit::note(rate_limit::RateLimit {
            name: self.scope,
            quota: self.limit.burst,
            window: self.limit.per,
            remaining: self.remaining,
            reset_after: self.reset_after,
        });
        self
    }
}

impl From<Standing> for ApiError {
    fn from(standing: Standing) -> Self {
        standing.refusal()
    }
}

/// Keys that share a turn wait for one another without need; with so many that is seldom.
const TURNS: usize = 1024;
/// How long a try waits for those before it to be decided.
const DECISION: Duration = Duration::from_secs(10);

/// Every throttle of a process, kept apart by scope and key.
#[derive(Debug)]
pub struct Limits {
    kind: Kind,
    undecided: Undecided,
    turns: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
}

/// Reservations whose outcome is not known yet, by scope and key.
#[derive(Debug, Default)]
struct Undecided {
    counts: Mutex<HashMap<(&'static str, String), usize>>,
    decided: Notify,
}

impl Undecided {
    fn counts(&self) -> MutexGuard<'_, HashMap<(&'static str, String), usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn any(&self, scope: &'static str, key: &str) -> bool {
        self.counts().contains_key(&(scope, key.to_owned()))
    }

    fn begin(&self, scope: &'static str, key: &str) {
        *self.counts().entry((scope, key.to_owned())).or_default() += 1;
    }

    fn end(&self, scope: &'static str, key: &str) {
        if let Entry::Occupied(mut count) = self.counts().entry((scope, key.to_owned())) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.decided.notify_waiters();
    }
}

#[derive(Debug)]
enum Kind {
    Memory(Memory),
}

impl Limits {
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            kind: Kind::Memory(Memory::default()),
            undecided: Undecided::default(),
            turns: std::iter::repeat_with(Default::default).take(TURNS).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Lets this process's tries at one key come one after the other, so that each knows what became of those before it.
    pub async fn turn(&self, key: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let index = usize::try_from(self.hasher.hash_one(key) % TURNS as u64).unwrap_or(0);
        self.turns[index].lock().await
    }

    /// Counts one event. `scope` names the limit, also in the answer's `RateLimit` headers.
    ///
    /// # Errors
    /// The standing, when the limit is reached; the event is then not counted.
    #[expect(clippy::unused_async, reason = "a shared counter is asked over the network")]
    pub async fn hit(&self, scope: &'static str, key: &str, limit: Limit, now: Moment) -> Result<Standing, Standing> {
        let Kind::Memory(memory) = &self.kind;
        let standing = memory.hit(scope, key, limit, now).noted();
        if standing.allowed { Ok(standing) } else { Err(standing) }
    }

    /// For limits that count failures only: counts one now, before the outcome is known, so that parallel tries cannot
    /// all slip past. Success gives it back; a reservation that is dropped stays counted. Where only tries that are still
    /// under way fill the limit, it waits for them: many who are right, behind one address, are nobody's failures.
    ///
    /// # Errors
    /// The standing, when the limit is reached; nothing is then counted.
    pub async fn reserve(
        &self,
        scope: &'static str,
        key: &str,
        limit: Limit,
        now: Moment,
    ) -> Result<Reservation<'_>, Standing> {
        let deadline = Instant::now() + DECISION;
        loop {
            let decided = self.undecided.decided.notified();
            tokio::pin!(decided);
            // Before the look, so that no decision falls between the two.
            decided.as_mut().enable();
            match self.hit(scope, key, limit, now).await {
                Ok(standing) => {
                    self.undecided.begin(scope, key);
                    return Ok(Reservation { limits: self, key: key.to_owned(), standing });
                }
                Err(standing) if !self.undecided.any(scope, key) => return Err(standing),
                Err(standing) => {
                    if tokio::time::timeout_at(deadline, decided).await.is_err() {
                        return Err(standing);
                    }
                }
            }
        }
    }
}

/// A failure that was counted in advance.
#[derive(Debug)]
#[must_use = "success has to be told: give_back"]
pub struct Reservation<'l> {
    limits: &'l Limits,
    key: String,
    pub standing: Standing,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.limits.undecided.end(self.standing.scope, &self.key);
    }
}

impl Reservation<'_> {
    /// It was no failure.
    #[expect(clippy::unused_async, reason = "a shared counter is asked over the network")]
    pub async fn give_back(self, now: Moment) {
        let Kind::Memory(memory) = &self.limits.kind;
        memory.give_back(self.standing.scope, &self.key, self.standing.limit, now).noted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Limit = Limit::new(2, Duration::from_mins(5));
    const NOW: Moment = Moment::from_millis(1_800_000_000_000);

    #[tokio::test]
    async fn who_is_right_waits_for_others_and_is_not_refused() {
        let limits = Limits::in_memory();
        let tries = (0..20).map(|_| async {
            let reserved = limits.reserve("failed", "one address", TWO, NOW).await.expect("nobody failed");
            tokio::task::yield_now().await;
            reserved.give_back(NOW).await;
        });
        futures_util::future::join_all(tries).await;
    }

    #[tokio::test]
    async fn of_many_wrong_at_once_only_the_limit_is_looked_at() {
        let limits = Limits::in_memory();
        let tries = (0..20).map(|_| async {
            let reserved = limits.reserve("failed", "one address", TWO, NOW).await;
            tokio::task::yield_now().await;
            reserved.is_ok()
        });
        let looked_at = futures_util::future::join_all(tries).await.into_iter().filter(|looked_at| *looked_at).count();
        assert_eq!(looked_at, 2);
    }
}
