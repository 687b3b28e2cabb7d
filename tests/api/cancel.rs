//! Cancelling: what waits ends at once and costs nothing, what is being written keeps what its readers saw.

use std::time::{Duration, Instant};

use gemini_backend::chat;
use gemini_backend::ids::{MessageId, NodeId};
use gemini_backend::jobs::{self, Wanted};
use gemini_backend::sandbox::gemini::{End, Ended, Entry, Fault, Rule, count_tokens};
use gemini_backend::{execute, transaction};
use serde_json::{Value, json};

use crate::harness::chat::{charged, fate};
use crate::harness::{Person, Room, TestApp};

const IN_FLIGHT: &str = "select cast(sum(in_flight) as bigint) from queue_users";
const UNFINISHED: &str = "select count(*) from jobs where finished_at is null";
const COMPLETION_TOKENS: &str = "select cast(coalesce(sum(completion_tokens), 0) as bigint) from token_days";

/// Someone whose reply is being written, and held after so many words of `one two three`.
async fn being_written(app: &TestApp, words: usize) -> (Person<'_>, Room, String) {
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("one two three").hold(words));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    let seen = ["", "one ", "one two "][words];
    ada.watches(&room, &reply, |reply| reply["content"] == seen).await;
    (ada, room, reply)
}

fn hung_up(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.end == Ended::Aborted)
}

/// What a cancel in another process leaves, before anybody hears of it.
pub(crate) async fn request_cancel(app: &TestApp, reply: &str) {
    let (id, now): (MessageId, _) = (reply.parse().expect("an id"), app.clock.now());
    let sql = "update messages set cancel_requested_at = $2 where id = $1";
    let noted = transaction!(app.app.store, |tx| { execute!(tx, sql, id, now) });
    assert_eq!(noted.expect("it is noted"), 1);
}

#[tokio::test]
async fn a_reply_that_waits_ends_at_once_and_costs_nothing() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut replies = Vec::new();
    for text in ["first", "second", "third"] {
        replies.push(ada.asks(&room, text).await);
    }
    // In front of the others, and behind one.
    for (left, cancelled) in [(2, &replies[0]), (1, &replies[2])] {
        let reply = ada.cancels(&room, cancelled).await;
        assert_eq!((fate(&reply), &reply["content"], charged(&reply)), (("cancelled", ""), &json!(""), Some(false)));
        assert_eq!((&reply["attempt"], &reply["prompt"]["reason"]), (&json!(0), &json!("cancelled")));
        assert_eq!(reply["completed_at"], app.clock.now().to_string());
        assert_eq!(ada.message(&room, cancelled).await, reply);
        assert_eq!((ada.prompts_used().await, app.count(UNFINISHED).await), (left, left));
    }
    app.work();
    app.settle().await;
    assert_eq!(fate(&ada.message(&room, &replies[1]).await).0, "complete", "the next of the room comes forward");
    assert_eq!(app.questions().len(), 1);
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (1, 0));
}

#[tokio::test]
async fn a_reply_being_written_keeps_what_its_readers_saw_and_gemini_stops() {
    let app = TestApp::start().await;
    let (ada, room, id) = being_written(&app, 2).await;
    let next = ada.asks(&room, "and then?").await;
    let reply = ada.cancels(&room, &id).await;
    assert_eq!((fate(&reply), &reply["content"], charged(&reply)), (("cancelled", ""), &json!("one two "), Some(true)));
    assert_eq!((&reply["attempt"], reply.get("finish_reason")), (&json!(1), None));
    assert_eq!(reply["model"], app.app.settings.gemini.model);
    app.until_gemini(hung_up).await;
    app.settle().await;
    assert_eq!(ada.message(&room, &id).await, reply);
    assert_eq!(reply["usage"]["completion_tokens"], count_tokens("one two "));
    assert_eq!(fate(&ada.message(&room, &next).await).0, "complete", "the room goes on");
    let context = app.questions()[1].body["contents"].to_string();
    assert!(context.contains("one two ") && !context.contains("three"), "what was said stands: {context}");
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (2, 0));
}

#[tokio::test]
async fn a_cancel_reaches_gemini_within_a_fifth_of_a_second() {
    let mut fastest = Duration::MAX;
    // A machine with much else to do may be slow now and then.
    for _ in 0..5 {
        let app = TestApp::start().await;
        let (ada, room, id) = being_written(&app, 1).await;
        let begun = Instant::now();
        ada.cancels(&room, &id).await;
        app.until_gemini(hung_up).await;
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < Duration::from_millis(200), "{fastest:?}");
}

#[tokio::test]
async fn a_reply_without_a_word_gives_its_prompt_back() {
    let app = TestApp::start().await;
    let (ada, room, id) = being_written(&app, 0).await;
    let reply = ada.cancels(&room, &id).await;
    assert_eq!((fate(&reply), &reply["content"], charged(&reply)), (("cancelled", ""), &json!(""), Some(false)));
    assert_eq!((reply.get("model"), &reply["attempt"]), (None, &json!(1)));
    app.until_gemini(hung_up).await;
    app.settle().await;
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (0, 0));
    assert_eq!(ada.hears(&room, "go on").await["status"], "complete");
    let context = app.questions()[1].body["contents"].to_string();
    assert!(!context.contains("hello"), "a question without an answer is no context: {context}");
}

#[tokio::test]
async fn a_reply_that_waits_to_be_tried_again_ends_at_once() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(3).end(1, End::Error(Fault::of(503).retry("30s"))));
    let waits = ada.hears(&room, "hello").await;
    assert_eq!(fate(&waits), ("queued", "upstream_unavailable"));
    let id = waits["id"].as_str().expect("an id");
    let next = ada.asks(&room, "and then?").await;
    let reply = ada.cancels(&room, id).await;
    assert_eq!((fate(&reply), reply.get("retry_at"), charged(&reply)), (("cancelled", ""), None, Some(false)));
    assert_eq!((&reply["content"], &reply["attempt"]), (&json!(""), &json!(1)));
    app.settle().await;
    assert_eq!(fate(&ada.message(&room, &next).await).0, "complete", "nothing is waited for any more");
    app.clock.advance(Duration::from_mins(1));
    app.settle().await;
    assert_eq!((ada.message(&room, id).await, app.questions().len()), (reply, 2));
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (1, 0));
}

#[tokio::test]
async fn a_reply_that_has_ended_stays_as_it_is() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let complete = ada.hears(&room, "hello").await;
    app.gemini.script(Rule::refuse(Fault::of(400)));
    let failed = ada.hears(&room, "hello").await;
    app.gemini.script(Rule::say("one two").hold(1));
    let cancelled = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    let cancelled = ada.cancels(&room, &cancelled).await;
    app.settle().await;
    let used = ada.prompts_used().await;
    for (status, reply) in [("complete", complete), ("failed", failed), ("cancelled", cancelled)] {
        let id = reply["id"].as_str().expect("an id");
        assert_eq!(reply["status"], status);
        assert_eq!(ada.cancels(&room, id).await, reply);
        assert_eq!(ada.message(&room, id).await, reply);
    }
    assert_eq!(ada.prompts_used().await, used);
}

#[tokio::test]
async fn only_ones_own_replies_can_be_cancelled() {
    let app = TestApp::idle(|_| {}).await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    let accepted = ada.ask(&room, "hello").await;
    let id = |of: &str| accepted[of]["id"].as_str().expect("an id").to_owned();
    let cancel = async |who: &Person<'_>, room: &str, id: &str| {
        who.call("POST", &format!("/chatroom/{room}/messages/{id}/cancel")).send().await
    };
    assert_eq!(cancel(&ada, &room, &id("message")).await.expect(422).code(), "not_a_reply");
    assert_eq!(cancel(&bob, &room, &id("reply")).await.expect(404).code(), "chatroom_not_found");
    assert_eq!(cancel(&ada, &other, &id("reply")).await.expect(404).code(), "message_not_found");
    assert_eq!(cancel(&ada, &room, &room).await.expect(404).code(), "message_not_found");
    assert_eq!(ada.message(&room, &id("reply")).await["status"], "queued");
    ada.cancels(&room, &id("reply")).await;
}

#[tokio::test]
async fn a_holder_in_another_process_hears_of_it_when_it_renews() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("one two three").hold(2));
    let id = ada.asks(&room, "hello").await;
    let holder = app.beside().await;
    holder.work();
    app.until_held(1).await;
    ada.at(&holder).watches(&room, &id, |reply| reply["content"] == "one two ").await;
    assert_eq!(ada.cancels(&room, &id).await["status"], "generating", "its holder has not heard of it");
    holder.clock.advance(app.app.settings.worker.lease / 3);
    app.until_gemini(hung_up).await;
    let reply = ada.watches(&room, &id, |reply| reply["status"] == "cancelled").await;
    assert_eq!((&reply["content"], charged(&reply), &reply["attempt"]), (&json!("one two "), Some(true), &json!(1)));
    holder.settle().await;
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (1, 0));
}

#[tokio::test]
async fn whoever_comes_after_a_holder_that_died_ends_it_and_asks_nobody() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let id = ada.asks(&room, "hello").await;
    let now = app.clock.now();
    let lease_until = now.plus(Duration::from_secs(1));
    let wanted = Wanted { holder: NodeId::new(now), now, lease_until, most: 1, only_basic: false };
    assert_eq!(jobs::claim_heads(&app.app.store, wanted).await.expect("a claim").0.len(), 1);
    assert_eq!(ada.cancels(&room, &id).await["status"], "generating", "only its holder ends it");
    app.clock.advance(Duration::from_secs(2));
    app.work();
    app.settle().await;
    let reply = ada.message(&room, &id).await;
    assert_eq!((fate(&reply), &reply["content"], charged(&reply)), (("cancelled", ""), &json!(""), Some(false)));
    assert_eq!((&reply["attempt"], app.questions().len()), (&json!(2), 0));
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (0, 0));
    assert_eq!(ada.hears(&room, "go on").await["status"], "complete", "the room goes on");
}

#[tokio::test]
async fn what_an_operator_has_written_after_all_is_not_cancelled_by_what_was_said_before() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(3).hold(1).end(2, End::Error(Fault::of(400))));
    let id = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    request_cancel(&app, &id).await;
    app.gemini.release();
    app.settle().await;
    assert_eq!(ada.message(&room, &id).await["status"], "failed", "it failed before its holder heard of the cancel");
    chat::retry_reply(&app.app, id.parse().expect("an id")).await.expect("it is promised once more");
    app.settle().await;
    let reply: Value = ada.message(&room, &id).await;
    assert_eq!((fate(&reply).0, charged(&reply)), ("complete", Some(false)));
}

#[tokio::test]
async fn what_leaves_a_lane_lets_nobody_past_its_head() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::refuse(Fault::of(400)));
    let failed = ada.hears(&room, "hello").await;
    app.gemini.script(Rule::say("one two").hold(1));
    let written = ada.asks(&room, "and then?").await;
    app.until_held(1).await;
    // An older reply waits again, behind the one that is being written.
    let id = failed["id"].as_str().expect("an id");
    chat::retry_reply(&app.app, id.parse().expect("an id")).await.expect("it is promised once more");
    let newest = ada.asks(&room, "and at last?").await;
    ada.cancels(&room, &newest).await;
    let heads = "select count(*) from jobs where head";
    assert_eq!((app.count(heads).await, app.count(IN_FLIGHT).await), (1, 1));
    app.gemini.release();
    app.settle().await;
    for reply in [id, &written] {
        assert_eq!(ada.message(&room, reply).await["status"], "complete");
    }
}

#[tokio::test]
async fn deleting_a_room_hangs_up_at_once() {
    // Long enough that no renewal finds it.
    let app = TestApp::with(|settings| settings.worker.lease = Duration::from_hours(1)).await;
    let (ada, room, _) = being_written(&app, 2).await;
    let begun = Instant::now();
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    app.until_gemini(hung_up).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "sooner than patience with a silent Gemini ends");
    app.settle().await;
    let tokens = count_tokens("one two ").cast_signed();
    crate::harness::until("they count", async || (app.count(COMPLETION_TOKENS).await == tokens).then_some(())).await;
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (1, 0));
}
