//! What somebody takes along: a conversation as a file, and all that is held of them.

use std::collections::BTreeSet;

use gemini_backend::auth::Plan;
use gemini_backend::chat;
use gemini_backend::execute;
use gemini_backend::sandbox::gemini::{Fault, Rule};
use serde_json::{Value, json};

use crate::harness::TestApp;

#[tokio::test]
async fn a_conversation_is_a_file_to_read() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room =
        ada.post("/chatroom", json!({"name": "Trip to\n北京 / \"May\"", "system_instruction": "Be\nbrief."})).await;
    let room = room.expect(201).json()["id"].as_str().expect("an id").to_owned();
    app.gemini.script(Rule::say("By **train**."));
    ada.hears(&room, "How do I get there?").await;
    app.gemini.script(Rule::refuse(Fault::of(400)));
    ada.hears(&room, "And back?").await;
    let file = ada.get(&format!("/chatroom/{room}/export?format=md")).await.expect(200);
    assert_eq!(file.content_type(), "text/markdown; charset=utf-8");
    let disposition = "attachment; filename=\"Trip-to--May-2026-11-21.md\"; \
                       filename*=UTF-8''Trip-to-%E5%8C%97%E4%BA%AC-May-2026-11-21.md";
    assert_eq!(file.header("content-disposition"), Some(disposition));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    let text = file.text();
    assert!(
        text.starts_with("# Trip to 北京 / \"May\"\n\n> Be\n> brief.\n\n## You · 2026-11-21T10:00:00.000Z\n\nHow"),
        "{text}"
    );
    assert!(text.contains("\n\nBy **train**.\n\n## You · ") && text.contains("*There is no answer: "), "{text}");
    assert_eq!(ada.get(&format!("/chatroom/{room}/export")).await.expect(200).text(), text);
}

#[tokio::test]
async fn what_changes_under_it_cuts_it_short() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 1000).await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    let reply = ada.hears(&room, "hello").await;
    let id: gemini_backend::ids::ChatroomId = room.parse().expect("an id");
    let branch = chat::branch_after(&app.app, ada.user, id, None).await.expect("read").expect("theirs");
    assert_eq!(branch.len(), 2);
    let is_cut = async |owner| {
        let messages = chat::messages_after(&app.app, owner, id, 0).await.expect("read");
        let branch = chat::branch_after(&app.app, owner, id, branch.last()).await.expect("read");
        (messages.is_none(), branch.is_none())
    };
    assert_eq!((is_cut(ada.user).await, is_cut(bob.user).await), ((false, false), (true, true)));
    ada.regenerate(&room, reply["id"].as_str().expect("an id")).await.expect(202);
    app.settle().await;
    assert_eq!(is_cut(ada.user).await, (false, true), "another branch is the current one");
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(is_cut(ada.user).await, (true, true));
}

#[tokio::test]
async fn as_json_it_has_every_message_and_nobody_else_gets_it() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 1000).await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    for number in 0..60 {
        ada.ask(&room, &format!("number {number} \"</script>\u{2028}")).await;
    }
    app.settle().await;
    let left = "update messages set current = false where seq > 100";
    let mut tx = app.app.store.begin().await.expect("a transaction");
    execute!(&mut tx, left).expect("a branch that was left");
    tx.commit().await.expect("committed");
    let path = format!("/chatroom/{room}/export?format=json");
    let file = ada.get(&path).await.expect(200);
    assert_eq!(file.content_type(), "application/json");
    let whole = file.json();
    assert_eq!(whole["chatroom"]["id"], *room);
    let seqs: Vec<_> = whole["messages"].as_array().expect("a list").iter().map(|one| one["seq"].as_i64()).collect();
    assert_eq!(seqs, (1..=120).map(Some).collect::<Vec<_>>());
    assert_eq!(bob.get(&path).await.expect(404).code(), "chatroom_not_found");
    ada.get(&format!("/chatroom/{room}/export?format=pdf")).await.expect(422);
}

#[tokio::test]
async fn a_person_takes_all_along_and_no_secret() {
    let app = TestApp::selling_with(|settings| settings.quota.basic_daily_prompts = 1000).await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let rooms = ada.new_rooms(3).await;
    ada.hears(&rooms[0], "the first question").await;
    ada.hears(&rooms[2], "the second question").await;
    ada.patch(&format!("/chatroom/{}", rooms[0]), json!({"archived": true})).await.expect(200);
    let other = bob.new_room().await;
    bob.hears(&other, "somebody else's").await;
    ada.buys().await;
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";
    let mut tx = app.app.store.begin().await.expect("a transaction");
    execute!(&mut tx, "update users set password_hash = $2 where id = $1", ada.user, hash).expect("a password");
    tx.commit().await.expect("committed");
    let file = ada.get("/user/me/export").await.expect(200);
    assert_eq!(
        file.header("content-disposition"),
        Some(
            "attachment; filename=\"gemini-backend-2026-11-21.json\"; filename*=UTF-8''gemini-backend-2026-11-21.json"
        )
    );
    let (text, whole) = (file.text(), file.json());
    let said = |room: &String| {
        let all = whole["chatrooms"].as_array().expect("rooms");
        let found = all.iter().find(|one| one["chatroom"]["id"] == **room).expect("the room");
        found["messages"].as_array().expect("messages").iter().map(|one| one["content"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(said(&rooms[0])[0], "the first question");
    assert_eq!((said(&rooms[1]).len(), said(&rooms[2]).len()), (0, 2));
    assert_eq!((&whole["user"]["id"], &whole["user"]["plan"]), (&json!(ada.id), &json!(Plan::Pro)));
    assert_eq!(whole["prompts"], json!([{"day": "2026-11-21", "used": 2}]));
    assert_eq!(whole["tokens"][0]["replies"], 2);
    assert_eq!(whole["sessions"][0]["id"], json!(ada.session));
    assert_eq!(whole["subscriptions"][0]["status"], "active");
    assert!(!whole["subscription_history"].as_array().expect("lines").is_empty());
    assert!(!text.contains("argon2") && !text.contains("hash") && !text.contains("somebody else"), "{text}");
    let names: BTreeSet<_> = whole.as_object().expect("an object").keys().map(String::as_str).collect();
    let wanted =
        ["chatrooms", "exported_at", "prompts", "sessions", "subscription_history", "subscriptions", "tokens", "user"];
    assert_eq!(names, BTreeSet::from(wanted));
    assert_eq!(bob.get("/user/me/export").await.expect(200).json()["subscription_history"], Value::Array(Vec::new()));
}
