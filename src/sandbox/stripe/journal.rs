//! What was asked, and what became of it. Bounded; kill tests read it, because it outlives the server under test.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

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

#[derive(Debug)]
pub(super) struct Journal {
    kept: Mutex<Kept>,
    most: usize,
    file: Option<Mutex<File>>,
    began: Instant,
    /// Raised by every change that somebody may wait for.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    last_id: u64,
    entries: VecDeque<Arc<Mutex<Entry>>>,
}

impl Journal {
    pub(super) fn open(most: usize, file: Option<&Path>) -> io::Result<Self> {
        let file = file.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        let (kept, changes) = (Mutex::default(), watch::Sender::new(0));
        Ok(Self { kept, most: most.max(1), file: file.map(Mutex::new), began: Instant::now(), changes })
    }

    /// Begins a request's entry; `id` and times are the journal's to fill in.
    pub(super) fn begin(self: &Arc<Self>, asked: Entry) -> Recorder {
        let mut kept = lock(&self.kept);
        kept.last_id += 1;
        let entry = Entry { id: kept.last_id, received_us: self.now(), ..asked };
        let entry = Arc::new(Mutex::new(entry));
        kept.entries.push_back(entry.clone());
        while kept.entries.len() > self.most {
            kept.entries.pop_front();
        }
        drop(kept);
        self.changed();
        Recorder { entry, journal: self.clone() }
    }

    /// Those after `id` whose path begins so, oldest first.
    pub(super) fn entries(&self, after: u64, path: &str) -> Vec<Entry> {
        let kept: Vec<_> = lock(&self.kept).entries.iter().cloned().collect();
        let entries = kept.iter().map(|entry| lock(entry));
        entries.filter(|entry| entry.id > after && entry.path.starts_with(path)).map(|entry| entry.clone()).collect()
    }

    pub(super) fn clear(&self) {
        lock(&self.kept).entries.clear();
    }

    pub(super) async fn wait_until(&self, wanted: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let entries = self.entries(0, "");
            // The sender lives in `self`.
            if wanted(&entries) || changes.changed().await.is_err() {
                return entries;
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn write(&self, entry: &Entry) {
        let Some(file) = &self.file else { return };
        let Ok(mut line) = serde_json::to_vec(entry) else { return };
        line.push(b'\n');
        if let Err(error) = lock(file).write_all(&line) {
            tracing::error!(%error, "the sandbox's journal cannot be written");
        }
    }
}

/// Writes one entry. Dropped before an end, it says that the client hung up.
#[derive(Debug)]
pub(super) struct Recorder {
    entry: Arc<Mutex<Entry>>,
    journal: Arc<Journal>,
}

impl Recorder {
    /// Goes over to a state that is not the end yet.
    pub(super) fn stays(&self, state: Ended) {
        lock(&self.entry).end = state;
        self.journal.changed();
    }

    pub(super) fn executes(&self) {
        lock(&self.entry).is_executed = true;
        self.journal.changed();
    }

    pub(super) fn replays(&self) {
        lock(&self.entry).is_replayed = true;
    }

    pub(super) fn finishes(&self, status: u16, end: Ended) {
        let mut entry = lock(&self.entry);
        if entry.end.is_over() {
            return;
        }
        entry.status = status;
        entry.end = end;
        entry.ended_us = Some(self.journal.now());
        self.journal.write(&entry);
        drop(entry);
        self.journal.changed();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finishes(0, Ended::Aborted);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
