//! The memory itself: a few locked maps by user. A leave to keep is void once anything about its map changed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{KEPT, Standing};
use crate::clock::Moment;
use crate::ids::{SessionId, UserId};
use crate::store::{Announced, Signal};

const SHARDS: usize = 64;
/// Users in a shard before it starts over: 64 times this many are a few megabytes.
const MOST: usize = 512;
/// Longer than any commit can take: a writer waits at most 30 s for the connection.
const SETTLED: Duration = Duration::from_mins(1);

/// What [`People::recall`](super::People::recall) found.
#[derive(Debug)]
pub enum Recalled {
    Known(Standing),
    Unknown(Option<Leave>),
}

/// Leave to keep what is read now; void as soon as something changes.
#[derive(Debug)]
pub struct Leave {
    user: UserId,
    version: u64,
}

#[derive(Debug)]
pub(super) struct Memory {
    signal: Signal,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    /// The signal's count when this shard last listened.
    heard: u64,
    version: u64,
    known: HashMap<UserId, Vec<(Moment, Standing)>>,
    changing: HashMap<UserId, Changing>,
}

/// Writers at work on a person, and until when a commit of one that went away may still land.
#[derive(Debug, Default)]
struct Changing {
    writers: usize,
    settled_at: Option<Instant>,
}

impl Memory {
    pub(super) fn new(signal: Signal) -> Self {
        Self { signal, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    fn shard(&self, user: UserId) -> MutexGuard<'_, Shard> {
        // The last bytes of a UUIDv7 are random.
        let index = usize::from(user.0.as_bytes()[15]) % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recall(&self, user: UserId, session: SessionId, now: Moment) -> Recalled {
        let heard = self.signal.count();
        let mut shard = self.shard(user);
        if shard.heard != heard {
            shard.heard = heard;
            shard.version += 1;
            shard.known.clear();
        }
        let sessions = shard.known.get(&user).map(Vec::as_slice).unwrap_or_default();
        match sessions.iter().find(|(_, standing)| standing.session == session) {
            Some((kept_at, standing)) if now.since(*kept_at) < KEPT => Recalled::Known(*standing),
            // Looked at after the count: what a command commits later, it counts up before.
            _ => Recalled::Unknown((!self.signal.is_announced()).then_some(Leave { user, version: shard.version })),
        }
    }

    pub(super) fn keep(&self, leave: &Leave, standing: Standing, now: Moment) {
        let mut shard = self.shard(leave.user);
        if shard.version != leave.version || shard.is_changing(leave.user) {
            return;
        }
        if shard.known.len() >= MOST {
            shard.known.clear();
        }
        let sessions = shard.known.entry(leave.user).or_default();
        sessions.retain(|(kept_at, kept)| kept.session != standing.session && now.since(*kept_at) < KEPT);
        sessions.push((now, standing));
    }

    pub(super) fn begin(&self, user: UserId) {
        self.shard(user).changing.entry(user).or_default().writers += 1;
    }

    pub(super) fn end(&self, user: UserId) {
        let mut shard = self.shard(user);
        shard.known.remove(&user);
        shard.end(user);
    }

    pub(super) fn end_with_rooms(&self, user: UserId, rev: i64) {
        let mut shard = self.shard(user);
        for (_, standing) in shard.known.get_mut(&user).into_iter().flatten() {
            // Two writers may arrive here in the other order than they committed.
            standing.rooms_rev = standing.rooms_rev.max(rev);
        }
        shard.end(user);
    }

    pub(super) fn abandon(&self, user: UserId) {
        let mut shard = self.shard(user);
        shard.changing.entry(user).or_default().settled_at = Some(Instant::now() + SETTLED);
        shard.known.remove(&user);
        shard.end(user);
    }

    pub(super) fn announce(&self) -> Option<Announced> {
        self.signal.announce()
    }
}

impl Shard {
    fn is_changing(&self, user: UserId) -> bool {
        self.changing.get(&user).is_some_and(|changing| {
            changing.writers > 0 || changing.settled_at.is_some_and(|settled_at| Instant::now() < settled_at)
        })
    }

    fn end(&mut self, user: UserId) {
        self.version += 1;
        if let Some(changing) = self.changing.get_mut(&user) {
            changing.writers = changing.writers.saturating_sub(1);
        }
        self.changing.retain(|_, changing| {
            changing.writers > 0 || changing.settled_at.is_some_and(|settled_at| Instant::now() < settled_at)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{Change, Plan, Role};

    const NOW: Moment = Moment::from_millis(1_000_000);

    fn memory(folder: &tempfile::TempDir) -> Memory {
        Memory::new(Signal::beside(&folder.path().join("db")).expect("a folder to write to"))
    }

    fn standing() -> Standing {
        Standing {
            session: SessionId::new(NOW),
            user: UserId::new(NOW),
            role: Role::User,
            plan: Plan::Basic,
            is_suspended: false,
            rooms_rev: 5,
            expires_at: NOW.plus(KEPT * 1000),
            last_seen_at: NOW,
            generation: 1,
            used_generation: 1,
        }
    }

    fn leave(memory: &Memory, of: &Standing) -> Leave {
        match memory.recall(of.user, of.session, NOW) {
            Recalled::Unknown(Some(leave)) => leave,
            other => panic!("it should be unknown: {other:?}"),
        }
    }

    fn knows(memory: &Memory, of: &Standing, now: Moment) -> Option<i64> {
        match memory.recall(of.user, of.session, now) {
            Recalled::Known(standing) => Some(standing.rooms_rev),
            Recalled::Unknown(_) => None,
        }
    }

    #[test]
    fn what_was_kept_is_known_until_it_is_old() {
        let folder = tempfile::tempdir().expect("a folder");
        let (memory, ada) = (memory(&folder), standing());
        memory.keep(&leave(&memory, &ada), ada, NOW);
        assert_eq!(knows(&memory, &ada, NOW), Some(5));
        assert_eq!(knows(&memory, &ada, NOW.plus(KEPT)), None);
    }

    #[test]
    fn a_slow_reader_does_not_put_back_what_a_writer_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (memory, ada) = (memory(&folder), standing());
        let slow = leave(&memory, &ada);
        Change::new(Some(&memory), ada.user).all();
        memory.keep(&slow, ada, NOW);
        assert_eq!(knows(&memory, &ada, NOW), None);
        let slow = leave(&memory, &ada);
        Change::new(Some(&memory), ada.user).rooms(6);
        memory.keep(&slow, ada, NOW);
        assert_eq!(knows(&memory, &ada, NOW), None);
    }

    #[test]
    fn what_is_read_during_a_change_is_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (memory, ada) = (memory(&folder), standing());
        let change = Change::new(Some(&memory), ada.user);
        memory.keep(&leave(&memory, &ada), ada, NOW);
        assert_eq!(knows(&memory, &ada, NOW), None);
        change.rooms(6);
        memory.keep(&leave(&memory, &ada), ada, NOW);
        assert_eq!(knows(&memory, &ada, NOW), Some(5));
    }

    #[test]
    fn a_change_of_rooms_moves_the_revision_and_never_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (memory, ada) = (memory(&folder), standing());
        memory.keep(&leave(&memory, &ada), ada, NOW);
        let (first, second) = (Change::new(Some(&memory), ada.user), Change::new(Some(&memory), ada.user));
        second.rooms(7);
        first.rooms(6);
        assert_eq!(knows(&memory, &ada, NOW), Some(7));
    }

    #[test]
    fn after_an_abandoned_change_nothing_is_kept_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let (memory, ada, bob) = (memory(&folder), standing(), standing());
        memory.keep(&leave(&memory, &ada), ada, NOW);
        drop(Change::new(Some(&memory), ada.user));
        Change::new(Some(&memory), bob.user).all();
        memory.keep(&leave(&memory, &ada), ada, NOW);
        assert_eq!(knows(&memory, &ada, NOW), None);
    }

    #[test]
    fn a_command_beside_the_server_is_heard_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (server, command, ada) = (memory(&folder), memory(&folder), standing());
        let slow = leave(&server, &ada);
        server.keep(&leave(&server, &ada), ada, NOW);
        assert_eq!(knows(&server, &ada, NOW), Some(5));
        let change = Change::beside(Some(&command), ada.user);
        assert!(matches!(server.recall(ada.user, ada.session, NOW), Recalled::Unknown(None)));
        server.keep(&slow, ada, NOW);
        assert_eq!(knows(&server, &ada, NOW), None, "what was read before the commit is forgotten");
        change.all();
        server.keep(&leave(&server, &ada), ada, NOW);
        assert_eq!(knows(&server, &ada, NOW), Some(5));
    }

    #[test]
    fn a_command_that_dies_after_its_commit_has_been_heard() {
        let folder = tempfile::tempdir().expect("a folder");
        let (server, command, ada) = (memory(&folder), memory(&folder), standing());
        server.keep(&leave(&server, &ada), ada, NOW);
        let (first, second) = (Change::beside(Some(&command), ada.user), Change::beside(Some(&command), ada.user));
        for dying in [first, second] {
            assert!(matches!(server.recall(ada.user, ada.session, NOW), Recalled::Unknown(None)));
            drop(dying);
        }
        server.keep(&leave(&server, &ada), ada, NOW);
        assert_eq!(knows(&server, &ada, NOW), Some(5), "and afterwards the server remembers again");
    }

    #[test]
    fn it_stays_small() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = memory(&folder);
        for _ in 0..MOST * SHARDS * 2 {
            let somebody = standing();
            memory.keep(&leave(&memory, &somebody), somebody, NOW);
        }
        let all: usize = memory.shards.iter().map(|shard| shard.lock().expect("no panic").known.len()).sum();
        assert!(all <= MOST * SHARDS, "{all}");
    }
}
