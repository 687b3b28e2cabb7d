//! What Gemini does wrong, and what becomes of the reply: waited out, or ended and given back, and never believed.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::gemini::Timeouts;
use gemini_backend::sandbox::gemini::{End, Ended, Fault, Options, Rule, start};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::chat::{charged, fate};
use crate::harness::{Person, TestApp};

const SECRET: &str = "project 1234 of the operator";

/// Someone in a room.
async fn in_a_room(app: &TestApp) -> (Person<'_>, String) {
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    (ada, room)
}

/// A reply that waits out a fault for so many milliseconds from now.
fn assert_waits(app: &TestApp, reply: &Value, code: &str, millis: u64) {
    assert_eq!(fate(reply), ("queued", code), "{reply}");
    assert_eq!(reply["retry_at"], app.clock.now().plus(Duration::from_millis(millis)).to_string(), "{reply}");
    assert_eq!(reply["error"]["retryable"], true);
    assert!(reply["error"]["message"].as_str().is_some_and(|message| message.len() > 10));
    assert_eq!((&reply["content"], reply.get("prompt"), reply.get("completed_at")), (&json!(""), None, None));
    assert!(!reply.to_string().contains(SECRET), "{reply}");
}

#[tokio::test]
async fn a_retry_delay_is_waited_out_to_the_millisecond() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let (ada, room) = in_a_room(&app).await;
    for (fault, wait) in [
        (Fault::of(429).retry("38s"), 38_000),
        (Fault::of(429).retry("34.07s"), 34_070),
        (Fault::of(429).retry("900ms"), 900),
        (Fault::of(429).retry("300s"), 300_000),
        (Fault::of(429).quota("PerMinute"), 60_000),
        (Fault::of(429).quota("PerMinute").retry("7s"), 7_000),
        (Fault::of(429).retry_after("17"), 17_000),
        (Fault::of(429), 2_000),
    ] {
        let before = app.questions().len();
        app.gemini.script(Rule::refuse(fault.message(SECRET)));
        let reply = ada.at(&app).hears(&room, "hello").await;
        assert_waits(&app, &reply, "upstream_rate_limited", wait);
        assert_eq!(reply["attempt"], 1);
        let id = reply["id"].as_str().expect("an id");
        app.clock.advance(Duration::from_millis(wait - 1));
        app.settle().await;
        assert_eq!(
            (app.questions().len(), ada.at(&app).message(&room, id).await),
            (before + 1, reply.clone()),
            "not yet"
        );
        app.clock.advance(Duration::from_millis(1));
        app.settle().await;
        let reply = ada.at(&app).message(&room, id).await;
        assert_eq!((fate(&reply), &reply["attempt"], charged(&reply)), (("complete", ""), &json!(2), Some(true)));
        assert_eq!(reply.get("retry_at"), None);
        assert_eq!(reply["content"], app.questions().pop().expect("a question").text);
    }
}

#[tokio::test]
async fn what_would_take_longer_than_ten_minutes_fails_at_once() {
    for (fault, code) in [
        (Fault::of(429).quota("PerDay").retry("12s"), "upstream_quota_exhausted"),
        (Fault::of(429).retry("601s"), "upstream_rate_limited"),
        (Fault::of(503).retry_after("7200"), "upstream_unavailable"),
    ] {
        let app = TestApp::start().await;
        let (ada, room) = in_a_room(&app).await;
        app.gemini.script(Rule::refuse(fault.message(SECRET)));
        let reply = ada.hears(&room, "hello").await;
        assert_eq!((fate(&reply), charged(&reply)), (("failed", code), Some(false)));
        assert_eq!((&reply["attempt"], &reply["error"]["retryable"]), (&json!(1), &json!(true)));
        assert_eq!(reply["completed_at"], "2026-11-21T10:00:00.000Z");
        assert!(!reply.to_string().contains(SECRET), "{reply}");
        assert_eq!(ada.prompts_used().await, 0);
    }
    // The ten minutes count from the first claim on, not from the last.
    let app = TestApp::start().await;
    let (ada, room) = in_a_room(&app).await;
    app.gemini.script(Rule::refuse(Fault::of(503).retry("300s")).times(2));
    let reply = ada.hears(&room, "hello").await;
    app.clock.advance(Duration::from_mins(5));
    app.settle().await;
    let id = reply["id"].as_str().expect("an id");
    assert_waits(&app, &ada.at(&app).message(&room, id).await, "upstream_unavailable", 300_000);
    app.gemini.script(Rule::refuse(Fault::of(503).retry("299s")));
    let reply = ada.at(&app).hears(&ada.new_room().await, "hello").await;
    assert_waits(&app, &reply, "upstream_unavailable", 299_000);
    app.clock.advance(Duration::from_secs(299));
    app.settle().await;
    app.clock.advance(Duration::from_secs(1));
    app.settle().await;
    assert_eq!(fate(&ada.at(&app).message(&room, id).await).0, "failed");

    let ada = ada.at(&app);
    app.gemini.script(Rule::refuse(Fault::of(503).retry("200s")));
    let reply = ada.hears(&ada.new_room().await, "hello").await;
    app.gemini.script(Rule::refuse(Fault::of(503).retry("401s")));
    app.clock.advance(Duration::from_secs(200));
    app.settle().await;
    let room = reply["chatroom_id"].as_str().expect("an id");
    let reply = ada.message(room, reply["id"].as_str().expect("an id")).await;
    assert_eq!((fate(&reply), &reply["attempt"]), (("failed", "upstream_unavailable"), &json!(2)));
}

#[tokio::test]
async fn faults_that_pass_are_waited_out_and_leave_nothing_of_themselves() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let (ada, room) = in_a_room(&app).await;
    let fault = |status| Fault::of(status).message(SECRET);
    let html = Fault { raw: Some(format!("<html>{SECRET}</html>")), ..Fault::of(502) };
    for (rule, code) in [
        (Rule::refuse(fault(408)), "upstream_unavailable"),
        (Rule::refuse(fault(500)), "upstream_unavailable"),
        (Rule::refuse(html), "upstream_unavailable"),
        (Rule::refuse(fault(503)), "upstream_unavailable"),
        (Rule::refuse(fault(504)), "upstream_unavailable"),
        (Rule::words(9).end(3, End::Cut), "upstream_cut"),
        (Rule::words(9).end(0, End::Cut), "upstream_cut"),
        (Rule::words(9).end(9, End::Silent), "upstream_cut"),
        (Rule::words(9).end(0, End::Silent), "upstream_cut"),
        (Rule::words(9).end(3, End::Error(fault(503))), "upstream_unavailable"),
        (Rule::words(9).end(3, End::Error(fault(429).quota("PerMinute").retry("2s"))), "upstream_rate_limited"),
        (Rule::words(9).end(3, End::BareError(fault(500))), "upstream_unavailable"),
    ] {
        let told = format!("{rule:?}");
        app.gemini.script(rule);
        let reply = ada.at(&app).hears(&room, "hello").await;
        assert_waits(&app, &reply, code, 2_000);
        app.gemini.script(Rule::say("The whole answer."));
        app.clock.advance(Duration::from_secs(2));
        app.settle().await;
        let reply = ada.at(&app).message(&room, reply["id"].as_str().expect("an id")).await;
        assert_eq!((fate(&reply), charged(&reply)), (("complete", ""), Some(true)), "{told}");
        assert_eq!((&reply["content"], &reply["attempt"]), (&json!("The whole answer."), &json!(2)), "{told}");
        assert!(!reply.to_string().contains(SECRET), "{reply}");
    }
    let context = app.questions().last().expect("a question").body["contents"].to_string();
    assert!(!context.contains(SECRET) && !context.contains("word1"), "{context}");
}

#[tokio::test]
async fn a_gemini_that_hangs_is_given_up_on_in_time() {
    let moment = Duration::from_millis(400);
    let app = TestApp::as_patient_as(Timeouts { first_byte: moment, idle: moment, ..Timeouts::default() }).await;
    let (ada, room) = in_a_room(&app).await;
    for words in [0, 3] {
        app.gemini.script(Rule::words(9).end(words, End::Hang));
        let reply = ada.hears(&room, "hello").await;
        assert_waits(&app, &reply, "upstream_timeout", 2_000);
        app.until_gemini(|entries| entries.last().is_some_and(|entry| entry.end == Ended::Aborted)).await;
        app.clock.advance(Duration::from_secs(2));
        app.settle().await;
        let reply = ada.message(&room, reply["id"].as_str().expect("an id")).await;
        assert_eq!(fate(&reply).0, "complete");
    }
}

#[tokio::test]
async fn five_faults_are_survived_and_the_sixth_is_the_end() {
    let app = TestApp::start().await;
    let (ada, room) = in_a_room(&app).await;
    for (faults, end) in [(5, "complete"), (6, "failed")] {
        app.gemini.script(Rule::refuse(Fault::of(503)).times(faults));
        let id = ada.at(&app).asks(&room, "hello").await;
        for (attempt, wait) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32)] {
            app.settle().await;
            let reply = ada.at(&app).message(&room, &id).await;
            assert_waits(&app, &reply, "upstream_unavailable", wait * 1000);
            assert_eq!(reply["attempt"], attempt);
            app.clock.advance(Duration::from_secs(wait));
        }
        app.settle().await;
        let reply = ada.at(&app).message(&room, &id).await;
        assert_eq!((fate(&reply).0, &reply["attempt"]), (end, &json!(6)));
    }
    assert_eq!(ada.prompts_used().await, 1);
}

#[tokio::test]
async fn a_gemini_that_is_away_for_twenty_seconds_loses_nothing() {
    // Bound and not listening: the port is ours, and whoever connects is refused.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    let app = TestApp::with(|settings| settings.gemini.base_url = Some(format!("http://{address}"))).await;
    let ada = app.sign_up().await;
    let rooms = ada.new_rooms(4).await;
    let mut replies = Vec::new();
    for room in &rooms {
        replies.push(ada.asks(room, "are you there?").await);
        app.settle().await;
        app.clock.advance(Duration::from_secs(5));
    }
    app.settle().await;
    for (room, reply) in rooms.iter().zip(&replies) {
        let reply = ada.message(room, reply).await;
        assert_eq!(fate(&reply), ("queued", "upstream_unavailable"));
    }
    drop(socket);
    let (options, stop) = (Options { require_key: false, ..Options::default() }, CancellationToken::new());
    let _end = stop.clone().drop_guard();
    let gemini = start(address, options, stop).await.expect("the port is free again");
    for _ in 0..16 {
        app.settle().await;
        app.clock.advance(Duration::from_secs(2));
    }
    app.settle().await;
    assert_eq!(gemini.journal().iter().filter(|entry| entry.call == "streamGenerateContent").count(), 4);
    for (room, reply) in rooms.iter().zip(&replies) {
        let reply = ada.message(room, reply).await;
        assert_eq!((fate(&reply), charged(&reply)), (("complete", ""), Some(true)));
        assert!(reply["attempt"].as_i64() > Some(1), "{reply}");
    }
    assert_eq!(ada.prompts_used().await, 4);
}

#[tokio::test]
async fn thoughts_are_no_part_of_the_answer() {
    let app = TestApp::start().await;
    let (ada, room) = in_a_room(&app).await;
    app.gemini.script(Rule::say("the answer").thoughts("let me think about it").hold(1));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    ada.watches(&room, &reply, |reply| reply["content"] == "the ").await;
    app.gemini.release();
    app.settle().await;
    let reply = ada.message(&room, &reply).await;
    assert_eq!((&reply["content"], fate(&reply).0), (&json!("the answer"), "complete"));
    assert!(reply["usage"]["thought_tokens"].as_i64() > Some(0), "{reply}");
    app.gemini.script(Rule::words(0).thoughts("all I had went into this").finish(0, "MAX_TOKENS"));
    let reply = ada.hears(&room, "hello").await;
    assert_eq!((fate(&reply), &reply["content"]), (("failed", "answer_empty"), &json!("")));
}

#[tokio::test]
async fn a_nul_is_dropped_before_anybody_reads_it() {
    let app = TestApp::start().await;
    let (ada, room) = in_a_room(&app).await;
    app.gemini.script(Rule::chunks(["a\0b ", "\0", "\0c", " d"]).hold(3));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    ada.watches(&room, &reply, |reply| reply["content"] == "ab c").await;
    app.gemini.release();
    app.settle().await;
    let reply = ada.message(&room, &reply).await;
    assert_eq!((fate(&reply).0, &reply["content"]), ("complete", &json!("ab c d")));
    assert_eq!(app.questions()[0].text, "a\0b \0\0c d");
    app.gemini.script(Rule::chunks(["\0", "\0\0"]));
    assert_eq!(fate(&ada.hears(&room, "hello").await), ("failed", "answer_empty"), "nothing else is nothing");
}

#[tokio::test]
async fn one_reply_that_waits_holds_up_nobody_elses() {
    let app = TestApp::start().await;
    let (ada, room) = in_a_room(&app).await;
    let (bob, his) = in_a_room(&app).await;
    app.gemini.script(Rule::refuse(Fault::of(503).retry("100s")).when("slow"));
    let waiting = ada.hears(&room, "slow").await;
    let behind = ada.hears(&room, "behind it").await;
    assert_eq!(fate(&behind), ("queued", ""), "the room keeps its order");
    assert_eq!(behind.get("retry_at"), None);
    let others = [ada.hears(&ada.new_room().await, "hi").await, bob.hears(&his, "hi").await];
    assert!(others.iter().all(|reply| reply["status"] == "complete"));
    let ids = [&waiting, &behind].map(|reply| reply["id"].as_str().expect("an id").to_owned());
    assert_eq!(ada.message(&room, &ids[0]).await, waiting, "nor is it tried before its time with theirs");
    app.clock.advance(Duration::from_secs(100));
    app.settle().await;
    let now = join_all(ids.iter().map(|id| ada.message(&room, id))).await;
    assert!(now.iter().all(|reply| reply["status"] == "complete"), "{now:?}");
}

#[tokio::test]
async fn a_limit_that_one_reply_meets_holds_all_others_until_its_end() {
    let app = TestApp::start().await;
    let (ada, room) = in_a_room(&app).await;
    app.gemini.script(Rule::refuse(Fault::of(429).retry("38s").message(SECRET)));
    let mut waiting = vec![(ada.clone(), room.clone(), ada.hears(&room, "hello").await)];
    for _ in 0..10 {
        let (person, room) = in_a_room(&app).await;
        let reply = person.hears(&room, "hello").await;
        waiting.push((person, room, reply));
    }
    app.clock.advance(Duration::from_secs(37));
    app.settle().await;
    assert_eq!(app.questions().len(), 1, "nobody asks before its end");
    for (person, room, reply) in &waiting {
        let now = person.message(room, reply["id"].as_str().expect("an id")).await;
        assert_eq!(&now, reply);
        assert_waits(&app, &now, "upstream_rate_limited", 1_000);
        assert_eq!(now["attempt"], 1, "nor is it claimed again and again");
    }
    assert_eq!(app.count("select cast(sum(faults) as bigint) from jobs").await, 1, "waiting is no fault");
    app.clock.advance(Duration::from_secs(1));
    app.settle().await;
    for (person, room, reply) in &waiting {
        let reply = person.message(room, reply["id"].as_str().expect("an id")).await;
        assert_eq!((fate(&reply), &reply["attempt"], charged(&reply)), (("complete", ""), &json!(2), Some(true)));
    }
    assert_eq!(app.questions().len(), 12);
}

#[tokio::test]
async fn those_who_waited_out_a_limit_come_in_over_seconds() {
    let app = TestApp::start().await;
    let (ada, room) = in_a_room(&app).await;
    app.gemini.script(Rule::refuse(Fault::of(429).retry("38s")));
    ada.hears(&room, "hello").await;
    for _ in 0..4 {
        app.sign_up().await.fill_rooms(10, |room| format!("from room {room}")).await;
    }
    app.settle().await;
    assert_eq!(app.questions().len(), 1);
    for (seconds, questions) in [(38, 1 + 32), (1, 1 + 41), (60, 1 + 41)] {
        app.clock.advance(Duration::from_secs(seconds));
        app.settle().await;
        assert_eq!(app.questions().len(), questions);
    }
    assert_eq!(app.count("select max(attempt) from jobs").await, 2, "each waited once");
}

#[tokio::test]
async fn a_limit_that_a_reply_cannot_wait_out_ends_it_unasked() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let (ada, room) = in_a_room(&app).await;
    app.gemini.script(Rule::refuse(Fault::of(503).retry("500s")));
    let early = ada.hears(&room, "hello").await;
    app.clock.advance(Duration::from_secs(400));
    let ada = ada.at(&app);
    app.gemini.script(Rule::refuse(Fault::of(429).retry("300s")));
    let late = ada.hears(&ada.new_room().await, "hello").await;
    app.clock.advance(Duration::from_secs(100));
    app.settle().await;
    let reply = ada.message(&room, early["id"].as_str().expect("an id")).await;
    assert_eq!((fate(&reply), charged(&reply)), (("failed", "upstream_rate_limited"), Some(false)));
    assert_eq!(app.questions().len(), 2);
    app.clock.advance(Duration::from_secs(200));
    app.settle().await;
    let late = (late["chatroom_id"].as_str().expect("an id"), late["id"].as_str().expect("an id"));
    assert_eq!(fate(&ada.message(late.0, late.1).await).0, "complete");

    app.gemini.script(Rule::refuse(Fault::of(429).quota("PerDay")));
    for _ in 0..2 {
        let reply = ada.hears(&ada.new_room().await, "hello").await;
        assert_eq!((fate(&reply), charged(&reply)), (("failed", "upstream_quota_exhausted"), Some(false)));
    }
    assert_eq!(app.questions().len(), 4, "a spent day is asked about once");
}
