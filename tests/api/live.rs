//! Live events: every reader pieces together what is stored, whenever they come, go and come back.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::sandbox::gemini::{End, Fault, Rule};
use gemini_backend::{execute, transaction};
use serde_json::{Value, json};

use crate::harness::live::{Listening, Seen, Told};
use crate::harness::{Person, TestApp, until};

const TEXT: &str = "One two नमस्ते 👩‍👩‍👧 — done.\n";

fn names(all: &[Told]) -> Vec<&str> {
    all.iter().map(|told| told.name.as_str()).collect()
}

fn text(all: &[Told]) -> String {
    let deltas = all.iter().filter(|told| told.name == "reply.delta");
    deltas.map(|told| told.data["text"].as_str().expect("a text")).collect()
}

fn events(room: &str) -> String {
    format!("/chatroom/{room}/events")
}

#[tokio::test]
async fn a_reader_is_told_of_a_message_and_its_reply_from_the_first_to_the_last_letter() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut reader = ada.listen(&events(&room), None).await;
    app.gemini.script(Rule::say(TEXT));
    let accepted = ada.ask(&room, "hello").await;
    let all = reader.until("reply.completed").await;
    let begin = names(&all)[..4].to_vec();
    assert_eq!(begin, ["message.created", "reply.queued", "reply.started", "reply.delta"]);
    let (created, queued, started, completed) = (&all[0].data, &all[1].data, &all[2].data, &all[all.len() - 1].data);
    assert_eq!(created["message"], accepted["message"]);
    assert_eq!(queued["message_id"], accepted["reply"]["id"]);
    assert_eq!((&queued["position"], &queued["parent_id"]), (&json!(1), &accepted["message"]["id"]));
    assert_eq!((&started["message_id"], &started["attempt"]), (&accepted["reply"]["id"], &json!(1)));
    assert_eq!(completed["message"]["content"], TEXT);
    assert_eq!(text(&all), TEXT);
    let stored = ada.message(&room, accepted["reply"]["id"].as_str().expect("an id")).await;
    assert_eq!(completed["message"], stored);
}

#[tokio::test]
async fn a_stream_begins_at_once_with_when_to_come_back() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let answer = ada.get(&events(&room)).await.expect(200);
    assert_eq!(answer.text(), "retry: 2000\n\n");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn who_comes_in_the_middle_first_gets_the_text_so_far_as_one_piece() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("one two three four").hold(3));
    let reply = ada.asks(&room, "hello").await;
    until("the text is live", async || (ada.message(&room, &reply).await["content"] == "one two three ").then_some(()))
        .await;
    let mut reader = ada.listen(&events(&room), None).await;
    let first = [reader.next().await.expect("an event"), reader.next().await.expect("an event")];
    assert_eq!(names(&first), ["reply.started", "reply.delta"]);
    assert_eq!(first[1].data["text"], "one two three ");
    // The room says where events go on, in the middle of the text.
    let shown = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    let from = shown["last_event_id"].as_str().expect("an id");
    let mut other = ada.listen(&events(&room), Some(from)).await;
    app.gemini.release();
    let rest = other.until("reply.completed").await;
    assert_eq!((names(&rest), text(&rest).as_str()), (vec!["reply.delta", "reply.completed"], "four"));
    assert_eq!(text(&reader.until("reply.completed").await), "four");
}

#[tokio::test]
async fn from_any_event_a_reader_is_told_exactly_the_rest() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut reader = ada.listen(&events(&room), None).await;
    app.gemini.script(Rule::say(TEXT));
    ada.hears(&room, "hello").await;
    app.gemini.script(Rule::refuse(Fault::of(400)));
    ada.hears(&room, "again").await;
    ada.patch(&format!("/chatroom/{room}"), json!({"name": "Another"})).await.expect(200);
    let all = reader.until("chatroom.updated").await;
    let told = names(&all);
    assert_eq!(told.iter().filter(|name| name.starts_with("message")).count(), 2, "{told:?}");
    assert!(told.contains(&"reply.completed") && told.contains(&"reply.failed"), "{told:?}");
    for at in 0..all.len() - 1 {
        let mut again = ada.listen(&events(&room), Some(&all[at].id)).await;
        let rest = again.until("chatroom.updated").await;
        let mut seen = Seen::default();
        seen.take_all(&all[..=at]);
        seen.take_all(&rest);
        let shown = |all: &[Told]| {
            let told = all.iter().filter(|told| told.name != "reply.delta");
            told.map(|told| (told.name.clone(), told.data.clone())).collect::<Vec<_>>()
        };
        let whole = [shown(&all[..=at]), shown(&rest)].concat();
        assert_eq!(
            whole.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            shown(&all).iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "after event {at}, {}",
            all[at].id
        );
    }
}

#[tokio::test]
async fn a_fault_that_is_waited_out_is_told_and_the_text_begins_anew() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut reader = ada.listen(&events(&room), None).await;
    app.gemini.script(Rule::say("one two three").hold(1).end(2, End::Cut));
    app.gemini.script(Rule::say("four five"));
    ada.ask(&room, "hello").await;
    // A text that is cut before anybody looks is shown to nobody.
    let first = reader.until("reply.delta").await;
    app.gemini.release();
    let waits = reader.until("reply.queued").await;
    let waits = &waits[waits.len() - 1].data;
    assert_eq!((&waits["attempt"], waits["retry_at"].is_string()), (&json!(1), true), "{waits}");
    assert!(waits["error"]["code"].is_string(), "{waits}");
    app.clock.advance(Duration::from_mins(1));
    app.app.live.ring_for_jobs();
    let rest = reader.until("reply.completed").await;
    assert_eq!((rest[0].name.as_str(), &rest[0].data["attempt"]), ("reply.restarted", &json!(2)));
    assert_eq!(text(&rest), "four five");
    let mut seen = Seen::default();
    seen.take_all(&first);
    seen.take_all(&rest);
}

#[tokio::test]
async fn a_failure_after_some_text_takes_the_text_back() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut reader = ada.listen(&events(&room), None).await;
    let fault = Fault::of(400);
    app.gemini.script(Rule::say("one two three").end(2, End::Error(fault)));
    ada.ask(&room, "hello").await;
    let all = reader.until("reply.failed").await;
    let mut seen = Seen::default();
    seen.take_all(&all);
    assert_eq!(all[all.len() - 1].data["message"]["content"], "");
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_gives_the_new_text_alone() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let sleeper = app.beside().await;
    let mut reader = ada.at(&sleeper).listen(&events(&room), None).await;
    app.gemini.script(Rule::say("one two three").hold(2).when("hello"));
    ada.ask(&room, "hello").await;
    sleeper.work();
    app.until_held(1).await;
    let first = reader.until("reply.delta").await;
    app.gemini.script(Rule::say("four five").when("hello"));
    app.clock.advance(app.app.settings.worker.lease + Duration::from_millis(1));
    app.work();
    // The reader's process hears of the new attempt by nothing but its look at the database.
    let rest = reader.until("reply.completed").await;
    let mut seen = Seen::default();
    seen.take_all(&first);
    seen.take_all(&rest);
    assert!(names(&rest).contains(&"reply.restarted"), "{:?}", names(&rest));
    assert_eq!(rest[rest.len() - 1].data["message"]["content"], "four five");
    app.gemini.release();
    app.settle().await;
}

#[tokio::test]
async fn a_bell_that_is_never_rung_costs_a_second_at_most() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let deaf = app.beside().await;
    let mut reader = ada.at(&deaf).listen(&events(&room), None).await;
    app.gemini.script(Rule::say(TEXT));
    ada.hears(&room, "hello").await;
    let since = tokio::time::Instant::now();
    let all = reader.until("reply.completed").await;
    // Twice as long as it should take on a machine that has nothing else to do.
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert_eq!(text(&all), TEXT);
}

#[tokio::test]
async fn a_message_may_be_answered_with_its_events() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let path = format!("/chatroom/{room}/message");
    let ask = || {
        let call = ada.call("POST", &path).header("accept", "text/event-stream").header("idempotency-key", "once");
        call.json(&json!({"content": "hello"})).listen()
    };
    app.gemini.script(Rule::say(TEXT));
    let mut reader = ask().await;
    let location = reader.header("location").expect("where the reply is").to_owned();
    let all = reader.until("reply.completed").await;
    assert_eq!(names(&all)[..2], ["message.created", "reply.queued"]);
    assert_eq!(text(&all), TEXT);
    assert!(reader.next().await.is_none(), "the stream ends with the reply");
    // From any of them the room goes on: nothing of what others did there meanwhile is missing, and no letter comes twice.
    ada.patch(&format!("/chatroom/{room}"), json!({"name": "Another"})).await.expect(200);
    for at in 0..all.len() {
        let mut on = ada.listen(&events(&room), Some(&all[at].id)).await;
        let rest = on.until("chatroom.updated").await;
        assert_eq!(text(&all[..=at]) + &text(&rest), TEXT, "after event {at}");
        assert_eq!(rest[rest.len() - 2].name, "reply.completed", "its end may come again");
    }
    // The same again is told of the same reply, and asks nothing.
    let mut again = ask().await;
    assert_eq!(
        (again.header("location"), again.header("idempotency-replayed")),
        (Some(location.as_str()), Some("true"))
    );
    let twice = again.until("reply.completed").await;
    assert_eq!((text(&twice).as_str(), app.questions().len()), (TEXT, 1));
    // What is refused is refused in JSON.
    let refused =
        ada.call("POST", &path).header("accept", "text/event-stream").json(&json!({"content": ""})).send().await;
    assert_eq!(refused.expect(422).code(), "invalid");
}

#[tokio::test]
async fn a_message_may_be_answered_with_its_reply() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let path = format!("/chatroom/{room}/message");
    let ask =
        |wait: &'static str| ada.call("POST", &path).header("prefer", wait).json(&json!({"content": "hello"})).send();
    app.gemini.script(Rule::say(TEXT));
    let answer = ask("wait=30").await.expect(200);
    assert_eq!(
        (&answer.json()["reply"]["content"], &answer.json()["reply"]["status"]),
        (&json!(TEXT), &json!("complete"))
    );
    assert_eq!(
        (answer.header("preference-applied"), answer.json()["prompts"]["used"].clone()),
        (Some("wait=30"), json!(1))
    );
    app.gemini.script(Rule::refuse(Fault::of(400)));
    let failed = ask("wait=30").await.expect(200).json();
    assert_eq!(
        (&failed["reply"]["status"], &failed["prompts"]["used"]),
        (&json!("failed"), &json!(1)),
        "it was given back"
    );
    app.gemini.script(Rule::say("one two").hold(1));
    let late = ask("wait=1").await.expect(202).json();
    assert_eq!(late["reply"]["status"], "queued");
    app.until_held(1).await;
    app.gemini.release();
    app.settle().await;
}

#[tokio::test]
async fn closing_a_stream_never_stops_an_answer() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say(TEXT).hold(1));
    let call = ada.call("POST", &format!("/chatroom/{room}/message")).header("accept", "text/event-stream");
    let mut reader = call.json(&json!({"content": "hello"})).listen().await;
    let reply = reader.until("reply.delta").await[1].data["message_id"].as_str().expect("an id").to_owned();
    drop(reader);
    app.gemini.release();
    app.settle().await;
    assert_eq!(ada.message(&room, &reply).await["content"], TEXT);
}

#[tokio::test]
async fn of_all_rooms_a_reader_is_told_what_begins_and_ends_without_text() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let mut reader = ada.listen("/events", None).await;
    let (first, second) = (ada.new_room().await, ada.new_room().await);
    app.gemini.script(Rule::say(TEXT).always());
    ada.hears(&first, "hello").await;
    ada.hears(&second, "hello").await;
    let mut all = reader.until("reply.completed").await;
    all.extend(reader.until("reply.completed").await);
    let expected = ["message.created", "reply.queued", "reply.started", "reply.completed"];
    assert_eq!(names(&all), [&["chatroom.updated", "chatroom.updated"], &expected[..], &expected[..]].concat());
    assert!(all.iter().all(|told| told.data["message"].get("content").is_none()), "{all:?}");
    assert_eq!(all[5].data["message"]["chatroom_id"], json!(first));
    for at in 0..all.len() - 1 {
        let mut again = ada.listen("/events", Some(&all[at].id)).await;
        let mut rest = Vec::new();
        while rest.len() < all.len() - 1 - at {
            rest.push(again.next().await.expect("an event"));
        }
        assert_eq!(names(&rest), names(&all[at + 1..]), "after {}", all[at].id);
    }
    // Nobody else is told.
    let bob = app.sign_up().await;
    let mut other = bob.listen("/events", Some("0.-.0.0")).await;
    bob.new_room().await;
    assert_eq!(other.next().await.expect("an event").name, "chatroom.updated");
}

async fn closes_with(reader: &mut Listening) -> Value {
    let all = reader.until("stream.closing").await;
    assert!(reader.next().await.is_none(), "nothing follows");
    all[all.len() - 1].data["reason"].clone()
}

#[tokio::test]
async fn a_stream_says_why_it_ends() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let (mut by_room, mut by_rooms) = (ada.listen(&events(&room), None).await, ada.listen("/events", None).await);
    ada.post("/auth/logout", json!({})).await.expect(204);
    assert_eq!(closes_with(&mut by_room).await, "session_ended");
    assert_eq!(closes_with(&mut by_rooms).await, "session_ended");

    let bob = app.sign_up().await;
    let room = bob.new_room().await;
    let mut reader = bob.listen(&events(&room), None).await;
    bob.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(closes_with(&mut reader).await, "chatroom_deleted");
    let mut reader = bob.listen("/events", None).await;
    app.clock.advance(Duration::from_mins(15));
    assert_eq!(closes_with(&mut reader).await, "token_expired");

    let eve = bob.at(&app);
    let mut reader = eve.listen("/events", None).await;
    let since = tokio::time::Instant::now();
    app.stop().await;
    assert_eq!(closes_with(&mut reader).await, "shutdown");
    assert!(since.elapsed() < Duration::from_secs(5), "nobody waits for readers");
}

#[tokio::test]
async fn what_is_not_there_or_no_id_is_refused() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    assert_eq!(bob.get(&events(&room)).await.expect(404).code(), "chatroom_not_found");
    for id in ["x", "1", "1.-.0", "1.-.0.0.0", "-1.-.0.0"] {
        let by_header = ada.call("GET", &events(&room)).header("last-event-id", id).send().await;
        assert_eq!(by_header.expect(422).json()["errors"][0]["field"], "last_event_id", "{id}");
        let by_query = ada.get(&format!("/events?last_event_id={id}")).await;
        assert_eq!(by_query.expect(422).json()["errors"][0]["field"], "last_event_id", "{id}");
    }
    // One from another day of the database goes on from now.
    let mut reader = ada.listen(&events(&room), Some("999999.-.0.0")).await;
    app.gemini.script(Rule::say(TEXT));
    ada.hears(&room, "hello").await;
    assert_eq!(text(&reader.until("reply.completed").await), TEXT);
}

#[tokio::test]
async fn who_was_away_for_a_thousand_messages_is_told_of_each_once() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    fill(&ada, &room, 1000).await;
    let mut reader = ada.listen(&events(&room), Some("0.-.0.0")).await;
    let mut seen = Seen::default();
    while seen.created.len() < 1000 {
        seen.take(&reader.next().await.expect("an event"));
        if seen.created.len() == 500 && seen.names.len() % 7 == 0 {
            reader = ada.listen(&events(&room), seen.last_id.as_deref()).await;
        }
    }
}

/// Messages of a person's, each in a change of its own, straight into the database.
async fn fill(ada: &Person<'_>, room: &str, count: i64) {
    let room: gemini_backend::ids::ChatroomId = room.parse().expect("an id");
    let app = &ada.app.app;
    let filled: gemini_backend::store::Result<()> = transaction!(app.store, |tx| {
        for seq in 1..=count {
            execute!(
                tx,
                "insert into messages (id, chatroom_id, seq, current, role, content, status, created_at, attempt, made_rev, rev)
                 values ($1, $2, $3, true, 'user', 'said', 'sent', $4, 0, $3, $3)",
                gemini_backend::ids::MessageId::new(app.clock.now()),
                room,
                seq,
                app.clock.now()
            )?;
        }
        execute!(tx, "update chatrooms set rev = $2, next_seq = $2 + 1 where id = $1", room, count)?;
        execute!(tx, "update queue_users set rev = $2 where user_id = $1", ada.user, count)?;
        Ok(())
    });
    filled.expect("the messages are stored");
}

#[tokio::test]
async fn fifty_readers_see_the_same() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let path = events(&room);
    let readers = join_all((0..50).map(|_| ada.listen(&path, None))).await;
    let long = "word नमस्ते 🙂 ".repeat(40);
    app.gemini.script(Rule::say(long.clone()));
    ada.ask(&room, "hello").await;
    let told = join_all(readers.into_iter().map(async |mut reader| text(&reader.until("reply.completed").await))).await;
    assert!(told.iter().all(|told| *told == long));
}
