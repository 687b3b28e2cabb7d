//! Which models there are to choose from, what a room may be given, and what holds while Gemini does not tell.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::auth::Plan;
use gemini_backend::chat;
use gemini_backend::sandbox::gemini::{Card, Fault, Options, Rule, start};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::chat::{charged, fate};
use crate::harness::{Person, TestApp, until};

/// What Gemini is asked again after.
const FRESH: Duration = Duration::from_mins(10);
/// The same, when it did not answer.
const PAUSE: Duration = Duration::from_secs(15);

fn down() -> Rule {
    Rule::refuse(Fault::of(503).message("a secret of the operator")).call("models.list").always()
}

/// How often Gemini was asked for its models.
fn lists(app: &TestApp) -> usize {
    app.gemini.journal().iter().filter(|entry| entry.call == "models.list").count()
}

async fn listed(person: &Person<'_>) -> Value {
    person.get("/models").await.expect(200).json()
}

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("a list").iter().map(|model| model["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn those_that_answer_and_those_the_settings_name_are_listed() {
    let app = TestApp::with(|settings| {
        settings.gemini.model = "deployment-own".to_owned();
        settings.gemini.fallback_models = vec!["sandbox-tiny".to_owned(), "another".to_owned()];
    })
    .await;
    let ada = app.sign_up().await;
    let unlisted = |name: &str, default: bool| json!({"name": name, "default": default, "input_token_limit": null, "output_token_limit": null});
    let card = |name: &str, shown: &str, limits: (u32, u32)| {
        json!({"name": name, "display_name": shown, "default": false, "input_token_limit": limits.0,
            "output_token_limit": limits.1})
    };
    let all = json!([
        unlisted("another", false),
        unlisted("deployment-own", true),
        card("gemini-3.8-flash", "Gemini 3.8 Flash", (1_048_576, 65_536)),
        card("gemini-flash-latest", "Gemini Flash Latest", (1_048_576, 65_536)),
        card("sandbox-tiny", "Sandbox Tiny", (1_000, 200)),
    ]);
    assert_eq!(listed(&ada).await, json!({"data": all, "next_cursor": null}));
    ada.set_plan(Plan::Pro).await;
    assert_eq!(listed(&ada).await["data"], all);

    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = ada.get(&format!("/models{query}")).await.expect(200).json();
        seen.extend(page["data"].as_array().expect("a list").clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(json!(seen), all);
    assert_eq!(lists(&app), 1);
    assert_eq!(ada.get("/models?cursor=x").await.expect(422).json()["errors"][0]["field"], "cursor");
    assert_eq!(app.get("/models").send().await.expect(401).code(), "token_missing");
}

#[tokio::test]
async fn every_page_of_geminis_list_counts() {
    let many: Vec<String> = (0..1_100).map(|at| format!("model-{at:04}")).collect();
    let options = Options { require_key: false, ..Options::default() }.with_models(many.iter().map(String::as_str));
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let gemini = start(([127, 0, 0, 1], 0).into(), options, stop).await.expect("a free port");
    let app = TestApp::with(|settings| settings.gemini.base_url = Some(gemini.base_url())).await;
    let ada = app.sign_up().await;
    ada.post("/chatroom", json!({"model": "model-1099"})).await.expect(201);
    assert_eq!(gemini.journal().len(), 2);
}

#[tokio::test]
async fn gemini_is_asked_once_for_many_and_again_after_a_while() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let slow = || Rule::default().call("models.list").pace(Duration::from_millis(200), Duration::ZERO);
    app.gemini.script(slow());
    let all = join_all((0..20).map(|_| listed(&ada))).await;
    assert!(all.iter().all(|list| *list == all[0] && names(list).len() == 3), "{all:?}");
    assert_eq!(lists(&app), 1);
    app.clock.advance(FRESH);
    app.gemini.script(slow());
    let ada = ada.at(&app);
    assert!(join_all((0..20).map(|_| listed(&ada))).await.iter().all(|list| *list == all[0]));
    assert_eq!(lists(&app), 2);
}

#[tokio::test]
async fn with_gemini_down_the_list_of_before_is_shown() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let before = listed(&ada).await;
    app.clock.advance(FRESH);
    app.gemini.script(down());
    let ada = ada.at(&app);
    for _ in 0..3 {
        assert_eq!(listed(&ada).await, before);
    }
    assert_eq!(lists(&app), 2, "a Gemini that is down is not asked by everybody");
    app.clock.advance(PAUSE);
    assert_eq!(listed(&ada).await, before);
    assert_eq!(lists(&app), 3);
}

#[tokio::test]
async fn without_any_list_it_is_said_when_to_come_back() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    app.gemini.script(down());
    for _ in 0..2 {
        let refused = ada.get("/models").await.expect(503);
        assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("upstream_unavailable", Some("15")));
        assert!(!refused.text().contains("secret"), "{}", refused.text());
    }
    assert_eq!(lists(&app), 1);
    app.gemini.clear_script();
    app.clock.advance(PAUSE);
    assert_eq!(names(&listed(&ada).await).len(), 3);
}

#[tokio::test]
async fn a_gemini_that_hangs_holds_up_a_message_only_for_a_moment() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::default().call("models.list").always().pace(Duration::from_mins(5), Duration::ZERO));
    assert_eq!(ada.hears(&room, "hello").await["status"], "complete");
    assert_eq!(ada.get("/models").await.expect(503).code(), "upstream_unavailable");
    assert_eq!(lists(&app), 1);
}

#[tokio::test]
async fn a_room_gets_only_a_model_that_is_there() {
    let app = TestApp::with(|settings| settings.gemini.fallback_models = vec!["of-the-settings".to_owned()]).await;
    let ada = app.sign_up().await;
    let room = format!("/chatroom/{}", ada.new_room().await);
    for model in ["gemini-9", "gemini-embedding-001", "GEMINI-3.8-FLASH"] {
        for refused in [
            ada.post("/chatroom", json!({"model": model})).await,
            ada.patch(&room, json!({"model": model, "name": "another"})).await,
        ] {
            let problem = refused.expect(422).json();
            let errors = json!([{"field": "model", "message": "is not among the models that GET /models lists"}]);
            assert_eq!((&problem["code"], &problem["errors"]), (&json!("invalid"), &errors), "{model}");
        }
    }
    assert_eq!(app.count("select count(*) from chatrooms").await, 1);
    let unchanged = ada.get(&room).await.expect(200).json();
    assert_eq!((&unchanged["model"], &unchanged["name"]), (&Value::Null, &json!("A room")));
    for model in names(&listed(&ada).await) {
        assert_eq!(ada.post("/chatroom", json!({"model": model})).await.expect(201).json()["model"], model);
        assert_eq!(ada.patch(&room, json!({"model": model})).await.expect(200).json()["model"], model);
    }
    let nowhere = format!("/chatroom/{}", uuid::Uuid::now_v7());
    assert_eq!(ada.patch(&nowhere, json!({"model": "gemini-9"})).await.expect(404).code(), "chatroom_not_found");
}

#[tokio::test]
async fn while_gemini_does_not_tell_any_name_will_do() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    app.gemini.script(down());
    let made = ada.post("/chatroom", json!({"model": "gemini-9"})).await.expect(201).json();
    assert_eq!(made["model"], "gemini-9");
    let path = format!("/chatroom/{}", made["id"].as_str().expect("an id"));
    ada.patch(&path, json!({"model": "gemini-10"})).await.expect(200);
    let refused = ada.post("/chatroom", json!({"model": "../x"})).await.expect(422).json();
    assert_eq!(refused["errors"][0]["message"], "is not the name of a model");
    // Nor does a list of before refuse what may have come since.
    app.gemini.clear_script();
    app.clock.advance(PAUSE);
    listed(&ada).await;
    ada.post("/chatroom", json!({"model": "gemini-11"})).await.expect(422);
    app.clock.advance(FRESH);
    app.gemini.script(down());
    ada.at(&app).post("/chatroom", json!({"model": "gemini-11"})).await.expect(201);
}

#[tokio::test]
async fn a_room_whose_model_has_gone_is_as_it_was_and_its_replies_fail() {
    let mut options = Options { require_key: false, ..Options::default() };
    options.models.push(Card::new("gemini-old", 5_000, 500));
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let gemini = start(([127, 0, 0, 1], 0).into(), options, stop).await.expect("a free port");
    let before = TestApp::idle(|settings| settings.gemini.base_url = Some(gemini.base_url())).await;
    let ada = before.sign_up().await;
    let make = async |person: &Person<'_>| {
        let call = person.call("POST", "/chatroom").header("idempotency-key", "once");
        call.json(&json!({"model": "gemini-old"})).send().await.expect(201)
    };
    let room = make(&ada).await.json();
    let id = room["id"].as_str().expect("an id");

    let url = before.gemini.base_url();
    let after = before.reset(|settings| settings.gemini.base_url = Some(url)).await;
    after.work();
    let ada = ada.at(&after);
    ada.post("/chatroom", json!({"model": "gemini-old"})).await.expect(422);
    assert_eq!(make(&ada).await.header("idempotency-replayed"), Some("true"));
    assert_eq!(ada.get(&format!("/chatroom/{id}")).await.expect(200).json()["model"], "gemini-old");
    let change = json!({"name": "Old", "model": "gemini-old"});
    assert_eq!(ada.patch(&format!("/chatroom/{id}"), change).await.expect(200).json()["model"], "gemini-old");
    let reply = ada.hears(id, "hello").await;
    assert_eq!((fate(&reply), charged(&reply)), (("failed", "model_not_found"), Some(false)));
    assert_eq!((&reply["attempt"], &reply["error"]["retryable"]), (&json!(1), &json!(false)));
    assert_eq!(ada.prompts_used().await, 0);
}

#[tokio::test]
async fn models_that_are_gone_or_will_be_are_reported_early() {
    let mut retiring = Card::new("model-that-retires", 1_000, 200);
    "A fine model. It will be discontinued on January 7, 2027.".clone_into(&mut retiring.description);
    let options = Options {
        require_key: false,
        models: vec![Card::new("model-that-stays", 1_000, 200), retiring],
        ..Options::default()
    };
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let gemini = start(([127, 0, 0, 1], 0).into(), options, stop).await.expect("a free port");
    let app = TestApp::with(|settings| {
        settings.gemini.base_url = Some(gemini.base_url());
        settings.gemini.model = "model-that-retires".to_owned();
        settings.gemini.fallback_models = vec!["model-that-stays".to_owned(), "model-that-is-gone".to_owned()];
        settings.server.metrics_token = Some("a token of the operators".to_owned().into());
    })
    .await;
    app.app.tasks.spawn(chat::watch_models(app.app.clone()));
    let wanted = [
        "gemini_model_known{model=\"model-that-retires\"} 1",
        "gemini_model_retiring{model=\"model-that-retires\"} 1",
        "gemini_model_known{model=\"model-that-stays\"} 1",
        "gemini_model_retiring{model=\"model-that-stays\"} 0",
        "gemini_model_known{model=\"model-that-is-gone\"} 0",
    ];
    let figures = until("the models are looked after", async || {
        let text = app.get("/metrics").bearer("a token of the operators").send().await.expect(200).text().to_owned();
        text.contains("model-that-is-gone").then_some(text)
    });
    let figures = figures.await;
    for line in wanted {
        assert!(figures.lines().any(|figure| figure == line), "{line}");
    }
}

#[tokio::test]
async fn basic_is_given_the_models_that_the_settings_name() {
    const OTHER: &str = "gemini-flash-latest";
    let app = TestApp::with(|settings| settings.gemini.basic_models = vec!["sandbox-tiny".to_owned()]).await;
    let ada = app.sign_up().await;
    assert_eq!(
        names(&listed(&ada).await),
        ["gemini-3.8-flash", "sandbox-tiny"],
        "the deployment's own is always given"
    );
    let plans = app.get("/plans").send().await.expect(200).json();
    assert_eq!(plans["data"][0]["models"], json!(["gemini-3.8-flash", "sandbox-tiny"]));
    assert_eq!(plans["data"][1]["models"], Value::Null);
    let with = |model: &str| json!({"name": "A room", "model": model});
    assert_eq!(ada.post("/chatroom", with(OTHER)).await.expect(422).json()["errors"][0]["field"], "model");
    ada.set_plan(Plan::Pro).await;
    assert_eq!(names(&listed(&ada).await).len(), 3);
    let room = ada.post("/chatroom", with(OTHER)).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let reply = ada.hears(&room, "hello").await;
    assert_eq!((&reply["model"], reply.get("fallback_for")), (&json!(OTHER), None));
    // Who goes back to Basic keeps the room, and another model stands in.
    ada.set_plan(Plan::Basic).await;
    let reply = ada.hears(&room, "hello again").await;
    assert_eq!((&reply["model"], &reply["fallback_for"]), (&json!("gemini-3.8-flash"), &json!(OTHER)));
    let path = format!("/chatroom/{room}");
    assert_eq!(ada.patch(&path, json!({"name": "Another"})).await.expect(200).json()["model"], OTHER);
    ada.set_plan(Plan::Pro).await;
    assert_eq!(ada.hears(&room, "and again").await["model"], OTHER);
}
