//! The main job: a person opens a room, says something and reads the answer.

use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn a_message_is_taken_in_answered_and_read() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let accepted = ada.say(&room, "My name is Ada.").await.expect(202);
    let reply = accepted.json()["reply"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/chatroom/{room}/messages/{reply}");
    assert_eq!(accepted.header("location"), Some(path.as_str()));
    assert_eq!(accepted.json()["prompts"]["remaining"], json!(4));

    app.settle().await;
    let answer = ada.get(&path).await.expect(200).json();
    assert_eq!((&answer["status"], &answer["role"]), (&json!("complete"), &json!("model")));
    let sent = app.gemini.journal();
    assert_eq!(answer["content"], sent.last().expect("Gemini was asked").text);

    ada.say(&room, "What is my name?").await.expect(202);
    app.settle().await;
    let room = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    let last = room["messages"].as_array().expect("messages").last().expect("a last one");
    assert!(last["content"].as_str().expect("text").contains("Ada"), "{last}");
}

#[tokio::test]
async fn another_persons_room_is_not_there() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    for (method, path) in [
        ("GET", format!("/chatroom/{room}")),
        ("PATCH", format!("/chatroom/{room}")),
        ("DELETE", format!("/chatroom/{room}")),
        ("GET", format!("/chatroom/{room}/messages")),
        ("POST", format!("/chatroom/{room}/message")),
        ("POST", format!("/chatroom/{room}/messages")),
    ] {
        let answer = eve.call(method, &path).json(&json!({"content": "hello", "name": "mine"})).send().await;
        assert_eq!(answer.expect(404).code(), "chatroom_not_found", "{method} {path}");
    }
    let seen = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    assert_eq!((&seen["name"], &seen["messages"]), (&json!("A room"), &json!([])));
    ada.patch(&format!("/chatroom/{room}"), json!({"name": "Another"})).await.expect(200);
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(ada.get(&format!("/chatroom/{room}")).await.expect(404).code(), "chatroom_not_found");
}
