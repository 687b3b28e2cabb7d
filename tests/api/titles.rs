//! Rooms without a name get one from their first exchange, in the background.

use std::time::Duration;

use gemini_backend::sandbox::gemini::{Ended, Fault, Rule};
use serde_json::{Value, json};

use crate::harness::{Person, TestApp};

async fn titling() -> TestApp {
    TestApp::with(|settings| {
        settings.gemini.chatroom_titles = true;
        settings.quota.basic_daily_prompts = 100;
    })
    .await
}

async fn unnamed(person: &Person<'_>) -> String {
    person.post("/chatroom", json!({})).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
}

async fn name(person: &Person<'_>, room: &str) -> Value {
    person.get(&format!("/chatroom/{room}")).await.expect(200).json()["name"].clone()
}

/// How often a title was asked for.
fn asked(app: &TestApp) -> usize {
    app.gemini.journal().iter().filter(|entry| entry.call == "generateContent").count()
}

#[tokio::test]
async fn a_room_without_a_name_gets_one_and_no_prompt_is_charged() {
    let app = titling().await;
    let ada = app.sign_up().await;
    let room = unnamed(&ada).await;
    let mut reader = ada.listen(&format!("/chatroom/{room}/events"), None).await;
    let before = ada.get("/chatroom").await.expect(200);
    app.gemini.script(Rule::say("Take the night train."));
    app.gemini.script(Rule::say("\"A night train to Rome.\"\nI hope you like it."));
    let reply = ada.hears(&room, "How do I get to Rome?").await;
    let told = reader.until("chatroom.updated").await;
    assert_eq!(told.last().expect("an event").data["chatroom"]["name"], "A night train to Rome");
    assert_eq!(name(&ada, &room).await, "A night train to Rome");
    let list = ada.get("/chatroom").await.expect(200);
    assert_eq!(list.json()["data"][0]["title"], "A night train to Rome");
    assert_ne!(list.header("etag"), before.header("etag"));
    assert_eq!(ada.prompts_used().await, 1);
    let tokens = app.count("select cast(sum(total_tokens) as bigint) from token_days").await;
    assert!(
        tokens > reply["usage"]["total_tokens"].as_i64().expect("a count"),
        "the operator's count holds the title's"
    );
    let question = app.gemini.journal().into_iter().find(|entry| entry.call == "generateContent").expect("a question");
    let shown = question.body["contents"][0]["parts"][0]["text"].as_str().expect("a text").to_owned();
    assert_eq!(shown, "User: How do I get to Rome?\n\nModel: Take the night train.");
    ada.hears(&room, "And back?").await;
    ada.patch(&format!("/chatroom/{room}"), json!({"name": null})).await.expect(200);
    ada.hears(&room, "And then?").await;
    assert_eq!((asked(&app), name(&ada, &room).await), (1, Value::Null), "once is enough");
}

#[tokio::test]
async fn a_failed_exchange_is_not_the_first() {
    let app = titling().await;
    let ada = app.sign_up().await;
    let room = unnamed(&ada).await;
    app.gemini.script(Rule::block("SAFETY"));
    ada.hears(&room, "something blocked").await;
    assert_eq!((asked(&app), name(&ada, &room).await), (0, Value::Null));
    ada.hears(&room, "Tell me about tea").await;
    assert_eq!(name(&ada, &room).await, "Tell me about tea");
}

#[tokio::test]
async fn a_name_that_a_person_gave_stays() {
    let app = titling().await;
    let ada = app.sign_up().await;
    let named = ada.new_room().await;
    ada.hears(&named, "hello").await;
    assert_eq!((asked(&app), name(&ada, &named).await), (0, json!("A room")));

    let room = unnamed(&ada).await;
    app.gemini.script(Rule::say("Hello."));
    app.gemini.script(Rule::say("A title of the model").hold(1));
    ada.ask(&room, "hello").await;
    app.until_held(1).await;
    ada.patch(&format!("/chatroom/{room}"), json!({"name": "Mine"})).await.expect(200);
    app.gemini.release();
    app.settle().await;
    assert_eq!((asked(&app), name(&ada, &room).await), (1, json!("Mine")));
}

#[tokio::test]
async fn what_fails_leaves_the_room_unnamed() {
    let app = titling().await;
    let ada = app.sign_up().await;
    for rule in [Rule::refuse(Fault::of(400)), Rule::block("SAFETY"), Rule::words(0), Rule::say("\"\"")] {
        let room = unnamed(&ada).await;
        app.gemini.script(Rule::say("Hello."));
        app.gemini.script(rule);
        assert_eq!(ada.hears(&room, "hello").await["status"], "complete");
        assert_eq!(name(&ada, &room).await, Value::Null);
    }
    // What may pass is tried again, a few times.
    let room = unnamed(&ada).await;
    app.gemini.script(Rule::say("Hello."));
    app.gemini.script(Rule::refuse(Fault::of(503)).times(3));
    let before = asked(&app);
    ada.hears(&room, "hello").await;
    for _ in 0..4 {
        app.clock.advance(Duration::from_mins(1));
        app.app.live.ring_for_jobs();
        app.settle().await;
    }
    assert_eq!((asked(&app) - before, name(&ada, &room).await), (3, Value::Null));
    let room = unnamed(&ada.at(&app)).await;
    app.gemini.script(Rule::say("Hello."));
    app.gemini.script(Rule::refuse(Fault::of(503)));
    app.gemini.script(Rule::say("Second thoughts"));
    ada.at(&app).hears(&room, "hello").await;
    app.clock.advance(Duration::from_mins(1));
    app.app.live.ring_for_jobs();
    app.settle().await;
    assert_eq!(name(&ada.at(&app), &room).await, "Second thoughts");
}

#[tokio::test]
async fn a_room_that_is_deleted_meanwhile_is_no_matter() {
    let app = titling().await;
    let ada = app.sign_up().await;
    let room = unnamed(&ada).await;
    app.gemini.script(Rule::say("Hello."));
    app.gemini.script(Rule::say("Too late").hold(1));
    ada.ask(&room, "hello").await;
    app.until_held(1).await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    app.gemini.release();
    app.settle().await;
    assert_eq!(app.count("select count(*) from jobs where state = 'parked'").await, 0);
}

#[tokio::test]
async fn a_name_to_find_delays_no_code_and_no_reply() {
    let app = TestApp::with(|settings| {
        settings.gemini.chatroom_titles = true;
        settings.worker.concurrency = 8;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let ada = app.sign_up().await;
    app.gemini.script(Rule::say("A title").when("User: ").hold(1).always());
    for _ in 0..3 {
        let room = unnamed(&ada).await;
        let reply = ada.asks(&room, "hello").await;
        ada.watches(&room, &reply, |reply| reply["status"] == "complete").await;
    }
    app.until_held(1).await;
    let waiting = "select count(*) from jobs where kind = 'name_room' and state = 'queued'";
    let bob = app.sign_up().await;
    let room = bob.new_room().await;
    // Only one of them is asked for at a time, so that there is room for what people wait for.
    assert_eq!(app.count(waiting).await, 2);
    let reply = bob.asks(&room, "hello").await;
    bob.watches(&room, &reply, |reply| reply["status"] == "complete").await;
    assert_eq!(app.count(waiting).await, 2);
    let held = app.gemini.journal().iter().filter(|entry| entry.end == Ended::Held).count();
    assert_eq!(held, 1);
    app.gemini.clear_script();
    app.gemini.release();
    app.settle().await;
}
