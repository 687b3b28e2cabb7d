//! Which model is asked when the room's own is gone or stays overloaded. The tests read the paths that Gemini was
//! asked under.

use std::time::Duration;

use gemini_backend::sandbox::gemini::{End, Fault, Rule};
use serde_json::{Value, json};

use crate::harness::chat::{charged, fate};
use crate::harness::{Person, TestApp};

const OWN: &str = "gemini-3.8-flash";
const OTHER: &str = "gemini-flash-latest";
const TINY: &str = "sandbox-tiny";

async fn with_fallbacks(names: &[&str]) -> TestApp {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    TestApp::with(|settings| {
        settings.gemini.fallback_models = names;
        // Else the tiny one has no room for a question.
        settings.gemini.max_output_tokens = 200;
        settings.quota.basic_daily_prompts = 100;
    })
    .await
}

/// The models that were asked since the journal was last cleared, by their paths.
fn asked(app: &TestApp) -> Vec<String> {
    let name = |path: &str| {
        path.strip_prefix("/v1beta/models/")?.strip_suffix(":streamGenerateContent?alt=sse").map(str::to_owned)
    };
    app.questions().iter().map(|entry| name(&entry.path).expect("the path of a question")).collect()
}

/// Lets time go on until the reply has its end.
async fn ends(person: &Person<'_>, app: &TestApp, reply: &Value) -> Value {
    let text = |name: &str| reply[name].as_str().expect("a text").to_owned();
    for wait in [0, 2, 4, 8, 16, 32] {
        app.clock.advance(Duration::from_secs(wait));
        app.settle().await;
    }
    person.at(app).message(&text("chatroom_id"), &text("id")).await
}

#[tokio::test]
async fn a_model_that_is_gone_is_left_at_once() {
    let app = with_fallbacks(&[OWN, OTHER]).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::refuse(Fault::of(404)));
    app.gemini.script(Rule::say("From another."));
    let reply = ada.hears(&room, "hello").await;
    assert_eq!(asked(&app), [OWN, OTHER], "without any wait");
    assert_eq!((fate(&reply), &reply["content"]), (("complete", ""), &json!("From another.")));
    assert_eq!((&reply["model"], &reply["attempt"], charged(&reply)), (&json!(OTHER), &json!(2), Some(true)));
    assert_eq!(reply["fallback_for"], OWN, "it says for whom another one answered");
    assert_eq!(ada.prompts_used().await, 1);
    assert_eq!(ada.get(&format!("/chatroom/{room}")).await.expect(200).json()["model"], Value::Null);
    app.gemini.clear_journal();
    let reply = ada.hears(&room, "and now?").await;
    assert_eq!((&reply["model"], reply.get("fallback_for")), (&json!(OWN), None));
    assert_eq!(asked(&app), [OWN], "the room keeps its model");
}

#[tokio::test]
async fn a_model_that_stays_overloaded_is_left_at_its_second_fault() {
    let app = with_fallbacks(&[OTHER]).await;
    let ada = app.sign_up().await;
    for fault in [Fault::of(503), Fault::of(429), Fault::of(429).quota("PerMinute").retry("2s")] {
        app.gemini.clear_journal();
        let room = ada.at(&app).new_room().await;
        let rule = if fault.status == 503 {
            Rule::words(9).end(3, End::Error(fault)).times(2)
        } else {
            Rule::refuse(fault).times(2)
        };
        app.gemini.script(rule);
        let reply = ada.at(&app).hears(&room, "hello").await;
        assert_eq!((fate(&reply).0, reply.get("model")), ("queued", None));
        app.clock.advance(Duration::from_secs(2));
        app.settle().await;
        assert_eq!(asked(&app), [OWN, OWN], "one fault may pass");
        let id = reply["id"].as_str().expect("an id");
        let waiting = ada.at(&app).message(&room, id).await;
        assert_eq!((fate(&waiting).0, waiting.get("model")), ("queued", None), "nobody has answered yet");
        let reply = ends(&ada, &app, &reply).await;
        assert_eq!(asked(&app), [OWN, OWN, OTHER]);
        assert_eq!((fate(&reply).0, &reply["model"], charged(&reply)), ("complete", &json!(OTHER), Some(true)));
    }
    assert_eq!(ada.prompts_used().await, 3);
}

#[tokio::test]
async fn other_faults_are_not_the_models() {
    let app = with_fallbacks(&[OTHER]).await;
    let ada = app.sign_up().await;
    for (rule, end) in [
        (Rule::refuse(Fault::of(500)).times(5), "complete"),
        (Rule::refuse(Fault::of(504)).times(5), "complete"),
        (Rule::words(9).end(3, End::Cut).times(5), "complete"),
        (Rule::refuse(Fault::of(400)), "failed"),
        (Rule::refuse(Fault::of(403)), "failed"),
        (Rule::block("SAFETY"), "failed"),
    ] {
        app.gemini.clear_journal();
        app.gemini.script(rule);
        let ada = ada.at(&app);
        let reply = ada.hears(&ada.new_room().await, "hello").await;
        assert_eq!(fate(&ends(&ada, &app, &reply).await).0, end);
        assert!(asked(&app).iter().all(|name| name == OWN), "{:?}", asked(&app));
    }
}

#[tokio::test]
async fn with_all_of_them_overloaded_the_tries_are_as_many_as_ever() {
    let app = with_fallbacks(&[OTHER, TINY]).await;
    let ada = app.sign_up().await;
    app.gemini.script(Rule::refuse(Fault::of(503)).times(6));
    let reply = ada.hears(&ada.new_room().await, "hello").await;
    let reply = ends(&ada, &app, &reply).await;
    assert_eq!(asked(&app), [OWN, OWN, OTHER, TINY, OWN, OTHER], "after the last it is the room's own again");
    assert_eq!((fate(&reply), charged(&reply)), (("failed", "upstream_unavailable"), Some(false)));
    assert_eq!((reply.get("model"), ada.prompts_used().await), (None, 0));
}

#[tokio::test]
async fn with_none_of_them_there_it_is_over_at_once() {
    let app = with_fallbacks(&[OTHER, TINY]).await;
    let ada = app.sign_up().await;
    app.gemini.script(Rule::refuse(Fault::of(404)).times(3));
    let reply = ada.hears(&ada.new_room().await, "hello").await;
    assert_eq!((fate(&reply), charged(&reply)), (("failed", "model_not_found"), Some(false)));
    assert_eq!(asked(&app), [OWN, OTHER, TINY]);
}

#[tokio::test]
async fn a_fallback_that_is_gone_costs_no_reply() {
    let app = with_fallbacks(&["no-such-model"]).await;
    let ada = app.sign_up().await;
    app.gemini.script(Rule::refuse(Fault::of(503)).times(2));
    let reply = ada.hears(&ada.new_room().await, "hello").await;
    let reply = ends(&ada, &app, &reply).await;
    assert_eq!(asked(&app), [OWN, OWN, "no-such-model", OWN]);
    assert_eq!((fate(&reply).0, &reply["model"]), ("complete", &json!(OWN)));
}

#[tokio::test]
async fn a_model_whose_day_is_spent_is_left_at_once() {
    let app = with_fallbacks(&[OTHER]).await;
    let ada = app.sign_up().await;
    app.gemini.script(Rule::refuse(Fault::of(429).quota("PerDay")));
    let reply = ada.hears(&ada.new_room().await, "hello").await;
    assert_eq!((fate(&reply).0, &reply["model"]), ("complete", &json!(OTHER)));
    app.gemini.clear_journal();
    assert_eq!(ada.hears(&ada.new_room().await, "hello").await["model"], OTHER);
    assert_eq!(asked(&app), [OTHER], "and asked by nobody any more");
    app.gemini.script(Rule::refuse(Fault::of(429).quota("PerDay")));
    for _ in 0..2 {
        let reply = ada.hears(&ada.new_room().await, "hello").await;
        assert_eq!((fate(&reply), charged(&reply)), (("failed", "upstream_quota_exhausted"), Some(false)));
    }
    assert_eq!(asked(&app), [OTHER, OTHER], "with all of them spent it is over unasked");
}

#[tokio::test]
async fn a_model_that_is_held_for_longer_than_a_reply_can_wait_is_left_unasked() {
    let app = with_fallbacks(&[OTHER]).await;
    let ada = app.sign_up().await;
    app.gemini.script(Rule::refuse(Fault::of(503).retry("500s")));
    let early = ada.hears(&ada.new_room().await, "hello").await;
    app.clock.advance(Duration::from_secs(400));
    let ada = ada.at(&app);
    app.gemini.script(Rule::refuse(Fault::of(429).retry("300s")));
    let late = ada.hears(&ada.new_room().await, "hello").await;
    app.gemini.clear_journal();
    app.clock.advance(Duration::from_secs(100));
    app.settle().await;
    let now = async |reply: &Value| {
        let text = |name: &str| reply[name].as_str().expect("a text").to_owned();
        ada.message(&text("chatroom_id"), &text("id")).await
    };
    assert_eq!((asked(&app), &now(&early).await["model"]), (vec![OTHER.to_owned()], &json!(OTHER)));
    app.clock.advance(Duration::from_secs(200));
    app.settle().await;
    assert_eq!((asked(&app).len(), &now(&late).await["model"]), (2, &json!(OWN)), "who can wait does");
}

#[tokio::test]
async fn the_context_is_cut_for_the_model_that_is_asked() {
    let app = TestApp::with(|settings| {
        settings.gemini.fallback_models = vec![TINY.to_owned(), OTHER.to_owned()];
        settings.gemini.max_output_tokens = 200;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("yes"));
    ada.hears(&room, &"7".repeat(500)).await;
    app.gemini.clear_journal();
    app.gemini.script(Rule::refuse(Fault::of(404)));
    ada.hears(&room, &"8".repeat(500)).await;
    let turns = app.questions().iter().map(|entry| entry.body["contents"].as_array().map(Vec::len)).collect::<Vec<_>>();
    assert_eq!((asked(&app), turns), (vec![OWN.to_owned(), TINY.to_owned()], vec![Some(3), Some(1)]));

    // What is too long for it goes to the next.
    app.gemini.clear_journal();
    app.gemini.script(Rule::refuse(Fault::of(404)));
    let reply = ada.hears(&room, &"9".repeat(900)).await;
    assert_eq!((asked(&app), &reply["model"]), (vec![OWN.to_owned(), OTHER.to_owned()], &json!(OTHER)));
    assert_eq!(app.questions()[1].body["contents"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn another_process_goes_on_where_the_first_left_the_line() {
    let app = with_fallbacks(&[OTHER]).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::refuse(Fault::of(503)).times(2));
    let reply = ada.hears(&room, "hello").await;
    app.clock.advance(Duration::from_secs(2));
    app.settle().await;
    app.stop().await;
    let next = app.beside().await;
    next.work();
    next.clock.advance(Duration::from_secs(4));
    next.settle().await;
    let reply = ada.at(&next).message(&room, reply["id"].as_str().expect("an id")).await;
    assert_eq!((fate(&reply).0, &reply["model"]), ("complete", &json!(OTHER)));
    assert_eq!(asked(&app), [OWN, OWN, OTHER]);
}
