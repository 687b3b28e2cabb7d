//! What the model saw: shown with each reply, with what was left out and why.

use gemini_backend::sandbox::gemini::{Fault, Rule};
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::harness::chat::receipt;

/// Places in the room of a list of messages, with their reasons where they have one.
fn places(list: &Value) -> Vec<(i64, &str)> {
    let place = |message: &Value| message["seq"].as_i64().expect("a place");
    let messages = list.as_array().expect("a list").iter();
    messages.map(|message| (place(message), message["reason"].as_str().unwrap_or(""))).collect()
}

#[tokio::test]
async fn it_tells_what_was_sent_and_stays_as_it_was() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let ada = app.sign_up().await;
    let room = ada.post("/chatroom", json!({"system_instruction": "Be brief."})).await.expect(201).json();
    let room = room["id"].as_str().expect("an id").to_owned();
    ada.hears(&room, "first").await;
    app.gemini.script(Rule::block("SAFETY"));
    ada.hears(&room, "blocked").await;
    let reply = ada.hears(&room, "second").await;
    let shown = receipt(&ada, &reply).await;
    assert_eq!(places(&shown["sent"]), [(1, ""), (2, ""), (5, "")]);
    assert_eq!(places(&shown["left_out"]), [(3, "not_answered"), (4, "not_answered")]);
    let messages = ada.messages(&room).await;
    for (place, role) in [(0, "user"), (1, "model"), (2, "user")] {
        let message = &messages[[0, 1, 4][place]];
        let sent = &shown["sent"][place];
        assert_eq!((&sent["message_id"], &sent["role"]), (&message["id"], &json!(role)));
    }
    assert_eq!(shown["left_out"][0]["message_id"], messages[2]["id"]);
    let expected = json!({
        "message_id": reply["id"], "model": "gemini-3.8-flash", "system_instruction": "Be brief.", "thinking": null,
        "summary": null, "left_out_count": 2,
        "tokens": {"limit": 32_000, "estimated": shown["tokens"]["estimated"], "counted": null,
            "used": reply["usage"]["prompt_tokens"]},
        "sent": shown["sent"], "left_out": shown["left_out"],
    });
    assert_eq!(shown, expected);
    assert!(shown["tokens"]["estimated"].as_i64() >= shown["tokens"]["used"].as_i64(), "{shown}");
    // What changes later was not so then.
    ada.patch(&format!("/chatroom/{room}"), json!({"system_instruction": null, "model": "gemini-flash-latest"}))
        .await
        .expect(200);
    ada.hears(&room, "third").await;
    assert_eq!(receipt(&ada, &reply).await, expected);
    let text = ada.messages(&room).await;
    let third = receipt(&ada, text.last().expect("a reply")).await;
    assert_eq!((&third["system_instruction"], &third["model"]), (&Value::Null, &json!("gemini-flash-latest")));
}

#[tokio::test]
async fn a_question_without_an_answer_is_no_conversation_wherever_it_stands() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::block("SAFETY"));
    ada.hears(&room, "blocked").await;
    let reply = ada.hears(&room, "hello").await;
    let shown = receipt(&ada, &reply).await;
    assert_eq!(places(&shown["sent"]), [(3, "")]);
    assert_eq!(places(&shown["left_out"]), [(1, "not_answered"), (2, "not_answered")]);
}

#[tokio::test]
async fn it_is_the_branchs_own() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let first = ada.hears(&room, "first").await;
    let old = ada.hears(&room, "second").await;
    let question = first["parent_id"].as_str().expect("an id");
    ada.edit(&room, question, "first, but otherwise").await.expect(202);
    app.settle().await;
    let new = ada.hears(&room, "third").await;
    assert_eq!(places(&receipt(&ada, &new).await["sent"]), [(5, ""), (6, ""), (7, "")]);
    assert_eq!(receipt(&ada, &new).await["left_out_count"], 0, "what lies on another branch was never before it");
    assert_eq!(places(&receipt(&ada, &old).await["sent"]), [(1, ""), (2, ""), (3, "")]);
}

#[tokio::test]
async fn what_did_not_fit_is_named_and_counted() {
    let app = TestApp::with(|settings| {
        settings.gemini.context_max_tokens = 256;
        settings.quota.basic_daily_prompts = 1_000;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::say("yes").always());
    let mut last = String::new();
    for number in 0..106 {
        last = ada.asks(&room, &format!("{number:040}")).await;
    }
    app.settle().await;
    let reply = ada.message(&room, &last).await;
    let shown = receipt(&ada, &reply).await;
    let sent = places(&shown["sent"]);
    let left = places(&shown["left_out"]);
    let all = 211;
    let kept = i64::try_from(sent.len()).expect("a number");
    assert_eq!(sent, (all - kept + 1..=all).map(|place| (place, "")).collect::<Vec<_>>());
    assert_eq!(shown["left_out_count"], json!(all - kept));
    assert_eq!(left, (all - kept - 199..=all - kept).map(|place| (place, "did_not_fit")).collect::<Vec<_>>());
    let tokens = &shown["tokens"];
    assert_eq!((&tokens["limit"], &tokens["counted"]), (&json!(256), &tokens["used"]), "Gemini counted, and was right");
    assert!(tokens["used"].as_i64().is_some_and(|used| used <= 256) && kept >= 7, "{shown}");
}

#[tokio::test]
async fn there_is_none_where_nothing_was_sent() {
    let mut app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    app.may_leave_jobs();
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    let path = |id: &Value| format!("/chatroom/{room}/messages/{}/context", id.as_str().expect("an id"));
    app.gemini.script(Rule::words(3).hold(1));
    let writing = ada.ask(&room, "hello").await;
    app.until_held(1).await;
    let next = ada.ask(&room, "and then?").await;
    assert_eq!(ada.get(&path(&writing["message"]["id"])).await.expect(422).code(), "not_a_reply");
    assert_eq!(ada.get(&path(&writing["reply"]["id"])).await.expect(409).code(), "reply_in_progress");
    assert_eq!(bob.get(&path(&writing["reply"]["id"])).await.expect(404).code(), "chatroom_not_found");
    let nobody = json!("0199f7aa-d6a8-7d10-9c9e-3b1f0c5d7e22");
    assert_eq!(ada.get(&path(&nobody)).await.expect(404).code(), "message_not_found");
    ada.cancels(&room, next["reply"]["id"].as_str().expect("an id")).await;
    assert_eq!(ada.get(&path(&next["reply"]["id"])).await.expect(404).code(), "context_not_found");
    app.gemini.release();
    app.settle().await;
    ada.get(&path(&writing["reply"]["id"])).await.expect(200);
    app.gemini.script(Rule::refuse(Fault::of(400)));
    let failed = ada.hears(&room, "refused").await;
    assert_eq!(receipt(&ada, &failed).await["left_out_count"], 2, "it was sent, though it was refused");
}
