//! [`Change`]: somebody is writing about a person.

use super::memory::Memory;
use crate::ids::UserId;
use crate::store::Announced;

/// Held from before a transaction until after its commit. What is read about the person meanwhile is used but not kept.
///
/// Dropped without [`Change::all`] or [`Change::rooms`] (the transaction failed, or the client went away while the
/// commit was under way) nothing is kept about the person until every such commit must have landed or failed.
#[derive(Debug)]
#[must_use = "it must be held until the transaction is committed"]
pub struct Change<'p> {
    memory: Option<&'p Memory>,
    user: UserId,
    is_over: bool,
    announced: Option<Announced>,
}

impl<'p> Change<'p> {
    pub(super) fn new(memory: Option<&'p Memory>, user: UserId) -> Self {
        if let Some(memory) = memory {
            memory.begin(user);
        }
        Self { memory, user, is_over: false, announced: None }
    }

    /// By a command that may run beside the server, which keeps nothing either until this is over.
    pub(super) fn beside(memory: Option<&'p Memory>, user: UserId) -> Self {
        let mut change = Self::new(memory, user);
        change.announced = memory.and_then(Memory::announce);
        change
    }

    /// Committed: only the room list changed, to this `rooms_rev`.
    pub fn rooms(mut self, rev: i64) {
        self.is_over = true;
        if let Some(memory) = self.memory {
            memory.end_with_rooms(self.user, rev);
        }
    }

    /// Committed: everything about the person is to be read anew.
    pub fn all(mut self) {
        self.is_over = true;
        if let Some(memory) = self.memory {
            memory.end(self.user);
        }
    }

    /// Nothing was written.
    pub fn nothing(self) {
        self.all();
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if let (Some(memory), false) = (self.memory, self.is_over) {
            memory.abandon(self.user);
        }
    }
}
