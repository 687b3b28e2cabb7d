//! How much a room's model thinks, and that its thoughts are no part of its answer.

use gemini_backend::sandbox::gemini::Rule;
use serde_json::{Value, json};

use crate::harness::TestApp;

#[tokio::test]
async fn thoughts_are_kept_apart_from_the_answer() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.post("/chatroom", json!({"name": "A room", "thinking": "low"})).await.expect(201).json();
    assert_eq!(room["thinking"], "low");
    let room = room["id"].as_str().expect("an id").to_owned();
    let mut reader = ada.listen(&format!("/chatroom/{room}/events"), None).await;
    app.gemini.script(Rule::say("Forty-two.").thoughts("Let me see. "));
    let reply = ada.hears(&room, "How many?").await;
    assert_eq!((&reply["content"], &reply["thoughts"]), (&json!("Forty-two."), &json!("Let me see. ")));
    let sent = app.questions().pop().expect("a question").body["generationConfig"]["thinkingConfig"].clone();
    assert_eq!(sent, json!({"includeThoughts": true, "thinkingLevel": "low"}));
    let told = reader.until("reply.completed").await;
    let deltas: String =
        told.iter().filter(|told| told.name == "reply.delta").filter_map(|told| told.data["text"].as_str()).collect();
    assert_eq!(deltas, "Forty-two.");
    // Nor are they shown to the model again.
    ada.hears(&room, "And now?").await;
    let turn = app.questions().pop().expect("a question").body["contents"][1].clone();
    assert_eq!(turn, json!({"role": "model", "parts": [{"text": "Forty-two."}]}));
    let shown = ada.get(&format!("/chatroom/{room}/messages/{}/context", reply["id"].as_str().expect("an id"))).await;
    assert_eq!(shown.expect(200).json()["thinking"], "low");
}

#[tokio::test]
async fn without_the_rooms_word_nothing_is_said_of_thinking() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let path = format!("/chatroom/{room}");
    let reply = ada.hears(&room, "hello").await;
    assert_eq!(
        (reply.get("thoughts"), app.questions()[0].body["generationConfig"].get("thinkingConfig")),
        (None, None)
    );
    assert_eq!(ada.patch(&path, json!({"thinking": "high"})).await.expect(200).json()["thinking"], "high");
    ada.hears(&room, "hello").await;
    assert_eq!(app.questions()[1].body["generationConfig"]["thinkingConfig"]["thinkingLevel"], "high");
    assert_eq!(ada.patch(&path, json!({"name": "Another"})).await.expect(200).json()["thinking"], "high");
    assert_eq!(ada.patch(&path, json!({"thinking": null})).await.expect(200).json()["thinking"], Value::Null);
    for wrong in [json!("deep"), json!(1), json!("")] {
        assert_eq!(ada.patch(&path, json!({"thinking": wrong})).await.expect(422).code(), "invalid");
        assert_eq!(ada.post("/chatroom", json!({"thinking": wrong})).await.expect(422).code(), "invalid");
    }
}
