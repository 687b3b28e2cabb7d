//! The sandbox's time: a clock beneath it, and how far it was moved ahead of that. It never goes back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the sandbox reads its time, in Unix seconds.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    beneath: Beneath,
    ahead: AtomicI64,
}

enum Beneath {
    Machine,
    Held(AtomicI64),
    Another(Box<dyn Fn() -> i64 + Send + Sync>),
}

impl Clock {
    /// The machine's.
    #[must_use]
    pub fn machine() -> Self {
        Self::over(Beneath::Machine)
    }

    /// Stands still until it is moved.
    #[must_use]
    pub fn held(at: i64) -> Self {
        Self::over(Beneath::Held(AtomicI64::new(at)))
    }

    /// Follows another one, such as a test's own.
    #[must_use]
    pub fn following(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self::over(Beneath::Another(Box::new(now)))
    }

    fn over(beneath: Beneath) -> Self {
        Self(Arc::new(Inner { beneath, ahead: AtomicI64::new(0) }))
    }

    #[must_use]
    pub fn now(&self) -> i64 {
        self.beneath().saturating_add(self.0.ahead.load(SeqCst))
    }

    /// The time that whoever receives a signature is likely to have: without what this clock was moved ahead.
    pub(super) fn beneath(&self) -> i64 {
        match &self.0.beneath {
            Beneath::Machine => machine(),
            Beneath::Held(at) => at.load(SeqCst),
            Beneath::Another(now) => now(),
        }
    }

    pub(super) fn advance(&self, seconds: i64) {
        match &self.0.beneath {
            Beneath::Held(at) => at.fetch_add(seconds.max(0), SeqCst),
            Beneath::Machine | Beneath::Another(_) => self.0.ahead.fetch_add(seconds.max(0), SeqCst),
        };
    }
}

#[expect(clippy::disallowed_methods, reason = "a stand-in has a clock of its own, as the service it stands for")]
fn machine() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Clock({})", self.now())
    }
}
