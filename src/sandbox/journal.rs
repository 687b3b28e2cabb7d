//! A sandbox's journal: bounded, waited for, and written to a file line by line. Kill tests read it, because it outlives
//! the server under test. What an entry says is each sandbox's own matter.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::watch;

/// One request, from its beginning to its end. Times are microseconds since the sandbox started.
pub(super) trait Line: Clone + Serialize {
    /// `id` counts from 1.
    fn begins(&mut self, id: u64, at: u64);
    fn id(&self) -> u64;
    fn is_over(&self) -> bool;
    fn ends(&mut self, at: u64);
    /// The client hung up before anything else came to an end.
    fn aborts(&mut self);
}

#[derive(Debug)]
pub(super) struct Journal<L> {
    kept: Mutex<Kept<L>>,
    most: usize,
    file: Option<Mutex<File>>,
    began: Instant,
    /// Raised by every change that somebody may wait for.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept<L> {
    last_id: u64,
    lines: VecDeque<Arc<Mutex<L>>>,
}

impl<L: Line> Journal<L> {
    pub(super) fn open(most: usize, file: Option<&Path>) -> io::Result<Self> {
        let file = file.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        let kept = Mutex::new(Kept { last_id: 0, lines: VecDeque::new() });
        let changes = watch::Sender::new(0);
        Ok(Self { kept, most: most.max(1), file: file.map(Mutex::new), began: Instant::now(), changes })
    }

    /// Begins a request's entry; its id and times are the journal's to fill in.
    pub(super) fn begin(self: &Arc<Self>, mut line: L) -> Recorder<L> {
        let mut kept = lock(&self.kept);
        kept.last_id += 1;
        line.begins(kept.last_id, self.now());
        let line = Arc::new(Mutex::new(line));
        kept.lines.push_back(line.clone());
        while kept.lines.len() > self.most {
            kept.lines.pop_front();
        }
        drop(kept);
        self.changed();
        Recorder { line, journal: self.clone() }
    }

    /// Those after `id` that are wanted, oldest first.
    pub(super) fn entries(&self, after: u64, wanted: impl Fn(&L) -> bool) -> Vec<L> {
        let kept: Vec<_> = lock(&self.kept).lines.iter().cloned().collect();
        let lines = kept.iter().map(|line| lock(line));
        lines.filter(|line| line.id() > after && wanted(line)).map(|line| line.clone()).collect()
    }

    pub(super) fn clear(&self) {
        lock(&self.kept).lines.clear();
    }

    pub(super) async fn wait_until(&self, wanted: impl Fn(&[L]) -> bool) -> Vec<L> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let entries = self.entries(0, |_| true);
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

    fn write(&self, line: &L) {
        let Some(file) = &self.file else { return };
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        if let Err(error) = lock(file).write_all(&text) {
            tracing::error!(%error, "the sandbox's journal cannot be written");
        }
    }
}

/// Writes one entry. Dropped before an end, it says that the client hung up.
#[derive(Debug)]
pub(super) struct Recorder<L: Line> {
    line: Arc<Mutex<L>>,
    journal: Arc<Journal<L>>,
}

impl<L: Line> Recorder<L> {
    pub(super) fn id(&self) -> u64 {
        lock(&self.line).id()
    }

    /// Notes what nobody waits for; told the time.
    pub(super) fn notes(&self, what: impl FnOnce(&mut L, u64)) {
        what(&mut lock(&self.line), self.journal.now());
    }

    /// Notes a state that is not the end yet.
    pub(super) fn turns(&self, what: impl FnOnce(&mut L)) {
        what(&mut lock(&self.line));
        self.journal.changed();
    }

    /// Notes the end; the first one counts.
    pub(super) fn ends(&self, what: impl FnOnce(&mut L)) {
        let mut line = lock(&self.line);
        if line.is_over() {
            return;
        }
        what(&mut line);
        line.ends(self.journal.now());
        self.journal.write(&line);
        drop(line);
        self.journal.changed();
    }
}

impl<L: Line> Drop for Recorder<L> {
    fn drop(&mut self) {
        self.ends(L::aborts);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
