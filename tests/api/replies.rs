//! Replies: each is written once and to its end, whatever becomes of the processes that write them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use gemini_backend::gemini::Timeouts;
use gemini_backend::ids::{JobId, MessageId, NodeId};
use gemini_backend::jobs::{self, Wanted};
use gemini_backend::sandbox::gemini::{End, Ended, Fault, Rule, count_tokens};
use gemini_backend::{execute, fetch_all, fetch_one, transaction};
use serde_json::json;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::harness::chat::{charged, fate};
use crate::harness::{Person, TestApp, until};

const IN_FLIGHT: &str = "select cast(sum(in_flight) as bigint) from queue_users";
const COMPLETION_TOKENS: &str = "select cast(coalesce(sum(completion_tokens), 0) as bigint) from token_days";

#[tokio::test]
async fn a_reply_is_what_gemini_said() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let text = "One two नमस्ते 👩‍👩‍👧 — done.\n";
    app.gemini.script(Rule::say(text));
    let reply = ada.hears(&room, "hello").await;
    assert_eq!(reply["status"], "complete");
    assert_eq!(reply["content"], text);
    assert_eq!(reply["prompt"], json!({"charged": true, "reason": "complete"}));
    assert_eq!(app.questions()[0].text, text);
}

/// What the queue knows of a reply's job: state, attempt, faults, crashes.
async fn job(app: &TestApp, reply: &str) -> (String, i64, i64, i64) {
    let mut reader = app.app.store.read().await.expect("a connection");
    let id: JobId = reply.parse().expect("an id");
    let sql = "select state, attempt, faults, crashes from jobs where id = $1";
    fetch_one!(&mut reader, (String, i64, i64, i64), sql, id).expect("a job")
}

/// A reply begun by a process whose clock then stands still, and held after its first word.
async fn with_a_sleeper(app: &TestApp, begun: Rule) -> (Person<'_>, String, String, TestApp) {
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(begun.hold(1).when("hello"));
    let reply = ada.asks(&room, "hello").await;
    let sleeper = app.beside().await;
    sleeper.work();
    app.until_held(1).await;
    (ada, room, reply, sleeper)
}

/// Waits until the lease of the sleeper is over, and takes its reply over.
async fn take_over(app: &TestApp, ada: &Person<'_>, reply: &str, taken_over: Rule) {
    app.gemini.script(taken_over.when("hello"));
    app.clock.advance(app.app.settings.worker.lease);
    app.work();
    let other = ada.new_room().await;
    let meanwhile = ada.asks(&other, "meanwhile").await;
    ada.watches(&other, &meanwhile, |reply| reply["status"] == "complete").await;
    assert_eq!(job(app, reply).await.1, 1, "a lease holds to its last moment");
    app.clock.advance(Duration::from_millis(1));
}

/// Ways in which a sleeper may end what it began, when it is too late.
fn late_ends() -> [Rule; 3] {
    [Rule::words(2), Rule::words(2).end(1, End::Error(Fault::of(400))), Rule::words(2).end(1, End::Cut)]
}

#[tokio::test]
async fn a_lapsed_lease_is_taken_over_and_the_sleepers_late_end_is_refused() {
    for late in late_ends() {
        let app = TestApp::idle(|_| {}).await;
        let (ada, room, reply, sleeper) = with_a_sleeper(&app, late).await;
        take_over(&app, &ada, &reply, Rule::say("from the second")).await;
        app.settle().await;
        let finished = ada.message(&room, &reply).await;
        assert_eq!((fate(&finished).0, &finished["content"]), ("complete", &json!("from the second")));
        assert_eq!((&finished["attempt"], charged(&finished)), (&json!(2), Some(true)));
        assert_eq!(job(&app, &reply).await, ("done".to_owned(), 2, 0, 1));
        app.gemini.release();
        sleeper.stop().await;
        assert_eq!(ada.message(&room, &reply).await, finished, "nothing is written twice");
        assert_eq!(job(&app, &reply).await, ("done".to_owned(), 2, 0, 1));
        assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (2, 0));
    }
}

#[tokio::test]
async fn a_sleeper_gives_nothing_back_that_others_have_taken_over() {
    let app = TestApp::idle(|settings| settings.worker.drain = Duration::ZERO).await;
    let (ada, room, reply, sleeper) = with_a_sleeper(&app, Rule::words(2)).await;
    take_over(&app, &ada, &reply, Rule::say("from the second").hold(2)).await;
    app.until_held(2).await;
    sleeper.stop().await;
    assert_eq!(job(&app, &reply).await, ("running".to_owned(), 2, 0, 1));
    assert_eq!(app.count(IN_FLIGHT).await, 1);
    assert_eq!(ada.message(&room, &reply).await["content"], "from the ");
    app.gemini.release();
    app.settle().await;
    assert_eq!(ada.message(&room, &reply).await["content"], "from the second");
    assert_eq!(app.count(IN_FLIGHT).await, 0);
}

#[tokio::test]
async fn a_sleeper_ends_nothing_that_others_are_writing() {
    for late in late_ends() {
        let app = TestApp::idle(|_| {}).await;
        let (ada, room, reply, sleeper) = with_a_sleeper(&app, late).await;
        let (now, second) = (app.clock.now().plus(app.app.settings.worker.lease * 2), Duration::from_secs(1));
        let (holder, lease_until) = (NodeId::new(now), now.plus(second));
        let wanted = Wanted { holder, now, lease_until, most: 1, only_basic: false };
        assert_eq!(jobs::claim_lapsed(&app.app.store, wanted).await.expect("a claim").len(), 1);
        app.gemini.release();
        sleeper.stop().await;
        assert_eq!(job(&app, &reply).await, ("running".to_owned(), 2, 0, 1));
        let message = ada.message(&room, &reply).await;
        assert_eq!((fate(&message), &message["content"]), (("generating", ""), &json!("")));
        assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (1, 1));

        app.clock.advance(app.app.settings.worker.lease * 2 + second * 2);
        app.work();
        app.settle().await;
        let reply = ada.message(&room, &reply).await;
        assert_eq!((fate(&reply).0, &reply["attempt"]), ("complete", &json!(3)));
        assert_eq!(reply["content"], app.questions()[1].text);
    }
}

#[tokio::test]
async fn a_reply_that_takes_longer_than_its_lease_stays_with_its_worker() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(4).hold(2));
    let reply = ada.asks(&room, "take your time").await;
    app.until_held(1).await;
    let lease = app.app.settings.worker.lease;
    for _ in 0..6 {
        app.clock.advance(lease / 3);
        let renewed = app.clock.now().plus(lease);
        let look = async || jobs::look(&app.app.store).await.expect("the queue").lapse.filter(|at| *at == renewed);
        until("the lease is renewed", look).await;
    }
    app.gemini.release();
    app.settle().await;
    assert_eq!(ada.message(&room, &reply).await["status"], "complete");
    assert_eq!(job(&app, &reply).await, ("done".to_owned(), 1, 0, 0));
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_end_the_renewals() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(4).hold(2));
    let reply = ada.asks(&room, "take your time").await;
    app.until_held(1).await;
    app.clock.set_back(Duration::from_hours(1));
    until_renewed(&app).await;
    app.gemini.release();
    app.settle().await;
    assert_eq!(job(&app, &reply).await, ("done".to_owned(), 1, 0, 0));
}

#[tokio::test]
async fn a_clock_that_stands_still_does_not_end_the_renewals() {
    let app = TestApp::with(|settings| settings.worker.lease = Duration::from_millis(600)).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(4).hold(2));
    let reply = ada.asks(&room, "take your time").await;
    app.until_held(1).await;
    // Nearly over for everybody else; by this clock it was renewed just now.
    let soon = app.clock.now().plus(Duration::from_millis(1));
    transaction!(app.app.store, |tx| { execute!(tx, "update jobs set lease_until = $1", soon) }).expect("shortened");
    until_renewed(&app).await;
    app.gemini.release();
    app.settle().await;
    assert_eq!(job(&app, &reply).await, ("done".to_owned(), 1, 0, 0));
}

/// Waits until the only lease was renewed at what the clock says now. The bell stands for what wakes a worker whose
/// clock does not move.
async fn until_renewed(app: &TestApp) {
    let renewed = app.clock.now().plus(app.app.settings.worker.lease);
    let look = async || {
        app.app.live.ring_for_jobs();
        jobs::look(&app.app.store).await.expect("the queue").lapse.filter(|at| *at == renewed)
    };
    until("the lease is renewed", look).await;
}

#[tokio::test]
async fn a_worker_that_cannot_renew_hangs_up_before_its_lease_ends() {
    // It is not the client's patience with Gemini that ends.
    let for_ever = Duration::from_hours(1);
    let app = TestApp::as_patient_as(Timeouts { first_byte: for_ever, idle: for_ever, ..Timeouts::default() }).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(4).hold(2));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    app.app.store.close().await;
    let lease = app.app.settings.worker.lease;
    app.clock.advance(lease * 9 / 10);
    app.until_gemini(|entries| entries.iter().any(|entry| entry.end == Ended::Aborted)).await;

    let next = app.beside().await;
    next.clock.advance(lease / 10 + Duration::from_millis(1));
    next.work();
    next.settle().await;
    let reply = ada.at(&next).message(&room, &reply).await;
    assert_eq!((fate(&reply).0, &reply["attempt"]), ("complete", &json!(2)));
    assert_eq!(reply["content"], next.questions()[1].text);
}

/// Dies `times` times with a reply in its hands.
async fn die_with_it(app: &TestApp, times: usize) {
    let second = Duration::from_secs(1);
    for death in 0..times {
        let now = app.clock.now();
        let (holder, lease_until) = (NodeId::new(now), now.plus(second));
        let wanted = Wanted { holder, now, lease_until, most: 1, only_basic: false };
        let claims = if death == 0 {
            jobs::claim_heads(&app.app.store, wanted).await.expect("a claim").0
        } else {
            jobs::claim_lapsed(&app.app.store, wanted).await.expect("a claim")
        };
        assert_eq!(claims.len(), 1);
        app.clock.advance(second + Duration::from_millis(1));
    }
}

#[tokio::test]
async fn ten_deaths_are_survived_and_the_eleventh_is_the_end() {
    for (deaths, end, asked) in [(10, ("complete", ""), 1), (11, ("failed", "worker_crashed"), 0)] {
        let app = TestApp::idle(|_| {}).await;
        let ada = app.sign_up().await;
        let room = ada.new_room().await;
        let reply = ada.asks(&room, "hello").await;
        die_with_it(&app, deaths).await;
        app.work();
        app.settle().await;
        let reply = ada.message(&room, &reply).await;
        assert_eq!(fate(&reply), end);
        assert_eq!(reply["attempt"], deaths + 1);
        assert_eq!((charged(&reply), app.questions().len()), (Some(asked == 1), asked));
        assert_eq!(ada.prompts_used().await, i64::from(asked == 1));
        assert_eq!(app.count(IN_FLIGHT).await, 0);
        assert_eq!(ada.hears(&room, "go on").await["status"], "complete", "the room goes on");
    }
}

#[tokio::test]
async fn a_reply_ends_ten_minutes_after_its_first_claim_whatever_becomes_of_its_holders() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let reply = ada.asks(&room, "hello").await;
    let first_claim = app.clock.now();
    die_with_it(&app, 1).await;
    let last = first_claim.plus(Duration::from_mins(10));
    app.clock.advance(last.since(app.clock.now()));
    app.work();
    app.settle().await;
    let reply = ada.message(&room, &reply).await;
    assert_eq!((fate(&reply), charged(&reply)), (("failed", "reply_overdue"), Some(false)));
    assert_eq!((&reply["error"]["retryable"], app.questions().len()), (&json!(true), 0));
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (0, 0));
    assert_eq!(ada.hears(&room, "go on").await["status"], "complete", "the room goes on");
}

#[tokio::test]
async fn an_answer_that_is_not_over_after_ten_minutes_is_hung_up_and_its_tokens_count() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let reply = ada.asks(&room, "hello").await;
    let first_claim = app.clock.now();
    die_with_it(&app, 1).await;
    // The rest goes by for real: a reply's own patience is no moment of the database's.
    let almost = first_claim.plus(Duration::from_secs(600 - 5));
    app.clock.advance(almost.since(app.clock.now()));
    app.gemini.script(Rule::words(3).hold(2));
    app.work();
    app.until_gemini(|entries| entries.iter().any(|entry| entry.end == Ended::Aborted)).await;
    app.settle().await;
    let reply = ada.message(&room, &reply).await;
    assert_eq!((fate(&reply), &reply["content"]), (("failed", "reply_overdue"), &json!("")));
    assert_eq!(app.count(COMPLETION_TOKENS).await, count_tokens("word1 word2 ").cast_signed());
}

#[tokio::test]
async fn a_live_text_that_was_lost_is_sent_again_whole() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::chunks(["नमस्ते ", "one ", "two ", "three"]).hold(2).end(3, End::Hang));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    ada.watches(&room, &reply, |reply| reply["content"] == "नमस्ते one ").await;
    app.app.live.forget(reply.parse().expect("an id"), 1);
    assert_eq!(ada.message(&room, &reply).await["content"], "");
    app.gemini.release();
    ada.watches(&room, &reply, |reply| reply["content"] == "नमस्ते one two ").await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    app.settle().await;
}

#[tokio::test]
async fn tokens_of_an_answer_whose_room_is_deleted_count() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(3).hold(2));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    ada.watches(&room, &reply, |reply| reply["content"] == "word1 word2 ").await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    let tokens = count_tokens("word1 word2 ").cast_signed();
    until("they are counted", async || (app.count(COMPLETION_TOKENS).await == tokens).then_some(())).await;
    app.until_gemini(|entries| entries.iter().any(|entry| entry.end == Ended::Aborted)).await;
}

/// Panics in the middle of writing a reply: when the worker says that Gemini did not answer, once.
struct Bomb(AtomicBool);

impl<S: tracing::Subscriber> Layer<S> for Bomb {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let is_there = event.metadata().target() == "gemini_backend::chat::judge";
        assert!(!is_there || self.0.swap(true, Ordering::SeqCst), "a bomb of the tests");
    }
}

#[tokio::test]
async fn a_panic_in_writing_ends_reply_and_job_together() {
    // The worker shares this thread, so its events come here. Were this the only subscriber, whichever thread meets an
    // event first would say whether anybody wants it.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let _bomb = tracing::subscriber::set_default(tracing_subscriber::registry().with(Bomb(AtomicBool::new(false))));
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::words(3).end(2, End::Cut));
    let reply = ada.hears(&room, "hello").await;
    assert_eq!((fate(&reply), charged(&reply)), (("failed", "internal"), Some(false)));
    assert_eq!((&reply["content"], &reply["error"]["retryable"]), (&json!(""), &json!(true)));
    assert_eq!(job(&app, reply["id"].as_str().expect("an id")).await.0, "done");
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (0, 0));
    assert_eq!(ada.hears(&room, "go on").await["status"], "complete", "the room and the worker go on");
}

#[tokio::test]
async fn a_job_that_cannot_be_read_ends_together_with_its_reply() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let mut spoilt = Vec::new();
    for payload in ["", "{}", r#"{"kind":"compose_an_opera"}"#, r#"{"kind":"reply","id":5}"#] {
        let room = ada.new_room().await;
        let reply = ada.asks(&room, "hello").await;
        let id: JobId = reply.parse().expect("an id");
        let changed = transaction!(app.app.store, |tx| {
            execute!(tx, "update jobs set payload = $1 where id = $2", payload, id)
        });
        assert_eq!(changed.expect("the payload is spoilt"), 1);
        spoilt.push((payload, room, reply));
    }
    app.work();
    app.settle().await;
    for (payload, room, reply) in &spoilt {
        let reply = ada.message(room, reply).await;
        assert_eq!((fate(&reply), charged(&reply)), (("failed", "internal"), Some(false)), "{payload}");
        assert_eq!(ada.hears(room, "go on").await["status"], "complete", "{payload}");
    }
    assert_eq!((ada.prompts_used().await, app.count(IN_FLIGHT).await), (4, 0));
}

#[tokio::test]
async fn a_process_that_ends_finishes_what_it_writes_and_begins_nothing() {
    let app = TestApp::with(|settings| settings.quota.basic_replies_at_once = 1).await;
    let ada = app.sign_up().await;
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    app.gemini.script(Rule::say("to the end").hold(1));
    let reply = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    let waiting = ada.asks(&other, "and me?").await;
    join(app.stop(), async {
        app.app.stop.cancelled().await;
        app.gemini.release();
    })
    .await;
    assert_eq!(app.questions().len(), 1, "the second was not begun");
    let next = app.beside().await;
    let ada = ada.at(&next);
    let reply = ada.message(&room, &reply).await;
    assert_eq!((fate(&reply).0, &reply["content"], &reply["attempt"]), ("complete", &json!("to the end"), &json!(1)));
    // A claim that the end of the process overtook is handed back with its number spent, and nothing else.
    let (state, attempt, faults, crashes) = job(&next, &waiting).await;
    assert_eq!((state.as_str(), faults, crashes), ("queued", 0, 0));
    next.work();
    next.settle().await;
    let waiting = ada.message(&other, &waiting).await;
    assert_eq!((fate(&waiting).0, &waiting["attempt"]), ("complete", &json!(attempt + 1)));
}

#[tokio::test]
async fn what_a_process_cannot_finish_is_handed_back_and_costs_no_try() {
    let app = TestApp::with(|settings| settings.worker.drain = Duration::ZERO).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("never to its end").hold(2));
    let id = ada.asks(&room, "hello").await;
    app.until_held(1).await;
    app.stop().await;
    app.until_gemini(|entries| entries.iter().any(|entry| entry.end == Ended::Aborted)).await;

    let next = app.beside().await;
    let ada = ada.at(&next);
    assert_eq!(job(&next, &id).await, ("queued".to_owned(), 1, 0, 0));
    assert_eq!(next.count(COMPLETION_TOKENS).await, count_tokens("never to ").cast_signed(), "it was spent");
    assert_eq!(next.count(IN_FLIGHT).await, 0);
    let reply = ada.message(&room, &id).await;
    assert_eq!((fate(&reply), &reply["content"], reply.get("retry_at")), (("queued", ""), &json!(""), None));
    next.gemini.script(Rule::say("from its beginning"));
    next.work();
    next.settle().await;
    let reply = ada.message(&room, &id).await;
    assert_eq!((fate(&reply).0, &reply["content"]), ("complete", &json!("from its beginning")));
    assert_eq!((&reply["attempt"], charged(&reply)), (&json!(2), Some(true)));
    assert_eq!(job(&next, &id).await, ("done".to_owned(), 2, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_replies_are_written_at_once_and_none_is_mixed_up() {
    let app = TestApp::with(|settings| {
        settings.worker.concurrency = 1000;
        settings.quota.basic_daily_prompts = 1000;
        settings.quota.basic_replies_at_once = 50;
    })
    .await;
    app.gemini.script(Rule { hold: Some(2), ..Rule::default().always() });
    let people = join_all((0..20).map(|_| app.sign_up())).await;
    join_all(people.iter().enumerate().map(async |(number, person)| {
        person.fill_rooms(50, |room| format!("I am number {number} in room {room}")).await;
    }))
    .await;
    let running = async || (app.count("select count(*) from jobs where state = 'running'").await == 1000).then_some(());
    until("a thousand are claimed", running).await;
    app.until_held(1000).await;
    assert_eq!(app.count(IN_FLIGHT).await, 1000);
    app.gemini.release();
    app.settle().await;
    let mut reader = app.app.store.read().await.expect("a connection");
    let sql = "select id, content from messages where role = 'model' and status = 'complete'";
    let stored = fetch_all!(&mut reader, (MessageId, String), sql).expect("the replies");
    let stored: HashMap<_, _> = stored.into_iter().map(|(id, text)| (format!("{id}.1"), text)).collect();
    let questions = app.questions();
    let sent: HashMap<_, _> =
        questions.into_iter().map(|question| (question.tag.expect("a tag"), question.text)).collect();
    assert_eq!(sent.len(), 1000);
    assert!(stored == sent, "each reply is what was sent for it");
    assert_eq!(app.count(IN_FLIGHT).await, 0);
}
