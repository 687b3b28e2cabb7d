//! What was asked, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::journal::{self, Line};

/// One request. Times are microseconds since the sandbox started.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Counts from 1.
    pub id: u64,
    pub method: String,
    /// Without its query.
    pub path: String,
    /// The query or the body, with nested names as nested values.
    pub form: Value,
    pub idempotency_key: Option<String>,
    /// The header `Stripe-Version`, as it came.
    pub api_version: Option<String>,
    /// The header `Request-Id` of the answer.
    pub request_id: String,
    /// 0 until it was answered, and when the answer was lost.
    pub status: u16,
    /// The answer was an earlier one, kept under the idempotency key.
    pub is_replayed: bool,
    /// It was executed, whatever became of the answer.
    pub is_executed: bool,
    pub end: Ended,
    pub received_us: u64,
    pub ended_us: Option<u64>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It is being answered.
    #[default]
    Open,
    /// Its answer, or its execution, waits for a release.
    Held,
    /// It says nothing more, as it was told to.
    Hung,
    Answered,
    /// The client hung up first.
    Aborted,
    /// The connection was cut before the answer.
    Cut,
    /// A rule answered in Stripe's stead.
    Refused,
}

impl Ended {
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Open | Self::Held | Self::Hung)
    }
}

pub(super) type Journal = journal::Journal<Entry>;
pub(super) type Recorder = journal::Recorder<Entry>;

impl Line for Entry {
    fn begins(&mut self, id: u64, at: u64) {
        (self.id, self.received_us) = (id, at);
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn is_over(&self) -> bool {
        self.end.is_over()
    }

    fn ends(&mut self, at: u64) {
        self.ended_us = Some(at);
    }

    fn aborts(&mut self) {
        self.end = Ended::Aborted;
    }
}

impl Recorder {
    /// Goes over to a state that is not the end yet.
    pub(super) fn stays(&self, state: Ended) {
        self.turns(|entry| entry.end = state);
    }

    pub(super) fn executes(&self) {
        self.turns(|entry| entry.is_executed = true);
    }

    pub(super) fn replays(&self) {
        self.notes(|entry, _| entry.is_replayed = true);
    }

    pub(super) fn finishes(&self, status: u16, end: Ended) {
        self.ends(|entry| (entry.status, entry.end) = (status, end));
    }
}
