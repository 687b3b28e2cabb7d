//! What Gemini is shown of files: those of the question before its words, older ones as far as they fit.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gemini_backend::sandbox::gemini::Rule;
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::harness::files::{pdf, png};

/// The parts of every turn that was asked last, files by their type.
fn asked(app: &TestApp) -> Vec<Vec<String>> {
    let body = app.questions().pop().expect("a question").body;
    let part = |part: &Value| match part["text"].as_str() {
        Some(text) => text.to_owned(),
        None => part["inlineData"]["mimeType"].as_str().expect("a file").to_owned(),
    };
    let turns = body["contents"].as_array().expect("turns").iter();
    turns.map(|turn| turn["parts"].as_array().expect("parts").iter().map(part).collect()).collect()
}

#[tokio::test]
async fn files_go_before_the_words_of_their_turn() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let (picture, document) = (png(60), pdf(2));
    let one = ada.uploads(&room, "a.png", &picture).await;
    let two = ada.uploads(&room, "b.pdf", &document).await;
    let reply = ada.hears_of(&room, "What are they?", &[&one, &two]).await;
    let got = format!("I got an image/png of 60 bytes and an application/pdf of {} bytes. ", document.len());
    assert!(reply["content"].as_str().expect("a text").starts_with(&got), "{reply}");
    let question = app.questions().pop().expect("a question").body;
    let parts = json!([
        {"inlineData": {"mimeType": "image/png", "data": STANDARD.encode(&picture)}},
        {"inlineData": {"mimeType": "application/pdf", "data": STANDARD.encode(&document)}},
        {"text": "What are they?"},
    ]);
    assert_eq!(question["contents"], json!([{"role": "user", "parts": parts}]));
    assert_eq!(reply["usage"]["prompt_tokens"].as_u64().expect("counted") / 10, (1_120 + 2 * 560 + 4) / 10);
    app.gemini.script(Rule::say("Yes.").always());
    ada.hears(&room, "Really?").await;
    assert_eq!(
        asked(&app),
        [
            vec!["image/png", "application/pdf", "What are they?"],
            vec![reply["content"].as_str().expect("a text")],
            vec!["Really?"],
        ]
    );
}

#[tokio::test]
async fn the_oldest_files_are_left_out_first_and_named_in_their_place() {
    let app = TestApp::with(|settings| {
        settings.gemini.context_max_attachment_bytes = 1_000;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("ok").always());
    let mut files = Vec::new();
    for (name, content) in [("one.png", png(400)), ("two.pdf", pdf(1)), ("three.png", png(500)), ("four.png", png(400))]
    {
        files.push(ada.uploads(&room, name, &content).await);
    }
    for (text, file) in ["1", "2", "3", "4"].into_iter().zip(&files) {
        assert_eq!(ada.hears_of(&room, text, &[file]).await["status"], "complete");
    }
    let ok = || vec!["ok".to_owned()];
    let turn = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let all = [
        turn(&["[image left out: one.png]", "1"]),
        ok(),
        turn(&["application/pdf", "2"]),
        ok(),
        turn(&["image/png", "3"]),
        ok(),
        turn(&["image/png", "4"]),
    ];
    assert_eq!(asked(&app), all);
    // Alone it may not be larger than all together.
    let large = ada.uploads(&room, "five.png", &png(1_001)).await;
    let refused = ada.say_with(&room, "5", &[&large]).await.expect(422);
    assert_eq!(refused.code(), "attachments_too_large");
    assert_eq!(ada.prompts_used().await, 4);
    let six = ada.uploads(&room, "six.png", &png(1_000)).await;
    ada.hears_of(&room, "6", &[&six]).await;
    let seen = asked(&app);
    assert_eq!(seen[2], turn(&["[document left out: two.pdf]", "2"]));
    assert_eq!((&seen[6], &seen[8]), (&turn(&["[image left out: four.png]", "4"]), &turn(&["image/png", "6"])));
}

#[tokio::test]
async fn files_count_as_tokens() {
    let app = TestApp::with(|settings| {
        settings.gemini.context_max_tokens = 2_500;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("ok").always());
    let document = ada.uploads(&room, "long.pdf", &pdf(5)).await;
    let refused = ada.say_with(&room, "Read it.", &[&document]).await.expect(422);
    assert_eq!(refused.code(), "context_overflow");
    let (one, two) = (ada.uploads(&room, "1.png", &png(60)).await, ada.uploads(&room, "2.png", &png(60)).await);
    let three = ada.uploads(&room, "3.png", &png(60)).await;
    ada.hears_of(&room, "first", &[&one]).await;
    ada.hears_of(&room, "second", &[&two, &three]).await;
    let left_out = [vec!["[image left out: 1.png]", "first"], vec!["ok"], vec!["image/png", "image/png", "second"]];
    assert_eq!(asked(&app), left_out, "what was said goes on without its picture");
    for entry in app.questions() {
        assert_eq!(entry.status, 200);
    }
}

#[tokio::test]
async fn what_waits_holds_no_files() {
    let app = TestApp::with(|settings| {
        settings.quota.basic_replies_at_once = 50;
        settings.quota.basic_daily_prompts = 100;
    })
    .await;
    let ada = app.sign_up().await;
    let content = png(1024 * 1024);
    app.gemini.script(Rule::words(3).hold(1).always());
    let rooms = ada.new_rooms(8).await;
    for room in &rooms {
        let file = ada.uploads(room, "a.png", &content).await;
        ada.say_with(room, "look", &[&file]).await.expect(202);
    }
    app.until_held(8).await;
    // All of the memory is free although eight answers are being written.
    let all = app.app.settings.files.memory;
    let share = app.app.files.outgoing.wait_for(app.sign_up().await.user, all);
    drop(tokio::time::timeout(std::time::Duration::from_secs(10), share).await.expect("there is room"));
    app.gemini.clear_script();
    app.gemini.release();
    app.settle().await;
}

#[tokio::test]
async fn a_question_waits_until_there_is_memory_for_its_files() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let file = ada.uploads(&room, "a.png", &png(10_000)).await;
    let held = app.app.files.outgoing.wait_for(app.sign_up().await.user, app.app.settings.files.memory).await;
    let accepted = ada.say_with(&room, "look", &[&file]).await.expect(202).json();
    let reply = accepted["reply"]["id"].as_str().expect("an id");
    ada.watches(&room, reply, |message| message["status"] == "generating").await;
    assert!(app.questions().is_empty());
    drop(held);
    app.settle().await;
    assert_eq!(ada.message(&room, reply).await["status"], "complete");
}
