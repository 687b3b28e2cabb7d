//! What was asked, and exactly what was sent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::journal::{self, Line};

/// One request. Times are microseconds since the sandbox started.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Counts from 1.
    pub id: u64,
    /// The header `x-client-request-id`.
    pub tag: Option<String>,
    /// Such as `streamGenerateContent`, `models.list`.
    pub call: String,
    pub model: Option<String>,
    /// With its query; a key in it is masked.
    pub path: String,
    pub key: Option<KeyPlace>,
    pub body: Value,
    /// 0 until it was answered.
    pub status: u16,
    /// The answer's text, exactly as handed to the connection so far.
    pub text: String,
    /// In how many pieces.
    pub pieces: usize,
    pub thoughts: String,
    pub end: Ended,
    pub finish_reason: Option<String>,
    pub received_us: u64,
    pub first_us: Option<u64>,
    pub ended_us: Option<u64>,
}

/// Where a request carried its key.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    Header,
    Query,
    Bearer,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It is being answered.
    #[default]
    Open,
    /// It waits for a release.
    Held,
    /// It says nothing more, as it was told to.
    Hung,
    /// Answered to the end.
    Finished,
    /// The client hung up first.
    Aborted,
    /// Closed without a finish reason, or cut.
    Cut,
    /// Broken off with an error after a good status.
    Failed,
    /// The prompt was blocked.
    Blocked,
    /// Answered with an error status.
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
    pub(super) fn answers(&self, status: u16) {
        self.notes(|entry, _| entry.status = status);
    }

    pub(super) fn sends(&self, text: &str) {
        self.notes(|entry, now| {
            entry.first_us.get_or_insert(now);
            entry.text.push_str(text);
            entry.pieces += 1;
        });
    }

    pub(super) fn thinks(&self, text: &str) {
        self.notes(|entry, now| {
            entry.first_us.get_or_insert(now);
            entry.thoughts.push_str(text);
        });
    }

    /// Goes over to a state that is not the end yet.
    pub(super) fn stays(&self, state: Ended) {
        self.turns(|entry| entry.end = state);
    }

    pub(super) fn finishes(&self, reason: Option<&str>, end: Ended) {
        self.ends(|entry| {
            entry.finish_reason = reason.map(str::to_owned);
            entry.end = end;
        });
    }
}
