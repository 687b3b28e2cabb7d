//! What this process remembers of the people it serves: who they are, which of their sessions live, how new their room
//! list is. One small read per request; in the embedded shape it costs no statement.
//!
//! Nothing here is older than what was committed. On PostgreSQL nothing is remembered: other nodes write as well. With
//! SQLite one process serves, and three things keep its memory exact: whoever changes something about a person holds a
//! [`Change`] from before the transaction until after it, what was read meanwhile is not kept, and commands that run
//! beside the server announce theirs. Begin at [`People::recall`].

mod change;
mod memory;
mod read;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::clock::Moment;
use crate::ids::{SessionId, UserId};
use crate::store::{Result, Signal, Store};

pub use change::Change;
use memory::Memory;
pub use memory::{Leave, Recalled};
pub use read::standing;

/// The most that anything can be behind when a command beside the server could not announce itself: the signal's file was
/// taken away, or the disk is full.
const KEPT: Duration = Duration::from_secs(10);

crate::words! {
    /// What a user may do beyond what everybody may.
    pub enum Role { User = "user", Admin = "admin" }
}

crate::words! {
    pub enum Plan { Basic = "basic", Pro = "pro" }
}

/// A session that has not ended, and its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Standing {
    pub session: SessionId,
    pub user: UserId,
    pub role: Role,
    pub plan: Plan,
    pub is_suspended: bool,
    pub rooms_rev: i64,
    pub expires_at: Moment,
    pub last_seen_at: Moment,
    pub generation: i64,
    pub used_generation: i64,
}

/// The memory of one process; empty for ever where it would not be exact.
#[derive(Debug)]
pub struct People {
    memory: Option<Memory>,
    readings: Arc<read::Readings>,
}

impl People {
    /// Remembers if the database is a file with a signal, by which other processes are heard.
    #[must_use]
    pub fn new(signal: Option<Signal>) -> Self {
        Self { memory: signal.map(Memory::new), readings: Arc::default() }
    }

    /// What is remembered of a session, or leave to keep what the database says.
    pub fn recall(&self, user: UserId, session: SessionId, now: Moment) -> Recalled {
        self.memory.as_ref().map_or(Recalled::Unknown(None), |memory| memory.recall(user, session, now))
    }

    /// How a session stands by the database now; none when it has ended. `tasks` is where the reading runs.
    pub async fn read(&self, store: &Store, tasks: &TaskTracker, session: SessionId) -> Result<Option<Standing>> {
        self.readings.read(store, tasks, session).await
    }

    /// Keeps what was read with the leave that [`People::recall`] gave, unless the person changed meanwhile.
    pub fn keep(&self, leave: Option<Leave>, standing: Standing, now: Moment) {
        if let (Some(memory), Some(leave)) = (&self.memory, leave) {
            memory.keep(&leave, standing, now);
        }
    }

    /// To be held around every transaction that changes a user, their sessions or their rooms.
    pub fn change(&self, user: UserId) -> Change<'_> {
        Change::new(self.memory.as_ref(), user)
    }

    /// The same for what a command may do beside the server: it holds on the next request there too.
    pub fn change_beside(&self, user: UserId) -> Change<'_> {
        Change::beside(self.memory.as_ref(), user)
    }
}
