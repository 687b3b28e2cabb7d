//! From what changed to what a reader is told: no database and no clock, only the order of things.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::cursor::{Cursor, Place};
use super::sql::{Head, Trace};
use super::{Event, Follows};
use crate::chat::{Chatroom, Message, Role, Status};
use crate::ids::{ChatroomId, MessageId};
use crate::live::{Live, Writing};

/// One thing that a transaction did, at its place among all that happened: the transaction's number, the message's `seq`.
#[derive(Debug)]
pub(super) struct Item {
    rev: i64,
    seq: i64,
    what: What,
}

#[derive(Debug)]
enum What {
    Made(MessageId),
    /// A reply waits again.
    Delayed(MessageId),
    Ended(MessageId),
    /// Messages came upon the current branch or left it; the first of them.
    Turned(ChatroomId, i64),
    Shown(Box<Chatroom>),
}

impl Item {
    pub(super) const fn rev(&self) -> i64 {
        self.rev
    }

    pub(super) fn message(&self) -> Option<MessageId> {
        match self.what {
            What::Made(id) | What::Delayed(id) | What::Ended(id) => Some(id),
            What::Turned(..) | What::Shown(_) => None,
        }
    }
}

/// What happened after the cursor, through the change `until`, in its order. A message stands in as many places as things
/// happened to it, so that a reader who goes on from any of them is told the rest.
pub(super) fn plan(cursor: &Cursor, traces: &[Trace], shown: Vec<Chatroom>, until: i64) -> VecDeque<Item> {
    let mut items = Vec::new();
    let mut turned: BTreeMap<i64, (ChatroomId, i64, i64)> = BTreeMap::new();
    for trace in traces {
        let Trace { id, seq, .. } = *trace;
        items.push(Item { rev: trace.made_rev, seq, what: What::Made(id) });
        items.extend(trace.ended_rev.map(|rev| Item { rev, seq, what: What::Ended(id) }));
        if trace.rev == trace.made_rev || Some(trace.rev) == trace.ended_rev {
            continue;
        }
        if trace.is_open && trace.is_current {
            items.push(Item { rev: trace.rev, seq, what: What::Delayed(id) });
        } else if cursor.is_news(trace.rev, seq) {
            let (_, first, last) = turned.entry(trace.rev).or_insert((trace.chatroom_id, seq, seq));
            (*first, *last) = (seq.min(*first), seq.max(*last));
        }
    }
    items.extend(turned.into_iter().map(|(rev, (room, first, last))| Item {
        rev,
        seq: last,
        what: What::Turned(room, first),
    }));
    items.extend(shown.into_iter().map(|room| Item { rev: room.shown_rev, seq: 0, what: What::Shown(Box::new(room)) }));
    items.retain(|item| item.rev <= until && cursor.is_news(item.rev, item.seq));
    items.sort_by_key(|item| (item.rev, item.seq));
    items.into()
}

/// When there is too much to tell one by one: that these rooms are to be read again, from their beginning.
pub(super) fn plan_anew(rooms: Vec<ChatroomId>, until: i64) -> VecDeque<Item> {
    let item = |(room, seq)| Item { rev: until, seq, what: What::Turned(room, 1) };
    rooms.into_iter().zip(1..).map(item).collect()
}

/// What a reader has been told, and what is ready for them: each event with the cursor behind it.
#[derive(Debug)]
pub(super) struct Teller {
    pub cursor: Cursor,
    pub what: Follows,
    pub ready: VecDeque<(Event, Cursor)>,
    /// Whether what is ready ends with the last that there will be.
    pub is_over: bool,
}

impl Teller {
    pub(super) fn new(cursor: Cursor, what: Follows) -> Self {
        Self { cursor, what, ready: VecDeque::new(), is_over: false }
    }

    /// Tells what happened; `next` is the change that what comes afterwards belongs to.
    pub(super) fn tell(&mut self, items: Vec<Item>, messages: &HashMap<MessageId, Message>, next: Option<i64>) {
        let mut items = items.into_iter().peekable();
        while let Some(Item { rev, seq, what }) = items.next() {
            if self.cursor.rev != rev {
                (self.cursor.rev, self.cursor.part) = (rev, Some(0));
            }
            let told = self.ready.len();
            self.tell_one(what, messages);
            let is_last = items.peek().map(|item| item.rev).or(next) != Some(rev);
            self.cursor.part = (!is_last).then_some(seq);
            // Only with its last event is an item seen.
            if let Some((_, behind)) = self.ready.range_mut(told..).next_back() {
                behind.clone_from(&self.cursor);
            }
        }
    }

    /// All through `rev` was told.
    pub(super) fn told_through(&mut self, rev: i64) {
        (self.cursor.rev, self.cursor.part) = (rev, None);
    }

    fn tell_one(&mut self, what: What, messages: &HashMap<MessageId, Message>) {
        let message = |id| messages.get(&id).cloned();
        match what {
            What::Shown(room) => self.push(Event::RoomUpdated(*room)),
            What::Turned(room, seq) => self.push(Event::Changed { room, seq }),
            What::Made(id) => match message(id) {
                Some(message) if message.role == Role::User => self.push(Event::Created(message)),
                Some(reply) => self.push(Event::Queued(reply)),
                None => {}
            },
            What::Delayed(id) => {
                if let Some(reply) = message(id).filter(|reply| reply.status == Status::Queued) {
                    self.push(Event::Queued(reply));
                }
            }
            What::Ended(id) => {
                if let Some(reply) = message(id).filter(|reply| reply.revs.ended.is_some()) {
                    if !reply.is_current {
                        // What ended it may also have taken it off the branch, which has no other trace then.
                        self.push(Event::Changed { room: reply.chatroom_id, seq: reply.seq });
                    }
                    self.tell_end(reply);
                }
            }
        }
    }

    /// The text that the reader has not seen, and the end.
    fn tell_end(&mut self, reply: Message) {
        let (id, room, attempt) = (reply.id, reply.chatroom_id, reply.attempt);
        let seen = self.cursor.place(id).filter(|place| place.attempt == attempt).map_or(0, |place| place.offset);
        let has_text = self.what != Follows::Rooms;
        self.begin(room, id, attempt);
        if has_text {
            let rest = reply.content.get(seen..);
            if rest.is_none() {
                // It ended with less than was seen: a failure keeps nothing.
                self.push(Event::Restarted { room, reply: id, attempt });
            }
            self.add(id, attempt, if rest.is_some() { seen } else { 0 }, rest.unwrap_or(&reply.content));
        }
        self.is_over |= matches!(self.what, Follows::Reply { reply, .. } if reply == id);
        if !self.is_over {
            self.cursor.places.retain(|place| place.reply != id);
        }
        self.push(Event::Ended(reply));
    }

    /// Says that an attempt began, unless that was said.
    fn begin(&mut self, room: ChatroomId, reply: MessageId, attempt: i64) {
        let seen = self.cursor.place(reply).map_or(0, |place| place.attempt);
        if attempt > seen {
            self.cursor.set_place(Place { reply, attempt, offset: 0 });
            self.push(match seen {
                0 => Event::Started { room, reply, attempt },
                _ => Event::Restarted { room, reply, attempt },
            });
        }
    }

    fn add(&mut self, reply: MessageId, attempt: i64, offset: usize, text: &str) {
        if !text.is_empty() {
            self.cursor.set_place(Place { reply, attempt, offset: offset + text.len() });
            self.push(Event::Delta { reply, attempt, text: text.to_owned() });
        }
    }

    /// Tells of what is being written now.
    pub(super) fn tell_live(&mut self, heads: &[Head], live: &Live) {
        for Head { id, room } in heads {
            let place = self.cursor.place(*id).unwrap_or(Place { reply: *id, attempt: 0, offset: 0 });
            let Some(Writing { attempt, text }) = live.read_on(*id, place.attempt, place.offset) else { continue };
            self.begin(*room, *id, attempt);
            if self.what != Follows::Rooms {
                let offset = if attempt == place.attempt { place.offset } else { 0 };
                self.add(*id, attempt, offset, &text);
            }
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.ready.push_back((event, self.cursor.clone()));
    }
}
