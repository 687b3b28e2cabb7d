//! What no longer fits is summed up in the background, and shown to the model on the branch it belongs to.

use gemini_backend::sandbox::gemini::{Fault, Rule};
use serde_json::{Value, json};

use crate::harness::chat::receipt;
use crate::harness::{Person, TestApp};

async fn with_summaries() -> TestApp {
    TestApp::with(|settings| {
        settings.gemini.context_summary = true;
        settings.gemini.context_max_tokens = 300;
        settings.quota.basic_daily_prompts = 1_000;
    })
    .await
}

/// The first thing that Gemini was shown with its last question.
fn first_turn(app: &TestApp) -> String {
    let question = app.questions().pop().expect("a question");
    question.body["contents"][0]["parts"][0]["text"].as_str().expect("a text").to_owned()
}

/// How often a summary was asked for.
fn asked(app: &TestApp) -> usize {
    app.gemini.journal().iter().filter(|entry| entry.call == "generateContent").count()
}

/// Tells a name and talks of other things until it no longer fits.
async fn outgrow(app: &TestApp, person: &Person<'_>, room: &str) -> Vec<Value> {
    let mut replies = vec![person.hears(room, "My name is Ada.").await];
    while asked(app) == 0 {
        assert!(replies.len() < 30, "it is never too long");
        let number = replies.len();
        replies.push(person.hears(room, &format!("Say {number} {}", "and so on ".repeat(8))).await);
    }
    replies
}

#[tokio::test]
async fn what_no_longer_fits_is_remembered() {
    let app = with_summaries().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let replies = outgrow(&app, &ada, &room).await;
    assert_eq!((asked(&app), app.count("select count(*) from summaries").await), (1, 1));
    let reply = ada.hears(&room, "What is my name?").await;
    assert_eq!(reply["content"], "Your name is Ada.");
    let first = first_turn(&app);
    assert!(first.starts_with("[What was said before, summed up]\n") && first.contains("My name is Ada"), "{first}");
    let shown = receipt(&ada, &reply).await;
    let ends_at = shown["summary"]["ends_at"].as_str().expect("an id");
    let place = replies.iter().position(|reply| reply["id"] == ends_at).expect("one of the replies");
    assert!(first.ends_with(shown["summary"]["text"].as_str().expect("a text")));
    let left = shown["left_out"].as_array().expect("a list");
    assert!(left.iter().all(|message| message["reason"] == "summarised"), "{shown}");
    assert_eq!(left.len(), 2 * (place + 1), "all up to there, and nothing else");
    assert_eq!(shown["sent"].as_array().map(Vec::len), Some(2 * (replies.len() - place - 1) + 1));
    assert_eq!(ada.prompts_used().await, i64::try_from(replies.len()).expect("a number") + 1, "nobody pays for it");
    assert_eq!(receipt(&ada, &replies[0]).await["summary"], Value::Null);
    // It lasts for a while, and is told on when it does not.
    for number in 0..12 {
        ada.hears(&room, &format!("Say {number} {}", "and so forth ".repeat(8))).await;
    }
    assert!((2..9).contains(&asked(&app)), "{} summaries", asked(&app));
    assert_eq!(ada.hears(&room, "What is my name?").await["content"], "Your name is Ada.");
}

#[tokio::test]
async fn another_branch_knows_nothing_of_it() {
    let app = with_summaries().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let replies = outgrow(&app, &ada, &room).await;
    let first = replies[0]["parent_id"].as_str().expect("an id");
    let other = ada.edit(&room, first, "I have no name.").await.expect(202).json()["reply"]["id"].clone();
    app.settle().await;
    let reply = ada.hears(&room, "What is my name?").await;
    assert_ne!(reply["content"], "Your name is Ada.");
    let shown = receipt(&ada, &reply).await;
    assert_eq!((&shown["summary"], &shown["left_out_count"]), (&Value::Null, &json!(0)), "{other}");
    assert!(!app.questions().pop().expect("a question").body.to_string().contains("Ada"));
}

#[tokio::test]
async fn without_a_summary_the_conversation_goes_on_as_before() {
    let app = with_summaries().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::refuse(Fault::of(400)).when("User: My name").always());
    outgrow(&app, &ada, &room).await;
    assert_eq!(app.count("select count(*) from summaries").await, 0);
    let reply = ada.hears(&room, "What is my name?").await;
    assert_eq!(reply["content"], "You have not told me your name yet.");
    let shown = receipt(&ada, &reply).await;
    assert_eq!((&shown["summary"], &shown["left_out"][0]["reason"]), (&Value::Null, &json!("did_not_fit")));
    assert!(asked(&app) >= 2, "with each reply that leaves something out it is tried again");
    assert_eq!(app.count("select count(*) from jobs where state = 'parked'").await, 0);
}

#[tokio::test]
async fn nothing_is_summed_up_unless_it_is_asked_for() {
    let app = TestApp::with(|settings| {
        settings.gemini.context_max_tokens = 256;
        settings.quota.basic_daily_prompts = 1_000;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for number in 0..8 {
        ada.hears(&room, &format!("Say {number} {}", "and so on ".repeat(8))).await;
    }
    assert_eq!(asked(&app), 0);
}

#[tokio::test]
async fn a_deleted_room_leaves_none_behind() {
    let app = with_summaries().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    outgrow(&app, &ada, &room).await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(app.count("select count(*) from summaries").await, 0);
}
