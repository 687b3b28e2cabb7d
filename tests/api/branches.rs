//! Editing and asking again: what was said before stays beside the current branch, and nothing of it is sent to Gemini.

use gemini_backend::fetch_all;
use gemini_backend::ids::MessageId;
use gemini_backend::sandbox::gemini::{Ended, Fault, Rule};
use serde_json::{Value, json};

use crate::harness::chat::{charged, fate};
use crate::harness::{Answer, Person, Room, TestApp};

/// A service that answers everything at once.
async fn talkative() -> TestApp {
    TestApp::with(|settings| settings.quota.basic_daily_prompts = 1000).await
}

/// Someone in a room where so many questions have been answered: the ids, a question and its answer in turn.
async fn after_talking<'a>(app: &'a TestApp, questions: &[&str]) -> (Person<'a>, Room, Vec<String>) {
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut ids = Vec::new();
    for question in questions {
        let reply = ada.hears(&room, question).await;
        ids.push(text(&reply, "parent_id"));
        ids.push(text(&reply, "id"));
    }
    (ada, room, ids)
}

fn text(message: &Value, member: &str) -> String {
    message[member].as_str().unwrap_or_else(|| panic!("no {member} in {message}")).to_owned()
}

/// The ids of the message and the reply that were taken in.
fn taken_in(answer: Answer) -> (String, String) {
    let accepted = answer.expect(202).json();
    (text(&accepted["message"], "id"), text(&accepted["reply"], "id"))
}

async fn branch(ada: &Person<'_>, room: &str) -> Vec<String> {
    ada.messages(room).await.iter().map(|message| text(message, "id")).collect()
}

/// The texts of the last question put to Gemini, oldest first.
fn last_context(app: &TestApp) -> Vec<String> {
    let last = app.questions().pop().expect("a question");
    let turns = last.body["contents"].as_array().expect("turns").iter();
    turns.map(|turn| text(&turn["parts"][0], "text")).collect()
}

async fn alternatives(ada: &Person<'_>, room: &str, id: &str) -> Vec<String> {
    let message = ada.message(room, id).await;
    let ids = message["alternatives"].as_array().cloned().unwrap_or_default();
    ids.iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn another_answer_takes_the_place_of_the_first_which_stays() {
    let app = talkative().await;
    let (ada, room, ids) = after_talking(&app, &["What is new?"]).await;
    let (question, first) = (&ids[0], &ids[1]);
    let answer = ada.regenerate(&room, first).await.expect(202);
    let accepted = answer.json();
    let second = text(&accepted["reply"], "id");
    assert_eq!(answer.header("location"), Some(format!("/chatroom/{room}/messages/{second}").as_str()));
    assert_eq!(accepted["message"], ada.message(&room, question).await, "the question is the one that was there");
    assert_eq!(accepted["message"].get("alternatives"), None);
    let reply = &accepted["reply"];
    assert_eq!((&reply["parent_id"], &reply["seq"], &reply["status"]), (&json!(question), &json!(3), &json!("queued")));
    assert_eq!(reply["alternatives"], json!([first]));
    assert_eq!(accepted["prompts"]["used"], 2, "each answer is a prompt");
    assert!(text(&accepted, "last_event_id").ends_with(&format!(".{second}.0.0")));
    app.settle().await;
    assert_eq!(last_context(&app), ["What is new?"], "the first answer is no context of the second");
    assert_eq!(branch(&ada, &room).await, [question.as_str(), second.as_str()]);
    assert_eq!(alternatives(&ada, &room, first).await, [second.as_str()], "the first is still there");
    assert_eq!(fate(&ada.message(&room, first).await).0, "complete");

    // Of one that is not current any more, and of one that failed.
    app.gemini.script(Rule::refuse(Fault::of(400)));
    let (_, third) = taken_in(ada.regenerate(&room, first).await);
    app.settle().await;
    assert_eq!(fate(&ada.message(&room, &third).await).0, "failed");
    let (_, fourth) = taken_in(ada.regenerate(&room, &third).await);
    app.settle().await;
    assert_eq!(branch(&ada, &room).await, [question.as_str(), fourth.as_str()]);
    let all = [first.clone(), second, third, fourth];
    for id in &all {
        let others: Vec<_> = all.iter().filter(|other| *other != id).cloned().collect();
        assert_eq!(alternatives(&ada, &room, id).await, others, "without itself, oldest first");
    }
    assert_eq!(ada.prompts_used().await, 3);
}

#[tokio::test]
async fn an_edited_message_begins_a_branch_and_the_old_one_stays_with_what_followed() {
    let app = talkative().await;
    app.gemini.script(Rule::say("Noted.").always());
    let (ada, room, ids) = after_talking(&app, &["one", "two", "three"]).await;
    let answer = ada.edit(&room, &ids[2], "zwei").await.expect(202).json();
    let (message, reply) = (text(&answer["message"], "id"), text(&answer["reply"], "id"));
    assert_eq!((&answer["message"]["content"], &answer["message"]["status"]), (&json!("zwei"), &json!("sent")));
    assert_eq!(answer["message"]["parent_id"], ids[1]);
    assert_eq!(answer["message"]["alternatives"], json!([ids[2]]));
    assert_eq!((&answer["message"]["seq"], &answer["reply"]["seq"]), (&json!(7), &json!(8)));
    app.settle().await;
    assert_eq!(last_context(&app), ["one", "Noted.", "zwei"]);
    assert_eq!(branch(&ada, &room).await, [&ids[0], &ids[1], &message, &reply].map(Clone::clone));
    let room_now = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    assert_eq!(room_now["messages"], json!(ada.messages(&room).await), "every list shows the current branch");
    for old in &ids[2..] {
        assert_eq!(ada.message(&room, old).await["id"], *old, "what was left can be read");
    }

    // Something on the branch that was left: its ancestors become the current branch again.
    let (message, reply) = taken_in(ada.edit(&room, &ids[4], "drei").await);
    app.settle().await;
    assert_eq!(last_context(&app), ["one", "Noted.", "two", "Noted.", "drei"]);
    let expected = [&ids[0], &ids[1], &ids[2], &ids[3], &message, &reply].map(Clone::clone);
    assert_eq!(branch(&ada, &room).await, expected);
    assert_eq!(alternatives(&ada, &room, &message).await, [ids[4].as_str()]);
    assert_eq!(ada.ask(&room, "and on").await["message"]["parent_id"], reply);
    app.settle().await;

    // The very first, twice.
    let (first, _) = taken_in(ada.edit(&room, &ids[0], "eins").await);
    let (second, reply) = taken_in(ada.edit(&room, &first, "uno").await);
    app.settle().await;
    assert_eq!(last_context(&app), ["uno"]);
    assert_eq!(branch(&ada, &room).await, [&second, &reply].map(Clone::clone));
    for (id, others) in [(&second, [&ids[0], &first]), (&first, [&ids[0], &second]), (&ids[0], [&first, &second])] {
        assert_eq!(alternatives(&ada, &room, id).await, others.map(Clone::clone));
    }
    assert_eq!(ada.message(&room, &second).await["parent_id"], json!(null));
}

#[tokio::test]
async fn lists_tell_the_alternatives_of_all_their_messages() {
    let app = talkative().await;
    let (ada, room, ids) = after_talking(&app, &["one", "two", "three"]).await;
    taken_in(ada.edit(&room, &ids[4], "drei").await);
    app.settle().await;
    taken_in(ada.regenerate(&room, &ids[5]).await);
    app.settle().await;
    taken_in(ada.regenerate(&room, &ids[5]).await);
    app.settle().await;
    let listed = ada.messages(&room).await;
    let mut counts = Vec::new();
    for message in &listed {
        assert_eq!(*message, ada.message(&room, &text(message, "id")).await);
        counts.push(message["alternatives"].as_array().map_or(0, Vec::len));
    }
    assert_eq!(counts, [0, 0, 0, 0, 1, 2]);
}

#[tokio::test]
async fn replies_on_a_branch_that_is_left_are_cancelled() {
    let app = talkative().await;
    let (ada, room, ids) = after_talking(&app, &["one"]).await;
    app.gemini.script(Rule::say("a b c").hold(2).when("two"));
    let written = ada.asks(&room, "two").await;
    let waiting = ada.asks(&room, "three").await;
    app.until_held(1).await;
    ada.watches(&room, &written, |reply| reply["content"] == "a b ").await;
    let used = ada.prompts_used().await;
    let (message, reply) = taken_in(ada.edit(&room, &ids[0], "eins").await);
    app.until_gemini(|entries| entries.iter().any(|entry| entry.end == Ended::Aborted)).await;
    app.settle().await;
    let (written, waiting) = (ada.message(&room, &written).await, ada.message(&room, &waiting).await);
    assert_eq!((fate(&written).0, &written["content"], charged(&written)), ("cancelled", &json!("a b "), Some(true)));
    assert_eq!((fate(&waiting).0, &waiting["content"], charged(&waiting)), ("cancelled", &json!(""), Some(false)));
    assert_eq!(fate(&ada.message(&room, &reply).await).0, "complete");
    assert_eq!(branch(&ada, &room).await, [message, reply]);
    assert_eq!(ada.prompts_used().await, used, "one was given back, one was spent");
    assert_eq!(app.questions().len(), 3, "what waited was never asked");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_leaves_no_trace() {
    let app = TestApp::with(|settings| {
        settings.quota.basic_daily_prompts = 2;
        settings.gemini.context_max_tokens = 1000;
    })
    .await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    app.gemini.script(Rule::say("one two").hold(1));
    let accepted = ada.ask(&room, "hello").await;
    let (message, reply) = (text(&accepted["message"], "id"), text(&accepted["reply"], "id"));
    app.until_held(1).await;
    let rows = "select count(*) + (select cast(sum(rooms_rev) as bigint) from users) from messages";
    let before = (app.count(rows).await, ada.prompts_used().await);
    let code = |answer: Answer, status| answer.expect(status).code();
    assert_eq!(code(ada.regenerate(&room, &reply).await, 409), "reply_in_progress");
    assert_eq!(code(ada.regenerate(&room, &message).await, 422), "not_a_reply");
    assert_eq!(code(ada.regenerate(&other, &reply).await, 404), "message_not_found");
    assert_eq!(code(bob.regenerate(&room, &reply).await, 404), "chatroom_not_found");
    assert_eq!(code(ada.edit(&room, &reply, "hm").await, 422), "not_a_user_message");
    assert_eq!(code(ada.edit(&other, &message, "hm").await, 404), "message_not_found");
    assert_eq!(code(bob.edit(&room, &message, "hm").await, 404), "chatroom_not_found");
    assert_eq!(code(ada.edit(&room, &message, " \n").await, 422), "invalid");
    assert_eq!(code(ada.edit(&room, &message, &"word ".repeat(4000)).await, 422), "context_overflow");
    assert_eq!((app.count(rows).await, ada.prompts_used().await), before);
    assert_eq!(ada.message(&room, &reply).await["status"], "generating", "and what is being written goes on");
    app.gemini.release();
    app.settle().await;
    taken_in(ada.regenerate(&room, &reply).await);
    app.settle().await;
    let spent = ada.edit(&room, &message, "hm").await.expect(429);
    assert_eq!((spent.code().as_str(), &spent.json()["prompts"]["remaining"]), ("prompt_limit_reached", &json!(0)));
    assert_eq!(code(ada.regenerate(&room, &reply).await, 429), "prompt_limit_reached");
    assert_eq!(branch(&ada, &room).await.len(), 2);
}

#[tokio::test]
async fn the_same_key_is_the_same_edit_and_the_same_answer() {
    let app = talkative().await;
    let (ada, room, ids) = after_talking(&app, &["one"]).await;
    let again = format!("/chatroom/{room}/messages/{}/regenerate", ids[1]);
    let edit = format!("/chatroom/{room}/messages/{}", ids[0]);
    let other = json!({"message": "une autre"});
    for (key, method, path, body) in
        [("a", "POST", &again, None), ("b", "PATCH", &edit, Some(json!({"user_message": "eins"})))]
    {
        let call = async |path: &str, body: &Option<Value>| {
            let call = ada.call(method, path).header("idempotency-key", key);
            if let Some(body) = body { call.json(body).send().await } else { call.send().await }
        };
        let first = call(path, &body).await.expect(202);
        assert_eq!(first.header("idempotency-replayed"), None);
        let used = ada.prompts_used().await;
        app.settle().await;
        let replay = call(path, &body).await.expect(202);
        assert_eq!(replay.header("idempotency-replayed"), Some("true"));
        assert_eq!((&replay.json()["reply"]["id"], ada.prompts_used().await), (&first.json()["reply"]["id"], used));
        assert_eq!(replay.json()["message"], first.json()["message"]);
        assert_eq!(replay.json()["reply"]["status"], "complete", "as it stands now");
        let elsewhere = format!(
            "/chatroom/{room}/messages/{}{}",
            first.json()["reply"]["id"].as_str().expect("an id"),
            if method == "POST" { "/regenerate" } else { "" }
        );
        let mismatch =
            if body.is_some() { call(path, &Some(other.clone())).await } else { call(&elsewhere, &body).await };
        assert_eq!(mismatch.expect(422).code(), "idempotency_mismatch");
    }
    let send = ada.call("POST", &format!("/chatroom/{room}/message")).header("idempotency-key", "b");
    let send = send.json(&json!({"content": "eins"})).send().await;
    assert_eq!(send.expect(422).code(), "idempotency_mismatch", "another operation is another request");
}

/// Whoever follows the room by its `rev` finds every row that a change of branch has touched.
#[tokio::test]
async fn a_change_of_branch_stamps_what_it_changes_and_nothing_else() {
    let app = talkative().await;
    let (ada, room, ids) = after_talking(&app, &["one", "two"]).await;
    taken_in(ada.edit(&room, &ids[2], "zwei").await);
    app.settle().await;
    let before = revs(&app).await;
    let (message, reply) = taken_in(ada.edit(&room, &ids[2], "deux").await);
    let newest = before.iter().map(|(.., rev)| *rev).max().expect("rows");
    let after = revs(&app).await;
    let changed: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    let new = [message, reply];
    let left: Vec<_> = before.iter().filter(|(_, current, _)| *current).skip(2).map(|(id, ..)| id).collect();
    assert_eq!(changed.len(), 4, "two were left and two are new: {changed:?}");
    for (id, current, stamp) in changed {
        assert!(*stamp > newest, "{id}");
        assert!(if *current { new.contains(id) } else { left.contains(&id) }, "{id}");
    }
    app.settle().await;
}

/// Id, whether current, and rev of every message, by `seq`.
async fn revs(app: &TestApp) -> Vec<(String, bool, i64)> {
    let mut reader = app.app.store.read().await.expect("a connection");
    let sql = "select id, current, rev from messages order by seq";
    let rows = fetch_all!(&mut reader, (MessageId, bool, i64), sql).expect("the messages");
    rows.into_iter().map(|(id, current, rev)| (id.to_string(), current, rev)).collect()
}
