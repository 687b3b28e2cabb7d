//! What readers are told of what is done to a room: of edits, of answers asked for again, of what others say meanwhile.

use std::time::Duration;

use gemini_backend::sandbox::gemini::Rule;
use gemini_backend::store::sql::Fork;
use gemini_backend::{execute, transaction};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::harness::live::{Listening, Told};
use crate::harness::{Person, TestApp};

fn events(room: &str) -> String {
    format!("/chatroom/{room}/events")
}

fn names(all: &[Told]) -> Vec<&str> {
    all.iter().map(|told| told.name.as_str()).collect()
}

/// Of which replies something is told, besides that they were made.
fn replies(all: &[Told]) -> Vec<&str> {
    let mut ids: Vec<_> = all.iter().filter_map(|told| told.data["message_id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn talkative() -> TestApp {
    TestApp::with(|settings| settings.quota.basic_daily_prompts = 1000).await
}

async fn with_events(ada: &Person<'_>, method: &str, path: &str, body: Value) -> Listening {
    ada.call(method, path).header("accept", "text/event-stream").json(&body).listen().await
}

#[tokio::test]
async fn a_stream_that_follows_one_reply_tells_no_other() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("a b c").hold(2));
    let first = ada.asks(&room, "one").await;
    app.until_held(1).await;
    ada.watches(&room, &first, |reply| reply["content"] == "a b ").await;
    let mut reader = with_events(&ada, "POST", &format!("/chatroom/{room}/message"), json!({"content": "two"})).await;
    let begin = reader.until("reply.queued").await;
    app.gemini.release();
    let rest = reader.until("reply.completed").await;
    assert!(reader.next().await.is_none());
    let second = begin[1].data["message_id"].as_str().expect("an id").to_owned();
    assert_ne!(first, second);
    assert_eq!(replies(&begin), [second.as_str()]);
    assert_eq!(replies(&rest), [second.as_str()], "{:?}", names(&rest));
    app.settle().await;
}

#[tokio::test]
async fn the_branch_is_told_to_have_changed_whatever_state_the_left_reply_is_in() {
    let app = TestApp::idle(|settings| settings.quota.basic_daily_prompts = 1000).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let answered = ada.asks(&room, "one").await;
    app.work();
    app.settle().await;
    let mut reader = ada.listen(&events(&room), None).await;
    // It is being written when it is left.
    app.gemini.script(Rule::say("a b c").hold(2));
    ada.regenerate(&room, &answered).await.expect(202);
    app.until_held(1).await;
    reader.until("reply.delta").await;
    ada.regenerate(&room, &answered).await.expect(202);
    let told = reader.until("reply.completed").await;
    let changed: Vec<_> = told.iter().filter(|told| told.name == "message.changed").collect();
    assert!(changed.iter().any(|told| told.data["from_seq"] == 3), "the second answer has left: {:?}", names(&told));
    app.settle().await;
}

#[tokio::test]
async fn a_waiting_reply_that_is_left_is_told_with_its_cancel() {
    let mut app = TestApp::idle(|settings| settings.quota.basic_daily_prompts = 1000).await;
    app.may_leave_jobs();
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let accepted = ada.ask(&room, "one").await;
    let (question, reply) = (accepted["message"]["id"].as_str().expect("an id"), accepted["reply"]["id"].clone());
    let mut reader = ada.listen(&events(&room), None).await;
    // The stream of the act itself tells what it did to others.
    let path = format!("/chatroom/{room}/messages/{question}");
    let mut own = with_events(&ada, "PATCH", &path, json!({"content": "eins"})).await;
    for reader in [&mut reader, &mut own] {
        let told = reader.until("reply.queued").await;
        let cancelled = told.iter().find(|told| told.name == "reply.cancelled").expect("it is wanted no more");
        assert_eq!(cancelled.data["message"]["id"], reply);
        let changed = told.iter().position(|told| told.name == "message.changed");
        assert!(changed.is_some_and(|at| at < told.len() - 2), "before what is new: {:?}", names(&told));
    }
}

#[tokio::test]
async fn a_waiting_answer_that_another_takes_the_place_of_is_told_to_have_left() {
    let mut app = TestApp::idle(|settings| settings.quota.basic_daily_prompts = 1000).await;
    app.may_leave_jobs();
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let first = ada.asks(&room, "one").await;
    ada.cancels(&room, &first).await;
    let second = ada.regenerate(&room, &first).await.expect(202).json()["reply"]["id"].clone();
    let mut reader = ada.listen(&events(&room), None).await;
    ada.regenerate(&room, &first).await.expect(202);
    let told = reader.until("reply.queued").await;
    assert_eq!(names(&told), ["message.changed", "reply.cancelled", "reply.queued"]);
    assert_eq!((&told[0].data["from_seq"], &told[1].data["message"]["id"]), (&json!(3), &second));
}

#[tokio::test]
async fn a_prompt_that_is_given_back_pays_for_what_is_asked_instead() {
    let mut app = TestApp::idle(|settings| settings.quota.basic_daily_prompts = 1).await;
    app.may_leave_jobs();
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let accepted = ada.ask(&room, "one").await;
    let question = accepted["message"]["id"].as_str().expect("an id");
    assert_eq!(ada.say(&room, "two").await.expect(429).code(), "prompt_limit_reached");
    let edited = ada.edit(&room, question, "eins").await.expect(202).json();
    assert_eq!(edited["prompts"]["remaining"], 0);
    assert_eq!(ada.message(&room, accepted["reply"]["id"].as_str().expect("an id")).await["status"], "cancelled");
    assert_eq!(ada.prompts_used().await, 1);
}

#[tokio::test]
async fn who_signs_out_is_told_no_more_however_fast_it_comes() {
    let mut app = talkative().await;
    app.may_leave_jobs();
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(20_000).pace(Duration::ZERO, Duration::from_millis(2)));
    ada.ask(&room, "tell me everything").await;
    let mut reader = ada.listen(&events(&room), None).await;
    reader.until("reply.delta").await;
    ada.post("/auth/logout", json!({})).await.expect(204);
    let told = reader.until("stream.closing").await;
    assert_eq!(told.last().map(|told| &told.data["reason"]), Some(&json!("session_ended")));
    assert!(told.len() > 2 && told.iter().all(|told| told.name != "reply.completed"), "text went on meanwhile");
}

#[tokio::test]
async fn a_reader_who_takes_nothing_slows_nobody_and_misses_nothing() {
    const PIECES: usize = 400;
    const LAST: &str = "event: reply.completed";
    let app = TestApp::with(|settings| settings.gemini.max_output_tokens = 65_000).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let piece = "abcdefgh".repeat(78);
    let text = piece.repeat(PIECES);
    // A window that holds less than one piece.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut slow = socket.connect(app.address).await.expect("a connection");
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        events(&room),
        ada.token
    );
    slow.write_all(head.as_bytes()).await.expect("sent");
    let mut taken = vec![0; 15];
    slow.read_exact(&mut taken).await.expect("the stream begins");
    assert_eq!(taken, b"HTTP/1.1 200 OK");
    let mut quick = ada.listen(&events(&room), None).await;
    let rule = Rule::chunks(std::iter::repeat_n(piece, PIECES));
    app.gemini.script(rule.pace(Duration::ZERO, Duration::from_millis(1)));
    let reply = ada.asks(&room, "tell me everything").await;
    let told = quick.until("reply.completed").await;
    // Not shown when it is another one: it is long.
    assert!(told[told.len() - 1].data["message"]["content"] == text);
    assert!(ada.message(&room, &reply).await["content"] == text);
    // Only now the slow one takes what there is.
    let (mut rest, mut is_last) = (Vec::new(), false);
    while !is_last || !rest.ends_with(b"\n\n\r\n") {
        let looked_at = rest.len().saturating_sub(LAST.len());
        assert!(slow.read_buf(&mut rest).await.expect("the stream goes on") > 0, "it ended too early");
        is_last |= rest[looked_at..].windows(LAST.len()).any(|window| window == LAST.as_bytes());
    }
    let deltas = |name: &str| String::from_utf8_lossy(&rest).matches(name).count();
    assert_eq!((deltas("event: reply.started"), deltas(LAST)), (1, 1));
    // Once in its pieces, once with the end.
    assert_eq!(String::from_utf8_lossy(&rest).matches("abcdefgh").count(), 2 * 78 * PIECES);
}

macro_rules! fill {
    ($id:literal) => {
        concat!(
            "insert into messages (id, chatroom_id, seq, current, role, content, status, created_at, attempt, made_rev, rev)
             with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 5001)
             select ",
            $id,
            ", $1, n, true, 'user', 'said', 'sent', $2, 0, n, n from numbers"
        )
    };
}

const FILL: Fork = Fork { sqlite: fill!("randomblob(16)"), postgres: fill!("gen_random_uuid()") };

#[tokio::test]
async fn who_missed_too_much_is_told_to_read_again() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let id: gemini_backend::ids::ChatroomId = room.parse().expect("an id");
    let filled: gemini_backend::store::Result<()> = transaction!(app.app.store, |tx| {
        execute!(tx, FILL, id, app.clock.now())?;
        execute!(tx, "update chatrooms set rev = 5001, next_seq = 5002 where id = $1", id)?;
        execute!(tx, "update queue_users set rev = 5001 where user_id = $1", ada.user)?;
        Ok(())
    });
    filled.expect("the messages are stored");
    for path in [events(&room), "/events".to_owned()] {
        let mut reader = ada.listen(&path, Some("0.-.0.0")).await;
        let told = reader.until("message.changed").await;
        assert_eq!(names(&told), ["message.changed"], "and nothing one by one");
        assert_eq!((&told[0].data["chatroom_id"], &told[0].data["from_seq"]), (&json!(room), &json!(1)));
        let mut on = ada.listen(&path, Some(&told[0].id)).await;
        ada.patch(&format!("/chatroom/{room}"), json!({"name": "Another"})).await.expect(200);
        assert_eq!(names(&on.until("chatroom.updated").await), ["chatroom.updated"]);
        assert_eq!(names(&reader.until("chatroom.updated").await), ["chatroom.updated"]);
    }
}

#[tokio::test]
async fn what_a_client_accepts_and_had_is_read_as_it_is_meant() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let path = format!("/chatroom/{room}/message");
    let ask = |accept: &'static str| {
        ada.call("POST", &path).header("accept", accept).json(&json!({"content": "hello"})).send()
    };
    for accept in ["application/json, text/event-stream;q=0", "text/event-stream; q=0.0"] {
        assert_eq!(ask(accept).await.expect(202).json()["reply"]["status"], "queued", "{accept}");
    }
    let streamed = ask("text/event-stream;q=0.5, application/json").await.expect(200);
    assert_eq!(streamed.content_type(), "text/event-stream");
    let id = reqwest::header::HeaderValue::from_bytes(b"7.\xff.0.0").expect("a header's value");
    let refused = ada.call("GET", &events(&room)).header("last-event-id", id).send().await.expect(422);
    assert_eq!(refused.json()["errors"][0]["field"], "last_event_id");
    app.settle().await;
}
