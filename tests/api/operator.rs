//! What an operator does with replies that failed.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::chat::{RetryError, failed_replies, retry_reply};
use gemini_backend::ids::MessageId;
use gemini_backend::retention;
use gemini_backend::sandbox::gemini::{Fault, Rule};
use serde_json::{Value, json};

use crate::harness::chat::{charged, fate, reply_id};
use crate::harness::{Person, TestApp};

/// A reply that fails, by Gemini's refusal.
async fn failing(person: &Person<'_>, room: &str) -> Value {
    person.app.gemini.script(Rule::refuse(Fault::of(400)));
    let reply = person.hears(room, "hello").await;
    assert_eq!(fate(&reply), ("failed", "upstream_rejected"));
    reply
}

fn id(reply: &Value) -> &str {
    reply["id"].as_str().expect("an id")
}

#[tokio::test]
async fn failed_replies_are_listed_newest_first() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let (room, his) = (ada.new_room().await, bob.new_room().await);
    assert_eq!(failed_replies(&app.app, 10).await.expect("a list").len(), 0);
    let first = failing(&ada, &room).await;
    ada.hears(&room, "this one is good").await;
    app.clock.advance(Duration::from_secs(1));
    let second = failing(&bob, &his).await;
    let listed = failed_replies(&app.app, 10).await.expect("a list");
    assert_eq!(listed.iter().map(|reply| reply.id).collect::<Vec<_>>(), [reply_id(&second), reply_id(&first)]);
    let newest = serde_json::to_value(&listed[0]).expect("JSON");
    assert_eq!(
        newest,
        json!({
            "id": second["id"], "chatroom_id": his, "user_id": bob.id, "code": "upstream_rejected",
            "message": second["error"]["message"], "failed_at": "2026-11-21T10:00:01.000Z", "attempt": 1,
        })
    );
    assert_eq!(failed_replies(&app.app, 1).await.expect("a list").len(), 1);
}

#[tokio::test]
async fn a_retry_is_free_and_goes_on_counting_attempts() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let failed = failing(&ada, &room).await;
    app.gemini.script(Rule::words(3).hold(2));
    retry_reply(&app.app, reply_id(&failed)).await.expect("it had failed");
    app.until_held(1).await;
    let again = ada.watches(&room, id(&failed), |reply| reply["content"] == "word1 word2 ").await;
    assert_eq!((fate(&again), &again["attempt"]), (("generating", ""), &json!(2)));
    assert_eq!((again.get("prompt"), again.get("completed_at")), (None, None));
    app.gemini.release();
    app.settle().await;
    let done = ada.message(&room, id(&failed)).await;
    assert_eq!((fate(&done), &done["content"]), (("complete", ""), &json!("word1 word2 word3 ")));
    assert_eq!((charged(&done), &done["attempt"], &done["seq"]), (Some(false), &json!(2), &failed["seq"]));
    assert_eq!(ada.prompts_used().await, 0);
    assert_eq!(failed_replies(&app.app, 10).await.expect("a list").len(), 0);
}

#[tokio::test]
async fn a_retry_has_all_its_tries_and_all_its_time() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::refuse(Fault::of(503)).times(6));
    let reply = ada.asks(&room, "hello").await;
    for _ in 0..5 {
        app.settle().await;
        app.clock.advance(Duration::from_secs(32));
    }
    app.settle().await;
    assert_eq!(fate(&ada.message(&room, &reply).await).0, "failed");
    app.clock.advance(Duration::from_hours(1));
    app.gemini.script(Rule::refuse(Fault::of(503)).times(5));
    retry_reply(&app.app, reply.parse().expect("an id")).await.expect("it had failed");
    for _ in 0..5 {
        app.settle().await;
        app.clock.advance(Duration::from_secs(32));
    }
    app.settle().await;
    let reply = ada.at(&app).message(&room, &reply).await;
    assert_eq!((fate(&reply).0, &reply["attempt"]), ("complete", &json!(12)));
}

#[tokio::test]
async fn a_retry_after_its_job_was_swept_goes_on_counting_too() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let failed = failing(&ada, &room).await;
    app.clock.advance(app.app.settings.retention.finished_jobs + Duration::from_secs(1));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(app.count("select count(*) from jobs").await, 0);
    retry_reply(&app.app, reply_id(&failed)).await.expect("it had failed");
    app.settle().await;
    assert_eq!(failed_replies(&app.app, 10).await.expect("a list").len(), 0);
    assert_eq!(app.count("select attempt from messages where role = 'model'").await, 2);
    assert_eq!(app.questions()[1].tag, Some(format!("{}.2", id(&failed))));
}

#[tokio::test]
async fn only_what_failed_can_be_retried() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let good = ada.hears(&room, "hello").await;
    app.gemini.script(Rule::refuse(Fault::of(503).retry("60s")));
    let waiting = ada.hears(&room, "hello").await;
    let question = ada.messages(&room).await[0].clone();
    let failed = failing(&ada, &ada.new_room().await).await;
    let nobody = MessageId::new(app.clock.now());
    for reply in [reply_id(&good), reply_id(&waiting), reply_id(&question), nobody] {
        let refused = retry_reply(&app.app, reply).await;
        assert!(matches!(refused, Err(RetryError::NotFailed)), "{refused:?}");
    }
    let gone = failed["chatroom_id"].as_str().expect("an id");
    ada.delete(&format!("/chatroom/{gone}")).await.expect(204);
    assert!(matches!(retry_reply(&app.app, reply_id(&failed)).await, Err(RetryError::NotFailed)));
    app.clock.advance(Duration::from_mins(1));
    app.settle().await;
    assert_eq!(app.questions().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_retry_at_once_retry_once() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let failed = failing(&ada, &room).await;
    app.gemini.script(Rule::say("after all").hold(0).always());
    let tries = join_all((0..10).map(|_| retry_reply(&app.app, reply_id(&failed)))).await;
    assert_eq!(tries.iter().filter(|retried| retried.is_ok()).count(), 1, "{tries:?}");
    app.until_held(1).await;
    app.gemini.release();
    app.settle().await;
    let done = ada.message(&room, id(&failed)).await;
    assert_eq!((&done["content"], &done["attempt"], app.questions().len()), (&json!("after all"), &json!(2), 2));
}

#[tokio::test]
async fn a_retry_waits_for_what_is_being_written_in_its_room() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let failed = failing(&ada, &room).await;
    app.gemini.script(Rule::say("the later one").hold(1));
    let later = ada.asks(&room, "later").await;
    app.until_held(1).await;
    retry_reply(&app.app, reply_id(&failed)).await.expect("it had failed");
    assert_eq!(fate(&ada.message(&room, id(&failed)).await).0, "queued");
    app.gemini.release();
    app.settle().await;
    let questions = app.questions();
    assert!(questions[1].ended_us.expect("an end") <= questions[2].received_us, "one at a time");
    for reply in [id(&failed), &later] {
        assert_eq!(fate(&ada.message(&room, reply).await).0, "complete");
    }
}
