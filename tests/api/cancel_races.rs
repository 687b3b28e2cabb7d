//! A cancel that comes at the same moment as something else: one of them wins, and whoever does, the reply ends once.

use std::time::Duration;

use futures_util::future::{join, join_all};
use gemini_backend::sandbox::gemini::{End, Fault, Rule};
use serde_json::{Value, json};

use crate::cancel::request_cancel;
use crate::harness::chat::{charged, fate};
use crate::harness::{Person, TestApp};

const IN_FLIGHT: &str = "select cast(sum(in_flight) as bigint) from queue_users";

/// The prompts that these replies should have cost: each that was complete, or cancelled with a word.
async fn assert_paid(app: &TestApp, ada: &Person<'_>, replies: &[Value]) {
    let mut cost = 0;
    for reply in replies {
        let has_text = reply["content"] != "";
        let is_paid = match fate(reply).0 {
            "complete" => true,
            "cancelled" => has_text,
            other => panic!("{other}: {reply}"),
        };
        assert_eq!(charged(reply), Some(is_paid), "{reply}");
        cost += i64::from(is_paid);
    }
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (cost, 0));
}

async fn talkative() -> TestApp {
    TestApp::with(|settings| settings.quota.basic_daily_prompts = 1000).await
}

#[tokio::test]
async fn at_the_moment_of_its_completion() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut replies = Vec::new();
    for round in 0..20 {
        app.gemini.script(Rule::say("one two").hold(1));
        let id = ada.asks(&room, "hello").await;
        app.until_held(1).await;
        let release = async {
            tokio::time::sleep(Duration::from_millis(round % 5)).await;
            app.gemini.release();
        };
        let (told, ()) = join(ada.cancels(&room, &id), release).await;
        app.settle().await;
        let reply = ada.message(&room, &id).await;
        assert_eq!(reply, told, "what was answered is how it ended");
        assert!(reply["status"] != "complete" || reply["content"] == "one two", "{reply}");
        replies.push(reply);
    }
    assert_paid(&app, &ada, &replies).await;
}

#[tokio::test]
async fn at_the_moment_of_its_claim() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("one two").always());
    let mut replies = Vec::new();
    for round in 0..30 {
        let id = ada.asks(&room, "hello").await;
        tokio::time::sleep(Duration::from_millis(round % 6)).await;
        let told = ada.cancels(&room, &id).await;
        app.settle().await;
        let reply = ada.message(&room, &id).await;
        assert_eq!(reply, told, "what was answered is how it ended");
        replies.push(reply);
    }
    assert_paid(&app, &ada, &replies).await;
}

#[tokio::test]
async fn many_times_at_once() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("one two").hold(1));
    let (written, waiting) = (ada.asks(&room, "hello").await, ada.asks(&room, "and then?").await);
    app.until_held(1).await;
    ada.watches(&room, &written, |reply| reply["content"] == "one ").await;
    for id in [&waiting, &written] {
        let told = join_all((0..5).map(|_| ada.cancels(&room, id))).await;
        assert!(told.iter().all(|reply| *reply == told[0]), "{told:?}");
        assert_eq!(told[0]["status"], "cancelled");
    }
    app.settle().await;
    let replies = [ada.message(&room, &written).await, ada.message(&room, &waiting).await];
    assert_eq!((&replies[0]["content"], &replies[1]["content"]), (&json!("one "), &json!("")));
    assert_paid(&app, &ada, &replies).await;
}

/// Without it the reply would wait for its next try, cancelled long ago.
#[tokio::test]
async fn a_fault_that_meets_a_cancel_is_not_waited_out() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut replies = Vec::new();
    for (rule, text) in [
        (Rule::words(3).hold(2).end(2, End::Error(Fault::of(503))), "word1 word2 "),
        (Rule::words(3).hold(0).end(0, End::Cut), ""),
    ] {
        app.gemini.script(rule);
        let id = ada.asks(&room, "hello").await;
        app.until_held(1).await;
        ada.watches(&room, &id, |reply| reply["content"] == text).await;
        request_cancel(&app, &id).await;
        app.gemini.release();
        app.settle().await;
        let reply = ada.message(&room, &id).await;
        assert_eq!((fate(&reply), &reply["content"]), (("cancelled", ""), &json!(text)));
        replies.push(reply);
    }
    assert_paid(&app, &ada, &replies).await;
}

#[tokio::test]
async fn a_process_that_ends_hands_nothing_back_that_is_cancelled() {
    let app = TestApp::with(|settings| settings.worker.drain = Duration::ZERO).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("one two three").hold(2));
    let id = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    ada.watches(&room, &id, |reply| reply["content"] == "one two ").await;
    request_cancel(&app, &id).await;
    app.stop().await;
    let next = app.beside().await;
    let ada = ada.at(&next);
    let reply = ada.message(&room, &id).await;
    assert_eq!((fate(&reply), &reply["content"]), (("cancelled", ""), &json!("one two ")));
    assert_paid(&next, &ada, &[reply]).await;
}
