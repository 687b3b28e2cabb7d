//! The counters of one process: a number per scope and key, dropped when it says nothing any more.
//!
//! The number is GCRA's theoretical arrival time: the moment at which the key will have all of its limit free again.
//! Memory is bounded: when a shard is full, the keys that are closest to free are forgotten first.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Limit, Standing};
use crate::clock::Moment;

const SHARDS: usize = 16;
/// About 100 bytes each: 26 MB for all shards at the very most.
const KEYS_PER_SHARD: usize = 16 * 1024;

type Key = (&'static str, Box<str>);

#[derive(Debug, Default)]
pub(super) struct Memory {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// Arrival times in microseconds: a share of a limit may be less than a millisecond.
#[derive(Debug, Default)]
struct Shard {
    free_at: HashMap<Key, i64>,
    sweep_at: usize,
}

impl Memory {
    pub(super) fn hit(&self, scope: &'static str, key: &str, limit: Limit, now: Moment) -> Standing {
        self.change(scope, key, limit, now, |free_at, share, span| {
            let next = free_at + share;
            (next <= micros(now) + span).then_some(next)
        })
    }

    pub(super) fn give_back(&self, scope: &'static str, key: &str, limit: Limit, now: Moment) -> Standing {
        self.change(scope, key, limit, now, |free_at, share, _| Some(free_at - share))
    }

    /// `step` sees the arrival time, what one event adds to it and how far it may lie ahead, and may say a new one.
    fn change(
        &self,
        scope: &'static str,
        key: &str,
        limit: Limit,
        now: Moment,
        step: impl FnOnce(i64, i64, i64) -> Option<i64>,
    ) -> Standing {
        let span = i64::try_from(limit.per.as_micros()).unwrap_or(i64::MAX / 4);
        // A limit of nothing: one event would take longer than any span.
        let share = span.checked_div(i64::from(limit.burst)).unwrap_or(span + 1).max(1);
        let key: Key = (scope, key.into());
        let index = usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or(0);
        let mut held = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.free_at.get(&key).copied().unwrap_or(0).max(micros(now));
        let after = step(before, share, span);
        if let Some(free_at) = after {
            held.set(key, free_at, now);
        }
        drop(held);
        standing(scope, limit, (after.unwrap_or(before) - micros(now)).max(0), share, span, after.is_some())
    }
}

impl Shard {
    fn set(&mut self, key: Key, free_at: i64, now: Moment) {
        if free_at <= micros(now) {
            self.free_at.remove(&key);
            return;
        }
        self.free_at.insert(key, free_at);
        if self.free_at.len() > self.sweep_at.max(1024) {
            self.free_at.retain(|_, free_at| *free_at > micros(now));
            if self.free_at.len() > KEYS_PER_SHARD {
                self.forget_half();
            }
            // Sweeping again only after as many new keys keeps its cost a constant per event.
            self.sweep_at = (self.free_at.len() * 2).min(KEYS_PER_SHARD);
        }
    }

    fn forget_half(&mut self) {
        let mut times: Vec<i64> = self.free_at.values().copied().collect();
        let middle = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(middle);
        self.free_at.retain(|_, free_at| *free_at > *middle);
    }
}

/// `ahead`: how far the arrival time lies in the future.
fn standing(scope: &'static str, limit: Limit, ahead: i64, share: i64, span: i64, counted: bool) -> Standing {
    let remaining = u32::try_from((span - ahead) / share).unwrap_or(0).min(limit.burst);
    let wait = if remaining == 0 { ahead + share - span } else { 0 };
    let of = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    Standing {
        scope,
        limit,
        allowed: counted || remaining > 0,
        remaining,
        reset_after: of(ahead),
        retry_after: of(wait),
    }
}

fn micros(moment: Moment) -> i64 {
    moment.millis().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit::new(3, Duration::from_secs(30));

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(1_800_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_burst_is_taken_and_comes_back_evenly() {
        let memory = Memory::default();
        for remaining in [2, 1, 0] {
            let standing = memory.hit("s", "k", LIMIT, at(0));
            assert_eq!((standing.allowed, standing.remaining), (true, remaining));
        }
        let refused = memory.hit("s", "k", LIMIT, at(4));
        assert_eq!((refused.allowed, refused.retry_after), (false, Duration::from_secs(6)));
        assert_eq!(refused.reset_after, Duration::from_secs(26));
        assert!(memory.hit("s", "k", LIMIT, at(10)).allowed);
        assert!(!memory.hit("s", "k", LIMIT, at(19)).allowed);
        assert_eq!(memory.hit("s", "k", LIMIT, at(100)).remaining, 2);
    }

    #[test]
    fn scopes_and_keys_are_apart() {
        let memory = Memory::default();
        for _ in 0..3 {
            memory.hit("s", "k", LIMIT, at(0));
        }
        assert!(!memory.hit("s", "k", LIMIT, at(0)).allowed);
        assert!(memory.hit("s", "other", LIMIT, at(0)).allowed && memory.hit("other", "k", LIMIT, at(0)).allowed);
    }

    #[test]
    fn what_is_given_back_is_free_again_and_never_more_than_the_limit() {
        let memory = Memory::default();
        memory.hit("s", "k", LIMIT, at(0));
        memory.give_back("s", "k", LIMIT, at(0));
        memory.give_back("s", "k", LIMIT, at(0));
        let allowed = (0..10).filter(|_| memory.hit("s", "k", LIMIT, at(0)).allowed).count();
        assert_eq!(allowed, 3);
    }

    #[test]
    fn a_limit_of_nothing_allows_nothing() {
        let memory = Memory::default();
        let none = Limit::new(0, Duration::from_mins(1));
        assert!(!memory.hit("s", "k", none, at(0)).allowed);
    }

    #[test]
    fn memory_is_bounded_and_the_most_used_keys_are_kept() {
        let memory = Memory::default();
        for _ in 0..3 {
            memory.hit("s", "hammering", LIMIT, at(0));
        }
        for n in 0..2 * SHARDS * KEYS_PER_SHARD {
            memory.hit("s", &n.to_string(), LIMIT, at(0));
        }
        let kept: usize = memory.shards.iter().map(|shard| shard.lock().expect("no thread died").free_at.len()).sum();
        assert!(kept <= SHARDS * (KEYS_PER_SHARD + 1), "{kept}");
        assert!(!memory.hit("s", "hammering", LIMIT, at(0)).allowed);
        let later = at(3600);
        for n in 0..4 * SHARDS * KEYS_PER_SHARD {
            memory.hit("s", &format!("later {n}"), LIMIT, later);
        }
        let free: usize = memory.shards.iter().map(|shard| shard.lock().expect("no thread died").free_at.len()).sum();
        assert!(free <= SHARDS * (KEYS_PER_SHARD + 1), "{free}");
    }

    #[test]
    fn parallel_tries_never_pass_a_reservation() {
        let memory = Memory::default();
        let allowed = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..100 {
                threads.spawn(|| {
                    if memory.hit("s", "k", LIMIT, at(0)).allowed {
                        allowed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), 3);
    }
}
