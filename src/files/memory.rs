//! How much of a process's memory files may take: so much in all, a quarter of it for one person.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::ids::UserId;

/// Shared by all that hold files in memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: u64,
    taken: Mutex<Taken>,
    given_back: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    whole: u64,
    by_user: HashMap<UserId, u64>,
}

impl Memory {
    pub(super) fn of(most: u64) -> Self {
        Self(Arc::new(Inner { most, taken: Mutex::default(), given_back: Notify::new() }))
    }

    /// A person's share, of nothing yet.
    #[must_use]
    pub fn share(&self, user: UserId) -> Share {
        Share { of: self.clone(), user, bytes: 0 }
    }

    /// A share of so much, as soon as there is room; somebody who wants more than there is gets it when nobody else has any.
    pub async fn wait_for(&self, user: UserId, bytes: u64) -> Share {
        let mut share = self.share(user);
        loop {
            let mut given_back = std::pin::pin!(self.0.given_back.notified());
            given_back.as_mut().enable();
            if self.take(user, bytes) || self.take_alone(user, bytes) {
                share.bytes = bytes;
                return share;
            }
            given_back.await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, user: UserId, bytes: u64) -> bool {
        let mut taken = self.taken();
        let own = taken.by_user.get(&user).copied().unwrap_or(0);
        if taken.whole + bytes > self.0.most || own > 0 && own + bytes > self.0.most / 4 {
            return false;
        }
        taken.whole += bytes;
        taken.by_user.insert(user, own + bytes);
        true
    }

    fn take_alone(&self, user: UserId, bytes: u64) -> bool {
        let mut taken = self.taken();
        if taken.whole > 0 {
            return false;
        }
        taken.whole = bytes;
        taken.by_user.insert(user, bytes);
        true
    }
}

/// What one holds of it; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Memory,
    user: UserId,
    bytes: u64,
}

impl Share {
    /// Takes so much more; false when there is no room, and then nothing was taken.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let is_taken = self.of.take(self.user, bytes);
        self.bytes += if is_taken { bytes } else { 0 };
        is_taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.whole -= self.bytes;
        let left = taken.by_user.get(&self.user).map_or(0, |own| own - self.bytes);
        if left == 0 {
            taken.by_user.remove(&self.user);
        } else {
            taken.by_user.insert(self.user, left);
        }
        drop(taken);
        self.of.0.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn someone() -> UserId {
        UserId(uuid::Uuid::now_v7())
    }

    #[test]
    fn nobody_takes_more_than_a_quarter_and_all_together_no_more_than_there_is() {
        let memory = Memory::of(100);
        let ada = someone();
        let (mut one, mut other) = (memory.share(ada), memory.share(ada));
        assert!(one.grow(15) && other.grow(10) && !other.grow(1));
        let mut others: Vec<_> = (0..3).map(|_| memory.share(someone())).collect();
        assert!(others.iter_mut().all(|share| share.grow(25)));
        let mut late = memory.share(someone());
        assert!(!late.grow(1));
        drop(one);
        assert!(late.grow(15) && !late.grow(1));
        drop((other, others, late));
        let taken = memory.taken();
        assert_eq!((taken.whole, taken.by_user.len()), (0, 0));
    }

    #[tokio::test]
    async fn who_waits_gets_it_when_it_is_there_however_much_it_is() {
        let memory = Memory::of(100);
        let first = memory.wait_for(someone(), 80).await;
        let mut waiting = std::pin::pin!(memory.wait_for(someone(), 200));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        let large = waiting.await;
        let mut small = std::pin::pin!(memory.wait_for(someone(), 1));
        assert!(small.as_mut().now_or_never().is_none());
        drop(large);
        drop(small.await);
        memory.wait_for(someone(), 100).await;
    }
}
