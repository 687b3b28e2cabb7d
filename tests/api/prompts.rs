//! Prompts: so many a UTC day, counted exactly, charged for answers and given back for everything else.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::auth::Plan;
use gemini_backend::chat;
use gemini_backend::sandbox::gemini::{End, Fault, Rule};
use serde_json::{Value, json};

use crate::harness::chat::{charged, fate, reply_id};
use crate::harness::{Person, TestApp};

async fn send_many(person: &Person<'_>, sends: usize, rooms: &[String]) -> Vec<u16> {
    let answers = join_all((0..sends).map(|at| person.say(&rooms[at % rooms.len()], "hi"))).await;
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((refused.status, refused.code().as_str()), (429, "prompt_limit_reached"));
    }
    answers.iter().map(|answer| answer.status).filter(|status| *status == 202).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_spend_five_prompts() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let rooms = ada.new_rooms(4).await;
    assert_eq!(send_many(&ada, 200, &rooms).await.len(), 5);
    app.settle().await;
    assert_eq!(ada.prompts_used().await, 5);
    assert_eq!(app.count("select count(*) from messages").await, 10);
    assert_eq!(app.count("select count(*) from jobs").await, 5);
    assert_eq!(app.questions().len(), 5);
}

#[tokio::test]
async fn a_limit_of_nothing_accepts_nothing() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 0).await;
    let ada = app.sign_up().await;
    let rooms = ada.new_rooms(1).await;
    assert_eq!(send_many(&ada, 20, &rooms).await.len(), 0);
    let refused = ada.say(&rooms[0], "hi").await.expect(429).json();
    assert_eq!(refused["prompts"]["limit"], 0);
    assert_eq!((&refused["prompts"]["used"], &refused["prompts"]["remaining"]), (&json!(0), &json!(0)));
    assert_eq!(app.count("select count(*) from messages").await, 0);
}

#[tokio::test]
async fn pro_has_no_limit_unless_it_is_given_one() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    ada.set_plan(Plan::Pro).await;
    let rooms = ada.new_rooms(3).await;
    assert_eq!(send_many(&ada, 20, &rooms).await.len(), 20);
    let prompts = ada.ask(&rooms[0], "hi").await["prompts"].clone();
    assert_eq!(prompts, json!({"limit": null, "used": 21, "remaining": null, "resets_at": "2026-11-22T00:00:00.000Z"}));
    app.settle().await;

    let app = TestApp::with(|settings| settings.quota.pro_daily_prompts = Some(7)).await;
    let ada = app.sign_up().await;
    ada.set_plan(Plan::Pro).await;
    let rooms = ada.new_rooms(3).await;
    assert_eq!(send_many(&ada, 20, &rooms).await.len(), 7);
    app.settle().await;
}

#[tokio::test]
async fn a_new_plan_holds_on_the_next_request() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 1).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.ask(&room, "one").await;
    ada.say(&room, "two").await.expect(429);
    ada.set_plan(Plan::Pro).await;
    assert_eq!(ada.ask(&room, "two").await["prompts"]["limit"], json!(null));
    ada.set_plan(Plan::Basic).await;
    let refused = ada.say(&room, "three").await.expect(429).json();
    assert_eq!(
        refused["prompts"],
        json!({"limit": 1, "used": 2, "remaining": 0, "resets_at": "2026-11-22T00:00:00.000Z"})
    );
    app.settle().await;
}

#[tokio::test]
async fn a_spent_day_refuses_until_midnight_utc_and_keeps_nothing() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for left in (0..5).rev() {
        let prompts = ada.ask(&room, "hi").await["prompts"].clone();
        assert_eq!((&prompts["used"], &prompts["remaining"]), (&json!(5 - left), &json!(left)));
    }
    app.settle().await;
    let before = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    let list = ada.get("/chatroom").await.expect(200);
    app.clock.advance(Duration::from_millis(500));
    let refused = ada.say(&room, "one more").await.expect(429);
    assert_eq!(refused.code(), "prompt_limit_reached");
    assert_eq!(refused.header("retry-after"), Some("50400"), "whole seconds to midnight, never one too few");
    let prompts = json!({"limit": 5, "used": 5, "remaining": 0, "resets_at": "2026-11-22T00:00:00.000Z"});
    assert_eq!(refused.json()["prompts"], prompts);
    assert_eq!(ada.get(&format!("/chatroom/{room}")).await.expect(200).json(), before);
    let tag = list.header("etag").expect("a tag");
    ada.call("GET", "/chatroom").header("if-none-match", tag).send().await.expect(304);

    app.clock.advance(Duration::from_secs(50_399));
    ada.at(&app).say(&room, "still too early").await.expect(429);
    app.clock.advance(Duration::from_millis(500));
    let prompts = ada.at(&app).ask(&room, "a new day").await["prompts"].clone();
    assert_eq!(prompts, json!({"limit": 5, "used": 1, "remaining": 4, "resets_at": "2026-11-23T00:00:00.000Z"}));
    app.settle().await;
}

#[tokio::test]
async fn an_answer_is_charged_also_when_it_was_cut_short() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for (rule, reason) in [
        (Rule::say("all of it"), "STOP"),
        (Rule::words(9).finish(3, "MAX_TOKENS"), "MAX_TOKENS"),
        (Rule::words(9).finish(3, "SAFETY"), "SAFETY"),
        (Rule::words(9).finish(1, "RECITATION"), "RECITATION"),
        (Rule::words(9).finish(2, "SOMETHING_NEW"), "OTHER"),
    ] {
        app.gemini.script(rule);
        let reply = ada.hears(&room, "tell me").await;
        assert_eq!((reply["status"].as_str(), reply["finish_reason"].as_str()), (Some("complete"), Some(reason)));
        assert_eq!(reply["prompt"], json!({"charged": true, "reason": "complete"}), "{reason}");
        assert_eq!(reply["content"], app.questions().last().expect("a question").text);
    }
    assert_eq!(ada.prompts_used().await, 5);
}

#[tokio::test]
async fn what_is_no_answer_is_given_back() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.hears(&room, "this one stays paid").await;
    for (rule, code) in [
        (Rule::block("SAFETY"), "blocked_safety"),
        (Rule::block("SOMETHING_NEW"), "blocked_other"),
        (Rule::words(0).finish(0, "STOP"), "answer_empty"),
        (Rule::words(0).finish(0, "MAX_TOKENS"), "answer_empty"),
        (Rule::words(0).finish(0, "SAFETY"), "blocked"),
        (Rule::words(0).finish(0, "SPII"), "blocked"),
        (Rule::refuse(Fault::of(400).message("the operator's secret")), "upstream_rejected"),
        (Rule::refuse(Fault::of(404)), "model_not_found"),
        (Rule::words(4).end(4, End::Error(Fault::of(403).message("the operator's secret"))), "bad_key"),
    ] {
        app.gemini.script(rule);
        let reply = ada.hears(&room, "tell me").await;
        assert_eq!(fate(&reply), ("failed", code));
        assert_eq!(reply["prompt"], json!({"charged": false, "reason": "failed"}), "{code}");
        assert_eq!(reply["content"], "", "{code}: the words of an error are no answer");
        assert!(!reply.to_string().contains("secret"), "{reply}");
        assert_eq!(ada.prompts_used().await, 1, "{code}");
    }
}

#[tokio::test]
async fn faults_that_pass_charge_once_and_those_that_stay_not_at_all() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::refuse(Fault::of(503)).times(2));
    let reply = ada.asks(&room, "hello").await;
    for _ in 0..3 {
        app.settle().await;
        app.clock.advance(Duration::from_secs(10));
    }
    app.settle().await;
    assert_eq!(charged(&ada.message(&room, &reply).await), Some(true));
    assert_eq!(ada.prompts_used().await, 1);

    app.gemini.script(Rule::refuse(Fault::of(503)).always());
    let reply = ada.asks(&room, "hello?").await;
    for _ in 0..6 {
        app.settle().await;
        app.clock.advance(Duration::from_secs(40));
    }
    app.settle().await;
    let reply = ada.message(&room, &reply).await;
    assert_eq!((fate(&reply), charged(&reply)), (("failed", "upstream_unavailable"), Some(false)));
    assert_eq!(ada.prompts_used().await, 1);
}

/// Prompts spent on the day the tests begin with, and on the next.
async fn by_day(app: &TestApp) -> (i64, i64) {
    (
        app.count("select cast(coalesce(sum(used), 0) as bigint) from prompt_days where day = '2026-11-21'").await,
        app.count("select cast(coalesce(sum(used), 0) as bigint) from prompt_days where day = '2026-11-22'").await,
    )
}

#[tokio::test]
async fn a_prompt_goes_back_to_the_day_it_was_taken_from() {
    let app = TestApp::start().await;
    app.clock.advance(Duration::from_secs(14 * 3600 - 1));
    let ada = app.sign_up().await;
    let (first, second) = (ada.new_room().await, ada.new_room().await);
    app.gemini.script(Rule::words(0).hold(0).end(0, End::Error(Fault::of(400))));
    let late = ada.asks(&first, "just before midnight").await;
    app.until_held(1).await;
    assert_eq!(by_day(&app).await, (1, 0));
    app.clock.advance(Duration::from_secs(2));
    let early = ada.asks(&second, "just after midnight").await;
    ada.watches(&second, &early, |reply| reply["status"] == "complete").await;
    assert_eq!(by_day(&app).await, (1, 1));
    app.gemini.release();
    app.settle().await;
    let late = ada.message(&first, &late).await;
    assert_eq!((fate(&late).0, charged(&late)), ("failed", Some(false)));
    assert_eq!(by_day(&app).await, (0, 1), "yesterday's, not today's");
    assert_eq!(ada.prompts_used().await, 1);
}

async fn retry(app: &TestApp, reply: &Value) {
    chat::retry_reply(&app.app, reply_id(reply)).await.expect("it had failed");
    app.settle().await;
}

#[tokio::test]
async fn a_prompt_is_given_back_once_however_often_its_reply_fails() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.hears(&room, "this one stays paid").await;
    app.gemini.script(Rule::refuse(Fault::of(400)).times(3));
    let reply = ada.hears(&room, "hello").await;
    assert_eq!(ada.prompts_used().await, 1);
    for _ in 0..2 {
        retry(&app, &reply).await;
        assert_eq!(fate(&ada.message(&room, reply["id"].as_str().expect("an id")).await).0, "failed");
        assert_eq!(ada.prompts_used().await, 1);
    }
    retry(&app, &reply).await;
    let reply = ada.message(&room, reply["id"].as_str().expect("an id")).await;
    assert_eq!((fate(&reply).0, charged(&reply)), ("complete", Some(false)), "an operator's retry is free");
    assert_eq!(ada.prompts_used().await, 1);
}
