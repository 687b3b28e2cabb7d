//! The property of live events: whatever the cut points, what a client pieced together over its reconnects equals what is
//! stored, byte for byte.
//!
//! One schedule in ten is read over HTTP, the others by the same followers without it: a debug build takes ten times as
//! long for the rest. `LIVE_SCHEDULES` makes it longer or shorter, `LIVE_SEED` repeats a run; the seed is printed when it
//! fails.

#[path = "../fuzz/random.rs"]
#[allow(dead_code, reason = "the fuzz test needs more of it")]
mod random;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use gemini_backend::chat::{Event, Follower, Follows, Message};
use gemini_backend::sandbox::gemini::{End, Fault, Rule};
use serde_json::{Value, json};

use self::random::Random;
use crate::harness::live::{Listening, Seen, Told};
use crate::harness::{Person, TestApp};

const SCHEDULES: u64 = 1000;
/// Each with two readers.
const AT_ONCE: usize = 25;

#[tokio::test]
async fn over_any_number_of_connections_a_reader_pieces_together_what_is_stored() {
    #[expect(clippy::disallowed_methods, reason = "these are settings of the test")]
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse().expect("a number"));
    let seed = number("LIVE_SEED").unwrap_or_else(Random::any_seed);
    let schedules = number("LIVE_SCHEDULES").unwrap_or(SCHEDULES);
    println!("LIVE_SEED={seed}");
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = u32::MAX).await;
    let rounds =
        stream::iter(0..schedules).map(|number| schedule(&app, Random::of(seed, "schedule", number), number % 10 == 0));
    let rounds = rounds.buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    // Faults are waited out: time goes on, five times as fast.
    let passing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            app.clock.advance(Duration::from_millis(100));
            app.app.live.ring_for_jobs();
        }
    };
    tokio::select! {
        _ = rounds => {}
        () = passing => {}
    }
    app.settle().await;
}

/// A stream of events, with or without HTTP.
enum Stream {
    Http(Listening),
    House(Box<Follower>),
}

impl Stream {
    async fn open(ada: &Person<'_>, room: &str, from: Option<&str>, over_http: bool) -> Self {
        if over_http {
            return Self::Http(ada.listen(&format!("/chatroom/{room}/events"), from).await);
        }
        let cursor = from.map(|id| id.parse().expect("the id of an event"));
        let follows = Follows::Room(room.parse().expect("an id"));
        let follower = Follower::begin(&ada.app.app, ada.user, follows, cursor).await;
        Self::House(Box::new(follower.expect("a room")))
    }

    async fn next(&mut self) -> Told {
        match self {
            Self::Http(listening) => listening.next().await.expect("the stream goes on"),
            Self::House(follower) => {
                let (event, cursor) = follower.next().await.expect("the stream goes on");
                let (name, data) = shown(event);
                Told { name: name.to_owned(), id: cursor.to_string(), data }
            }
        }
    }
}

fn shown(event: Event) -> (&'static str, Value) {
    let whole = |message: Message| {
        let shown = json!({"id": message.id, "content": message.content, "status": message.status});
        json!({"message": shown})
    };
    match event {
        Event::Created(message) => ("message.created", whole(message)),
        Event::Queued(reply) => ("reply.queued", json!({"message_id": reply.id})),
        Event::Started { reply, attempt, .. } => ("reply.started", json!({"message_id": reply, "attempt": attempt})),
        Event::Restarted { reply, attempt, .. } => {
            ("reply.restarted", json!({"message_id": reply, "attempt": attempt}))
        }
        Event::Delta { reply, attempt, text } => {
            ("reply.delta", json!({"message_id": reply, "attempt": attempt, "text": text}))
        }
        Event::Ended(reply) => ("reply.completed", whole(reply)),
        Event::Changed { .. } => ("message.changed", Value::Null),
        Event::RoomUpdated(_) => ("chatroom.updated", Value::Null),
        Event::Gone => ("stream.closing", Value::Null),
    }
}

/// One room, some messages with whatever becomes of them, and readers who come and go.
async fn schedule(app: &TestApp, mut random: Random, over_http: bool) {
    // Each is another person's: while the clock stands still, the rooms of one take turns by nothing but their ids.
    let ada = &app.sign_up().await;
    let room = ada.new_room().await;
    let mut another = || Random::of(random.below(usize::MAX) as u64, "reader", 0);
    let (first, second, late) = (another(), another(), another());
    let (replies, is_over) = (RefCell::new(Vec::new()), Cell::new(false));
    let from = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    let from = from["last_event_id"].as_str().expect("an id");
    let talking = async {
        talk(ada, &room, &mut random, &replies).await;
        is_over.set(true);
    };
    let until_all = || is_over.get().then(|| replies.borrow().len());
    let readers = join(
        read(ada, &room, first, Some(from), over_http, until_all),
        read(ada, &room, second, Some(from), over_http, until_all),
    );
    let coming_late = async {
        // The third costs as much as the others together: its connections are many.
        if !over_http {
            return Seen::default();
        }
        tokio::time::sleep(Duration::from_millis(late.clone().below(20) as u64)).await;
        read(ada, &room, late, None, over_http, until_all).await
    };
    let ((), ((one, two), latecomer)) = Box::pin(join(talking, join(readers, coming_late))).await;
    // Those on branches that were left, too.
    for id in replies.take() {
        let reply = ada.message(&room, &id).await;
        for seen in [&one, &two] {
            assert!(seen.created.contains(reply["parent_id"].as_str().expect("a question")), "{reply}");
            let text = seen.texts.get(&id).map(|(_, text)| text.as_str()).unwrap_or_default();
            assert_eq!(text, reply["content"]);
            let ended = &seen.ended[&id];
            assert_eq!((&ended["content"], &ended["status"]), (&reply["content"], &reply["status"]));
        }
        if let Some(ended) = latecomer.ended.get(&id) {
            assert_eq!(ended["content"], reply["content"]);
        }
    }
}

/// Says some things, whose answers come in any pieces and end in any way.
async fn talk(ada: &Person<'_>, room: &str, random: &mut Random, replies: &RefCell<Vec<String>>) {
    for number in 0..=random.below(3) {
        let question = format!("{room} {number}.");
        let chunks: Vec<_> = (0..=random.below(10)).map(|_| random.letters()).collect();
        let pieces = chunks.len();
        let rule = Rule::chunks(chunks).pace(Duration::ZERO, Duration::from_millis(random.below(3) as u64));
        ada.app.gemini.script(match random.below(10) {
            0 => Rule::refuse(Fault::of(400)).when(&question),
            1 => rule.end(random.below(pieces + 1), End::Error(Fault::of(400))).when(&question),
            2 => rule.finish(random.below(pieces + 1), "MAX_TOKENS").when(&question),
            // What is cut is written anew, by another attempt and in other words.
            3 => rule.end(random.below(pieces + 1), End::Cut).when(&question),
            4 => Rule::refuse(Fault::of(503)).when(&question),
            _ => rule.when(&question),
        });
        let last = replies.borrow().last().cloned();
        let reply = match last {
            Some(last) if random.one_in(4) => ask_otherwise(ada, room, &last, &question, random.one_in(2)).await,
            _ => ada.asks(room, &question).await,
        };
        replies.borrow_mut().push(reply.clone());
        if random.one_in(4) {
            tokio::time::sleep(Duration::from_millis(random.below(12) as u64)).await;
            ada.post(&format!("/chatroom/{room}/messages/{reply}/cancel"), json!({})).await.expect(200);
        }
        if random.one_in(4) {
            ada.patch(&format!("/chatroom/{room}"), json!({"name": question})).await.expect(200);
        }
        tokio::time::sleep(Duration::from_millis(random.below(12) as u64)).await;
    }
}

/// Another branch of the room: the last question said otherwise, or asked again if its reply has ended.
async fn ask_otherwise(ada: &Person<'_>, room: &str, last: &str, question: &str, is_edit: bool) -> String {
    let path = |id: &str| format!("/chatroom/{room}/messages/{id}");
    let reply = ada.message(room, last).await;
    let answer = if is_edit || ["queued", "generating"].contains(&reply["status"].as_str().expect("a status")) {
        let asked = reply["parent_id"].as_str().expect("a question");
        ada.patch(&path(asked), json!({"content": question})).await
    } else {
        ada.post(&format!("{}/regenerate", path(last)), json!({})).await
    };
    answer.expect(202).json()["reply"]["id"].as_str().expect("an id").to_owned()
}

/// Reads until the ends of so many replies were told, by connections that are cut anywhere. Without a place to begin from
/// it is over when nothing of the room is unfinished.
async fn read(
    ada: &Person<'_>,
    room: &str,
    mut random: Random,
    from: Option<&str>,
    over_http: bool,
    until: impl Fn() -> Option<usize>,
) -> Seen {
    let mut seen = Seen { last_id: from.map(str::to_owned), ..Seen::default() };
    loop {
        let mut stream = Stream::open(ada, room, seen.last_id.as_deref(), over_http).await;
        let cut = random.below(12);
        let mut told = 0;
        while told <= cut {
            let is_over = until().is_some_and(|all| from.is_none() || seen.ended.len() == all);
            if is_over && (from.is_some() || !is_unfinished(ada, room).await) {
                return seen;
            }
            // Now and then it looks whether it is over.
            if let Ok(event) = tokio::time::timeout(Duration::from_millis(100), stream.next()).await {
                seen.take(&event);
                told += 1;
            }
        }
    }
}

async fn is_unfinished(ada: &Person<'_>, room: &str) -> bool {
    let page = ada.get(&format!("/chatroom/{room}/messages")).await.expect(200).json();
    let is_open = |message: &Value| ["queued", "generating"].contains(&message["status"].as_str().expect("a status"));
    page["data"].as_array().expect("messages").iter().any(is_open)
}
