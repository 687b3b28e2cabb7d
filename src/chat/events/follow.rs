//! [`Follower`]: one reader, told what happens as it happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::cursor::Cursor;
use super::sql::{self, Head, Standing};
use super::tell::{Item, Teller, plan, plan_anew};
use super::{Event, Follows};
use crate::app::App;
use crate::chat::read::estimate_wait;
use crate::chat::sql::messages_by_id;
use crate::chat::{Message, ReadError, alternatives, attachments};
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::live::{Heard, Listener, Place};
use crate::store::{self, Reader};

/// Messages that are read with their text at a time: how much waits for a slow reader at most.
const AT_A_TIME: usize = 8;
/// Whoever has missed more than so many changes is told to read again instead.
const MOST_TOLD: usize = 5_000;
/// Between two looks while the database is away.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// Follows a room, a reply or all rooms of a person.
///
/// Nothing is kept for a reader but what they have seen: whoever reads slowly is told more at a time, and whoever comes
/// back with their cursor is told what is missing.
#[derive(Debug)]
pub struct Follower {
    app: Arc<App>,
    owner: UserId,
    /// Of one reply: the change that promised it.
    promised: Option<i64>,
    teller: Teller,
    listener: Listener,
    /// What happened and was not told yet, through `until`.
    plan: VecDeque<Item>,
    until: i64,
    heads: Vec<Head>,
    /// The database may say something that was not planned for.
    is_behind: bool,
}

impl Follower {
    /// Goes on from `cursor`; without one, from now, with the text of what is being written.
    pub async fn begin(
        app: &Arc<App>,
        owner: UserId,
        what: Follows,
        cursor: Option<Cursor>,
    ) -> Result<Self, ReadError> {
        let place = what.room().map_or(Place::RoomsOf(owner), Place::Room);
        // Before the first look: what is rung after it is not missed.
        let listener = app.live.listen(place);
        let teller = Teller::new(Cursor::default(), what);
        let mut follower = Self {
            app: Arc::clone(app),
            owner,
            promised: None,
            teller,
            listener,
            plan: VecDeque::new(),
            until: 0,
            heads: Vec::new(),
            is_behind: false,
        };
        let mut reader = app.store.read().await?;
        let newest = follower.standing(&mut reader).await?.ok_or(ReadError::NoSuchRoom)?.newest;
        drop(reader);
        // One from before the database was restored to an earlier day goes on from now.
        follower.teller.cursor = cursor.filter(|cursor| cursor.rev <= newest).unwrap_or_else(|| Cursor::after(newest));
        follower.read_plan().await?;
        Ok(follower)
    }

    /// Follows a reply from the transaction on that promised it. Looks at nothing yet: what was accepted is accepted,
    /// whatever becomes of the look.
    #[must_use]
    pub fn of_promise(app: &Arc<App>, owner: UserId, room: ChatroomId, question: MessageId, reply: &Message) -> Self {
        let what = Follows::Reply { room, question, reply: reply.id };
        let promised = reply.revs.made;
        Self {
            app: Arc::clone(app),
            owner,
            promised: Some(promised),
            teller: Teller::new(Cursor { part: Some(0), ..Cursor::after(promised) }, what),
            listener: app.live.listen(Place::Room(room)),
            plan: VecDeque::new(),
            until: promised,
            heads: Vec::new(),
            is_behind: true,
        }
    }

    /// Whether it tells the text of replies, too.
    #[must_use]
    pub fn tells_text(&self) -> bool {
        self.teller.what != Follows::Rooms
    }

    /// Waits for what is to be told next, with the cursor behind it; None after the last. Safe to give up and call again.
    pub async fn next(&mut self) -> Option<(Event, Cursor)> {
        loop {
            if let Some((event, cursor)) = self.teller.ready.pop_front() {
                return Some((event, self.handed_out(cursor)));
            }
            if self.teller.is_over {
                return None;
            }
            // In memory of its own, given back when it is over: thousands of readers only wait.
            match Box::pin(self.look()).await {
                Ok(()) if !self.teller.ready.is_empty() || !self.plan.is_empty() => {}
                Ok(()) => self.is_behind = self.listener.rung().await == Heard::Change,
                Err(cause) => {
                    tracing::warn!(%cause, "live events wait for the database");
                    tokio::time::sleep(DATABASE_PAUSE).await;
                }
            }
        }
    }

    /// Who follows one reply is told nothing of its room but what the act did that asked for it. They may go on with the room from the same cursor, so it says
    /// no more than that the reply was promised, and how much of its text was seen.
    fn handed_out(&self, cursor: Cursor) -> Cursor {
        match self.promised {
            Some(promised) if cursor.rev > promised => Cursor { rev: promised, part: None, ..cursor },
            _ => cursor,
        }
    }

    /// What happened in the database comes first, then what is being written now.
    async fn look(&mut self) -> store::Result<()> {
        if self.plan.is_empty() && self.is_behind {
            self.read_plan().await?;
            self.is_behind = false;
        }
        if !self.plan.is_empty() {
            self.tell_some().await?;
        }
        if self.plan.is_empty() && !self.teller.is_over {
            self.teller.told_through(self.until);
            self.teller.tell_live(&self.heads, &self.app.live);
        }
        Ok(())
    }

    /// None when the room or the person is gone.
    async fn standing(&self, reader: &mut Reader) -> store::Result<Option<Standing>> {
        let room = self.teller.what.room();
        let standing = sql::standing(reader, self.owner, room).await?;
        Ok(standing.filter(|standing| room.is_none() || standing.room.is_some()))
    }

    async fn read_plan(&mut self) -> store::Result<()> {
        let (what, seen) = (self.teller.what, self.teller.cursor.whole());
        let mut reader = self.app.store.read().await?;
        let mut heads = Vec::new();
        if what == Follows::Rooms {
            // The heads first: what ended before one came forward is in the plan.
            heads = sql::heads(&mut reader, self.owner).await?;
        }
        let Some(Standing { newest, room, shown, head }) = self.standing(&mut reader).await? else {
            self.teller.is_over = true;
            self.teller.push(Event::Gone);
            return Ok(());
        };
        let is_followed = |id: &MessageId| !matches!(what, Follows::Reply { reply, .. } if reply != *id);
        heads.extend(head.filter(is_followed).zip(what.room()).map(|(id, room)| Head { id, room }));
        let is_news = |rev: Option<i64>| rev.unwrap_or(newest) > seen;
        let mut traces = Vec::new();
        if is_news(room) {
            let most = i64::try_from(MOST_TOLD).unwrap_or(i64::MAX) + 1;
            traces = sql::traces(&mut reader, self.owner, (what, self.promised), seen, most).await?;
        }
        let shown = if is_news(shown) { sql::shown(&mut reader, self.owner, what, seen).await? } else { Vec::new() };
        if traces.len() > MOST_TOLD {
            let rooms = sql::changed_rooms(&mut reader, self.owner, what, seen).await?;
            // What is being written is told from its beginning; all else is read again.
            self.teller.cursor = Cursor::after(newest);
            self.plan = plan_anew(rooms, newest);
        } else {
            self.plan = plan(&self.teller.cursor, &traces, shown, newest);
        }
        if what == Follows::Rooms && !self.teller.cursor.places.is_empty() {
            // Of a room that was deleted no end will be told.
            let ids = self.teller.cursor.places.iter().map(|place| place.reply).collect();
            let there = messages_by_id(&mut reader, ids).await?;
            self.teller.cursor.places.retain(|place| there.iter().any(|message| message.id == place.reply));
        }
        (self.until, self.heads) = (newest, heads);
        Ok(())
    }

    async fn tell_some(&mut self) -> store::Result<()> {
        let some = self.plan.len().min(AT_A_TIME);
        let ids = self.plan.range(..some).filter_map(Item::message).collect();
        let mut reader = self.app.store.read().await?;
        let mut messages = messages_by_id(&mut reader, ids).await?;
        alternatives::add(&mut reader, &mut messages).await?;
        attachments::add(&mut reader, &mut messages).await?;
        let messages = messages.into_iter().map(|mut message| {
            estimate_wait(&self.app, &mut message);
            (message.id, message)
        });
        let messages = messages.collect();
        let items: Vec<_> = self.plan.drain(..some).collect();
        let next = self.plan.front().map(Item::rev);
        self.teller.tell(items, &messages, next);
        let is_over = |head: &Head| messages.get(&head.id).is_some_and(|message: &Message| message.status.is_end());
        self.heads.retain(|head| !is_over(head));
        Ok(())
    }
}

impl Follows {
    /// None: all rooms.
    pub(super) const fn room(self) -> Option<ChatroomId> {
        match self {
            Self::Room(room) | Self::Reply { room, .. } => Some(room),
            Self::Rooms => None,
        }
    }
}
