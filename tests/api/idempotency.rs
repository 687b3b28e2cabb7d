//! `Idempotency-Key`: however often a request is sent, it is done once, and every sender hears the same.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::sandbox::gemini::Rule;
use serde_json::{Value, json};

use crate::harness::{Answer, Person, TestApp};

const KEY: &str = "0193-a-key";

async fn send(person: &Person<'_>, path: &str, key: &str, body: &Value) -> Answer {
    person.call("POST", path).header("idempotency-key", key).json(body).send().await
}

/// Says something under a key.
async fn say(person: &Person<'_>, room: &str, key: &str, text: &str) -> Answer {
    send(person, &format!("/chatroom/{room}/message"), key, &json!({"content": text})).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// All of the same status, one of them the first; the answers without what may differ: the state of the reply.
fn one_and_the_same(answers: &[Answer], status: u16) -> Vec<Value> {
    assert!(answers.iter().all(|answer| answer.status == status));
    assert_eq!(answers.iter().filter(|answer| !is_replay(answer)).count(), 1);
    assert!(answers.iter().all(|answer| answer.header("location") == answers[0].header("location")));
    answers.iter().map(Answer::json).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_sends_with_one_key_make_one_message() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let answers = join_all((0..100).map(|_| say(&ada, &room, KEY, "once"))).await;
    let bodies = one_and_the_same(&answers, 202);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "nothing has changed meanwhile");
    assert_eq!(app.count("select count(*) from messages").await, 2);
    assert_eq!(ada.prompts_used().await, 1);
    app.work();
    app.settle().await;
    assert_eq!(app.questions().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_rooms_with_one_key_are_one_room() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let body = json!({"name": "one"});
    let answers = join_all((0..100).map(|_| send(&ada, "/chatroom", KEY, &body))).await;
    let bodies = one_and_the_same(&answers, 201);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(ada.get("/chatroom").await.expect(200).json()["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_replay_shows_how_things_stand_now() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(5).hold(2));
    let first = say(&ada, &room, KEY, "tell me").await.expect(202);
    assert!(!is_replay(&first));
    let reply = first.json()["reply"]["id"].as_str().expect("an id").to_owned();
    app.until_held(1).await;
    ada.watches(&room, &reply, |reply| reply["content"] == "word1 word2 ").await;
    let during = say(&ada, &room, KEY, "tell me").await.expect(202);
    assert!(is_replay(&during));
    assert_eq!(during.json()["reply"]["status"], "generating");
    assert_eq!(during.json()["reply"]["content"], "word1 word2 ");
    app.gemini.release();
    app.settle().await;
    let after = say(&ada, &room, KEY, "tell me").await.expect(202);
    assert_eq!((is_replay(&after), after.header("location")), (true, first.header("location")));
    assert_eq!(after.json()["message"], first.json()["message"]);
    assert_eq!(after.json()["reply"], ada.message(&room, &reply).await);
    assert_eq!(after.json()["prompts"], first.json()["prompts"], "not charged again");
    assert_eq!(app.questions().len(), 1);

    let room = send(&ada, "/chatroom", "another", &json!({"name": "before"})).await.expect(201).json();
    ada.patch(&format!("/chatroom/{}", room["id"].as_str().expect("an id")), json!({"name": "after"}))
        .await
        .expect(200);
    let again = send(&ada, "/chatroom", "another", &json!({"name": "before"})).await.expect(201);
    assert_eq!((is_replay(&again), &again.json()["id"], &again.json()["name"]), (true, &room["id"], &json!("after")));
}

#[tokio::test]
async fn a_key_is_for_one_request() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    say(&ada, &room, KEY, "this").await.expect(202);
    app.settle().await;
    for answer in [
        say(&ada, &room, KEY, "that").await,
        say(&ada, &other, KEY, "this").await,
        send(&ada, "/chatroom", KEY, &json!({"name": "this"})).await,
    ] {
        assert_eq!(answer.expect(422).code(), "idempotency_mismatch");
    }
    for (path, body) in [
        ("message", json!({"user_message": "this"})),
        ("messages", json!({"content": "this"})),
        ("message/", json!({"message": "this", "extra": true})),
    ] {
        let answer = send(&ada, &format!("/chatroom/{room}/{path}"), KEY, &body).await.expect(202);
        assert!(is_replay(&answer), "the same by another name: {path}");
    }
    assert_eq!(ada.prompts_used().await, 1);

    send(&ada, "/chatroom", "room", &json!({"title": "a"})).await.expect(201);
    assert!(is_replay(&send(&ada, "/chatroom/create/", "room", &json!({"name": " a "})).await.expect(201)));
    for body in [json!({"name": "b"}), json!({"name": "a", "model": "gemini-flash-latest"}), json!({"model": "a"})] {
        assert_eq!(send(&ada, "/chatroom", "room", &body).await.expect(422).code(), "idempotency_mismatch", "{body}");
    }
}

#[tokio::test]
async fn keys_of_different_people_are_apart() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let rooms = [ada.new_room().await, bob.new_room().await];
    let first = say(&ada, &rooms[0], KEY, "this").await.expect(202);
    let second = say(&bob, &rooms[1], KEY, "that").await.expect(202);
    assert!(!is_replay(&first) && !is_replay(&second));
    app.settle().await;
    assert_eq!(say(&bob, &rooms[0], KEY, "this").await.expect(422).code(), "idempotency_mismatch");
}

#[tokio::test]
async fn what_a_key_made_stays_gone_when_it_was_deleted() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = send(&ada, "/chatroom", "room", &json!({"name": "a"})).await.expect(201).json();
    let room = room["id"].as_str().expect("an id");
    say(&ada, room, KEY, "once").await.expect(202);
    app.settle().await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(say(&ada, room, KEY, "once").await.expect(404).code(), "message_not_found");
    assert_eq!(send(&ada, "/chatroom", "room", &json!({"name": "a"})).await.expect(404).code(), "chatroom_not_found");
    assert_eq!(say(&ada, room, KEY, "twice").await.expect(422).code(), "idempotency_mismatch");
    assert_eq!(ada.get("/chatroom").await.expect(200).json()["data"], json!([]));
    assert_eq!(app.count("select count(*) from messages").await, 0);
    assert_eq!(ada.prompts_used().await, 1);
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 1).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    say(&ada, &room, "first", "one").await.expect(202);
    app.settle().await;
    assert_eq!(say(&ada, &room, KEY, "two").await.expect(429).code(), "prompt_limit_reached");
    say(&ada, &room, KEY, " ").await.expect(422);
    say(&ada, "01939a3c-0000-7000-8000-000000000000", KEY, "two").await.expect(404);
    assert_eq!(app.count("select count(*) from idempotency_keys").await, 1);
    app.advance_to_midnight();
    let ada = ada.at(&app);
    let answer = say(&ada, &room, KEY, "two").await.expect(202);
    assert!(!is_replay(&answer));
    app.settle().await;
    assert!(is_replay(&say(&ada, &room, KEY, "two").await.expect(202)));
}

#[tokio::test]
async fn a_key_is_looked_at_before_the_limits() {
    let app = TestApp::with(|settings| {
        settings.quota.basic_daily_prompts = 1;
        settings.gemini.daily_token_budget = Some(1);
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    say(&ada, &room, KEY, "one").await.expect(202);
    app.settle().await;
    assert_eq!(say(&ada, &room, "other", "two").await.expect(503).code(), "budget_exhausted");
    let replay = say(&ada, &room, KEY, "one").await.expect(202);
    assert!(is_replay(&replay));
    assert_eq!(replay.json()["reply"]["status"], "complete");
}

#[tokio::test]
async fn a_key_that_cannot_be_one_is_refused() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for key in ["", &"k".repeat(256), "a b"] {
        for answer in [say(&ada, &room, key, "hi").await, send(&ada, "/chatroom", key, &json!({})).await] {
            assert_eq!(answer.expect(422).json()["errors"][0]["field"], "Idempotency-Key", "{key:?}");
        }
    }
    say(&ada, &room, &"k".repeat(255), "hi").await.expect(202);
    app.settle().await;
}

#[tokio::test]
async fn a_replay_that_came_too_fast_is_one_after_the_wait() {
    let app = TestApp::with(|settings| settings.server.requests_per_minute = 4).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let first = say(&ada, &room, KEY, "one").await.expect(202);
    app.settle().await;
    for _ in 0..2 {
        assert!(is_replay(&say(&ada, &room, KEY, "one").await.expect(202)));
    }
    // How fast somebody asks is looked at before what is asked, a key included.
    let refused = say(&ada, &room, KEY, "one").await.expect(429);
    assert_eq!((refused.code().as_str(), is_replay(&refused)), ("rate_limited", false));
    let wait = refused.header("retry-after").expect("a header").parse().expect("seconds");
    app.clock.advance(Duration::from_secs(wait));
    let replay = say(&ada, &room, KEY, "one").await.expect(202);
    assert!(is_replay(&replay));
    assert_eq!(replay.header("location"), first.header("location"));
    assert_eq!(app.count("select count(*) from messages").await, 2);
}
