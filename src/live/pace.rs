//! How long answers take lately: what a reader is told about a reply that waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A moving average, a fifth of it the newest.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Milliseconds; 0 before the first.
    average: AtomicU64,
}

impl Pace {
    pub(super) fn note(&self, took: Duration) {
        let new = u64::try_from(took.as_millis()).unwrap_or(u64::MAX / 8).max(1);
        let mix = |old| Some(if old == 0 { new } else { (old * 4 + new) / 5 });
        let _ = self.average.fetch_update(Relaxed, Relaxed, mix);
    }

    pub(super) fn lately(&self) -> Option<Duration> {
        Some(self.average.load(Relaxed)).filter(|average| *average > 0).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_new() {
        let pace = Pace::default();
        assert_eq!(pace.lately(), None);
        pace.note(Duration::from_secs(10));
        assert_eq!(pace.lately(), Some(Duration::from_secs(10)));
        for _ in 0..50 {
            pace.note(Duration::from_secs(1));
        }
        assert!(pace.lately().is_some_and(|average| average < Duration::from_millis(1100)));
    }
}
