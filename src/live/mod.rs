//! Text being written right now, and the bell that says "look again". In memory: one process sees all of it.
//!
//! Writing is idempotent and fenced by the attempt; readers take what is there. Nothing here is needed for the promise:
//! what is lost here is written again from the reply's holder, or read from the database.

mod bells;
mod pace;
mod stops;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::ids::{ChatroomId, MessageId, UserId};
use crate::store::Signal;

pub use bells::{Heard, Listener, Place};
pub use stops::Stop;

/// How often the bell of other processes is listened for: one system call each time.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// The live text of all replies in flight.
#[derive(Debug, Default)]
pub struct Live {
    replies: Mutex<HashMap<MessageId, Writing>>,
    ended: Mutex<Ended>,
    bells: bells::Bells,
    ticks: tokio::sync::watch::Sender<()>,
    pace: pace::Pace,
    stops: stops::Stops,
    jobs: Notify,
    /// The bell of commands that run beside the server.
    signal: Option<Signal>,
    heard: AtomicU64,
}

/// Texts that are whole in the database by now, and who is reading along may be about to take: those since the last tick, and
/// those of before.
#[derive(Debug, Default)]
struct Ended {
    new: Vec<(MessageId, i64)>,
    old: Vec<(MessageId, i64)>,
}

/// One reply as far as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    pub attempt: i64,
    pub text: String,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It stands there, by this call or an earlier one.
    Kept,
    /// A later attempt is writing: this one must stop.
    Outrun,
    /// What comes before `offset` is missing: the whole text must be sent again.
    Gap,
}

impl Live {
    #[must_use]
    pub fn in_memory(signal: Option<Signal>) -> Self {
        let heard = AtomicU64::new(signal.as_ref().map_or(0, Signal::count));
        Self { signal, heard, ..Self::default() }
    }

    /// Puts `piece` at `offset` (UTF-8 bytes) of what `attempt` has written of `reply`, in a room of somebody's. Safe to
    /// repeat: a piece that is there already changes nothing. A higher attempt begins a new text.
    pub fn write(
        &self,
        (owner, room): (UserId, ChatroomId),
        reply: MessageId,
        attempt: i64,
        offset: usize,
        piece: &str,
    ) -> Written {
        let (written, is_new) = self.put(reply, attempt, offset, piece);
        if written == Written::Kept {
            self.bells.ring(Place::Room(room), Heard::Text);
            if is_new {
                self.bells.ring(Place::RoomsOf(owner), Heard::Text);
            }
        }
        written
    }

    /// What became of the piece, and whether it is the first of its attempt.
    fn put(&self, reply: MessageId, attempt: i64, offset: usize, piece: &str) -> (Written, bool) {
        let mut replies = self.replies();
        let mut is_new = !replies.contains_key(&reply);
        let writing = replies.entry(reply).or_insert_with(|| Writing { attempt, text: String::new() });
        if attempt < writing.attempt {
            return (Written::Outrun, false);
        }
        if attempt > writing.attempt {
            *writing = Writing { attempt, text: String::new() };
            is_new = true;
        }
        match writing.text.len() {
            len if len < offset => (Written::Gap, is_new),
            len => {
                // What overlaps is the same text, sent again.
                if let Some(new) = piece.get(len - offset..) {
                    writing.text.push_str(new);
                }
                (Written::Kept, is_new)
            }
        }
    }

    /// The text so far of a reply that is being written; None before the first claim and after the end.
    #[must_use]
    pub fn read(&self, reply: MessageId) -> Option<Writing> {
        self.replies().get(&reply).cloned()
    }

    /// What is written of a reply behind `offset` of `attempt`, or from its beginning by a later attempt; None when it is
    /// not being written, or only by an earlier attempt. Text that ends before `offset` is to be waited for.
    #[must_use]
    pub fn read_on(&self, reply: MessageId, attempt: i64, offset: usize) -> Option<Writing> {
        let replies = self.replies();
        let writing = replies.get(&reply).filter(|writing| writing.attempt >= attempt)?;
        let seen = if writing.attempt == attempt { offset } else { 0 };
        let text = writing.text.get(seen..).unwrap_or_default().to_owned();
        Some(Writing { attempt: writing.attempt, text })
    }

    /// Forgets a reply whose end is in the database, unless a later attempt is writing it.
    pub fn forget(&self, reply: MessageId, attempt: i64) {
        let mut replies = self.replies();
        if replies.get(&reply).is_some_and(|writing| writing.attempt <= attempt) {
            replies.remove(&reply);
        }
    }

    /// Forgets a reply whose very text is in the database. Where somebody listens it stays for a second or two: who reads
    /// along takes the rest sooner than the database gives it.
    pub fn complete(&self, room: ChatroomId, reply: MessageId, attempt: i64) {
        if self.bells.is_heard(Place::Room(room)) {
            self.ended.lock().unwrap_or_else(PoisonError::into_inner).new.push((reply, attempt));
        } else {
            self.forget(reply, attempt);
        }
    }

    fn forget_ended(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let new = std::mem::take(&mut ended.new);
        let old = std::mem::replace(&mut ended.old, new);
        drop(ended);
        for (reply, attempt) in old {
            self.forget(reply, attempt);
        }
    }

    /// Says that the database says something new of this room of this person's.
    pub fn ring(&self, owner: UserId, room: ChatroomId) {
        self.bells.ring(Place::Room(room), Heard::Change);
        self.bells.ring(Place::RoomsOf(owner), Heard::Change);
    }

    /// What is rung from now on is heard.
    #[must_use]
    pub fn listen(&self, place: Place) -> Listener {
        self.bells.listen(place)
    }

    /// Says how long an answer took.
    pub fn note_answer(&self, took: Duration) {
        self.pace.note(took);
    }

    /// How long answers take in this process lately; None before the first.
    #[must_use]
    pub fn answers_take(&self) -> Option<Duration> {
        self.pace.lately()
    }

    /// Ticks about once a second: time to look whether one may still listen.
    #[must_use]
    pub fn ticks(&self) -> tokio::sync::watch::Receiver<()> {
        self.ticks.subscribe()
    }

    /// From now on this attempt at a reply hears when it is to stop.
    #[must_use]
    pub fn hear_stop(&self, reply: MessageId, attempt: i64) -> Stop {
        self.stops.hear(reply, attempt)
    }

    /// Says that a reply is wanted no more, to whoever is writing it.
    pub fn stop(&self, reply: MessageId) {
        self.stops.tell(reply);
    }

    /// Says that there may be a job to claim.
    pub fn ring_for_jobs(&self) {
        self.jobs.notify_one();
    }

    /// Says so to the server beside this process, too: what a command is for that made work.
    pub fn ring_for_jobs_everywhere(&self) {
        self.ring_for_jobs();
        if let Some(signal) = &self.signal {
            signal.ring();
        }
    }

    /// Returns when the bell was rung since the last call, here or by a command beside this process. A poll stays
    /// beneath: a bell may go unheard.
    pub async fn job_bell(&self) {
        tokio::select! {
            () = self.jobs.notified() => {}
            () = self.bell_beside() => {}
        }
    }

    async fn bell_beside(&self) {
        let Some(signal) = &self.signal else { return std::future::pending().await };
        loop {
            let count = signal.count();
            if self.heard.swap(count, Relaxed) != count {
                return;
            }
            tokio::time::sleep(LISTEN_EVERY).await;
        }
    }

    fn replies(&self) -> MutexGuard<'_, HashMap<MessageId, Writing>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Moment;

    fn reply() -> MessageId {
        MessageId::new(Moment::from_millis(0))
    }

    fn at() -> (UserId, ChatroomId) {
        (UserId::new(Moment::from_millis(0)), ChatroomId::new(Moment::from_millis(0)))
    }

    #[test]
    fn a_reader_gets_what_is_behind_their_place() {
        let (live, reply) = (Live::in_memory(None), reply());
        let tail = |attempt, offset| live.read_on(reply, attempt, offset).map(|tail| (tail.attempt, tail.text));
        assert_eq!(tail(0, 0), None);
        live.write(at(), reply, 2, 0, "नमस्ते");
        assert_eq!(tail(1, 9), Some((2, "नमस्ते".into())), "of a later attempt all");
        assert_eq!(tail(2, 6), Some((2, "स्ते".into())));
        assert_eq!(tail(2, 99), Some((2, String::new())), "further than it goes is to be waited for");
        assert_eq!(tail(3, 0), None, "an earlier attempt is no news");
    }

    #[test]
    fn a_text_that_is_whole_stays_for_whoever_reads_along_and_no_longer() {
        let (live, reply, (_, room)) = (Live::in_memory(None), reply(), at());
        live.write(at(), reply, 1, 0, "whole");
        live.complete(room, reply, 1);
        assert_eq!(live.read(reply), None, "nobody listens");
        let _listener = live.listen(Place::Room(room));
        live.write(at(), reply, 1, 0, "whole");
        live.complete(room, reply, 1);
        live.forget_ended();
        assert!(live.read(reply).is_some(), "for one tick at least");
        live.forget_ended();
        assert_eq!(live.read(reply), None);
    }

    #[test]
    fn a_piece_sent_twice_stands_once() {
        let (live, reply) = (Live::in_memory(None), reply());
        assert_eq!(live.write(at(), reply, 1, 0, "नम"), Written::Kept);
        assert_eq!(live.write(at(), reply, 1, 6, "स्ते"), Written::Kept);
        assert_eq!(live.write(at(), reply, 1, 6, "स्ते"), Written::Kept);
        assert_eq!(live.read(reply).map(|writing| writing.text).as_deref(), Some("नमस्ते"));
    }

    #[test]
    fn a_gap_asks_for_the_whole_text() {
        let (live, reply) = (Live::in_memory(None), reply());
        assert_eq!(live.write(at(), reply, 1, 4, "later"), Written::Gap);
        assert_eq!(live.write(at(), reply, 1, 0, "the later"), Written::Kept);
        assert_eq!(live.read(reply).map(|writing| writing.text).as_deref(), Some("the later"));
    }

    #[test]
    fn an_earlier_attempt_is_refused_and_a_later_one_begins_anew() {
        let (live, reply) = (Live::in_memory(None), reply());
        live.write(at(), reply, 1, 0, "old");
        assert_eq!(live.write(at(), reply, 2, 0, "new"), Written::Kept);
        assert_eq!(live.write(at(), reply, 1, 3, "er"), Written::Outrun);
        assert_eq!(live.read(reply), Some(Writing { attempt: 2, text: "new".into() }));
        live.forget(reply, 1);
        assert!(live.read(reply).is_some(), "an earlier attempt's end leaves the later text alone");
        live.forget(reply, 2);
        assert_eq!(live.read(reply), None);
    }

    proptest! {
        #[test]
        fn pieces_repeated_in_any_overlap_give_the_text(text in "\\PC{0,40}", cuts in prop::collection::vec((0usize..120, 0usize..120), 0..30)) {
            let (live, reply) = (Live::in_memory(None), reply());
            let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for (from, to) in cuts {
                let (from, to) = (boundaries[from % boundaries.len()], boundaries[to % boundaries.len()]);
                if from <= to {
                    live.write(at(), reply, 1, from, &text[from..to]);
                }
                let so_far = live.read(reply).map(|writing| writing.text).unwrap_or_default();
                prop_assert!(text.starts_with(&so_far));
            }
            live.write(at(), reply, 1, 0, &text);
            prop_assert_eq!(live.read(reply).map(|writing| writing.text), Some(text));
        }
    }
}
