//! Stops: whoever writes a reply hears here, at once, that it is wanted no more. A hint as a bell is one: the truth stands in
//! the database, where the writer looks before it begins and again whenever it renews its lease.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::ids::MessageId;

/// A reply and the attempt that is writing it.
type Attempt = (MessageId, i64);

/// Who is writing here.
#[derive(Debug, Default)]
pub(super) struct Stops(Arc<Mutex<BTreeMap<Attempt, CancellationToken>>>);

/// One attempt at a reply, which can be stopped until this is dropped.
#[derive(Debug)]
pub struct Stop {
    attempt: Attempt,
    writing: Arc<Mutex<BTreeMap<Attempt, CancellationToken>>>,
    told: CancellationToken,
}

impl Stops {
    pub(super) fn hear(&self, reply: MessageId, attempt: i64) -> Stop {
        let (attempt, told) = ((reply, attempt), CancellationToken::new());
        locked(&self.0).insert(attempt, told.clone());
        Stop { attempt, writing: Arc::clone(&self.0), told }
    }

    pub(super) fn tell(&self, reply: MessageId) {
        for told in locked(&self.0).range((reply, i64::MIN)..=(reply, i64::MAX)).map(|(_, told)| told) {
            told.cancel();
        }
    }
}

impl Stop {
    /// Returns when the reply is wanted no more; at once, if that was said before.
    pub async fn told(&self) {
        self.told.cancelled().await;
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        locked(&self.writing).remove(&self.attempt);
    }
}

fn locked(
    writing: &Mutex<BTreeMap<Attempt, CancellationToken>>,
) -> MutexGuard<'_, BTreeMap<Attempt, CancellationToken>> {
    writing.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::Moment;

    #[test]
    fn every_attempt_at_a_reply_is_told_and_no_other_reply() {
        let (stops, start) = (Stops::default(), Moment::from_millis(0));
        let (reply, other) = (MessageId::new(start), MessageId::new(start));
        let (first, second, elsewhere) = (stops.hear(reply, 1), stops.hear(reply, 2), stops.hear(other, 1));
        assert!(first.told().now_or_never().is_none());
        stops.tell(reply);
        for stop in [&first, &second] {
            assert!(stop.told().now_or_never().is_some());
            assert!(stop.told().now_or_never().is_some(), "what was said stays said");
        }
        assert!(elsewhere.told().now_or_never().is_none());
        drop(first);
        let later = stops.hear(reply, 3);
        assert!(later.told().now_or_never().is_none(), "it is not said to those who come after");
        drop((second, elsewhere, later));
        assert!(locked(&stops.0).is_empty(), "nothing stays of who has gone");
    }
}
