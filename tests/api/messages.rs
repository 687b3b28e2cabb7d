//! Messages: what may be said, how it is kept, how it is read back.

use futures_util::future::join_all;
use gemini_backend::sandbox::gemini::Rule;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::{Person, TestApp};

/// A service for those who say much.
async fn talkative() -> TestApp {
    let app = TestApp::with(|settings| {
        settings.quota.basic_daily_prompts = 1000;
        settings.gemini.context_max_tokens = 10_000_000;
    })
    .await;
    app.gemini.script(Rule::say("I see.").always());
    app
}

fn contents(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["content"].as_str().expect("a text")).collect()
}

fn seqs(list: &Value) -> Vec<i64> {
    let messages = list["data"].as_array().expect("a list").iter();
    messages.map(|message| message["seq"].as_i64().expect("a number")).collect()
}

#[tokio::test]
async fn a_message_is_taken_in_with_the_promise_of_a_reply() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let answer = ada.say(&room, "hello").await.expect(202);
    let accepted = answer.json();
    insta::assert_json_snapshot!(accepted, {
        ".**.id" => "[id]", ".**.chatroom_id" => "[room]", ".**.parent_id" => "[parent]", ".last_event_id" => "[event]"
    }, @r#"
    {
      "last_event_id": "[event]",
      "message": {
        "chatroom_id": "[room]",
        "content": "hello",
        "created_at": "2026-11-21T10:00:00.000Z",
        "id": "[id]",
        "parent_id": "[parent]",
        "role": "user",
        "seq": 1,
        "status": "sent"
      },
      "prompts": {
        "limit": 5,
        "remaining": 4,
        "resets_at": "2026-11-22T00:00:00.000Z",
        "used": 1
      },
      "reply": {
        "attempt": 0,
        "chatroom_id": "[room]",
        "content": "",
        "created_at": "2026-11-21T10:00:00.000Z",
        "id": "[id]",
        "parent_id": "[parent]",
        "position": 1,
        "role": "model",
        "seq": 2,
        "status": "queued"
      }
    }
    "#);
    let (message, reply) = (&accepted["message"], &accepted["reply"]);
    assert_eq!((&message["parent_id"], &reply["parent_id"]), (&json!(null), &message["id"]));
    assert_eq!((&message["chatroom_id"], &reply["chatroom_id"]), (&json!(room), &json!(room)));
    let place = format!("/chatroom/{room}/messages/{}", reply["id"].as_str().expect("an id"));
    assert_eq!(answer.header("location"), Some(place.as_str()));
    assert_eq!(ada.get(&place).await.expect(200).json(), *reply);
    assert_eq!(ada.message(&room, message["id"].as_str().expect("an id")).await, *message);
    let next = ada.ask(&room, "and then?").await;
    assert_eq!(next["message"]["parent_id"], reply["id"], "the conversation goes on where it stood");
    app.work();
    app.settle().await;
}

#[tokio::test]
async fn a_finished_reply_says_how_it_ended_and_what_it_took() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let finished = ada.hears(&room, "hello").await;
    insta::assert_json_snapshot!(finished, {
        ".id" => "[id]", ".chatroom_id" => "[room]", ".parent_id" => "[parent]", ".content" => "[text]",
        ".usage.completion_tokens" => "[tokens]", ".usage.prompt_tokens" => "[tokens]",
        ".usage.thought_tokens" => "[tokens]", ".usage.total_tokens" => "[tokens]"
    }, @r#"
    {
      "attempt": 1,
      "chatroom_id": "[room]",
      "completed_at": "2026-11-21T10:00:00.000Z",
      "content": "[text]",
      "created_at": "2026-11-21T10:00:00.000Z",
      "finish_reason": "STOP",
      "id": "[id]",
      "model": "gemini-3.8-flash",
      "parent_id": "[parent]",
      "prompt": {
        "charged": true,
        "reason": "complete"
      },
      "role": "model",
      "seq": 2,
      "status": "complete",
      "usage": {
        "completion_tokens": "[tokens]",
        "prompt_tokens": "[tokens]",
        "thought_tokens": "[tokens]",
        "total_tokens": "[tokens]"
      }
    }
    "#);
}

#[tokio::test]
async fn a_message_has_one_to_thirty_two_thousand_characters() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let long = "a".repeat(32_000);
    let said = ["a", &"three hundred ".repeat(22)[..300], &long, &"🙂".repeat(32_000), &"é".repeat(32_000)];
    for text in said {
        assert_eq!(ada.hears(&room, text).await["status"], "complete", "{} characters", text.chars().count());
    }
    let too_much = [format!("{long}a"), format!("{long} "), "🙂".repeat(32_001)];
    for text in &too_much {
        assert_eq!(ada.say(&room, text).await.expect(422).json()["errors"][0]["field"], "content");
    }
    let messages = ada.messages(&room).await;
    assert_eq!(messages.iter().filter(|message| message["role"] == "user").count(), said.len());
    for (message, text) in messages.iter().filter(|message| message["role"] == "user").zip(said) {
        assert!(message["content"] == text, "{} characters came back changed", text.chars().count());
    }
    let asked: Vec<_> = app.questions();
    for (question, text) in asked.iter().zip(said) {
        let last = question.body["contents"].as_array().expect("turns").last().expect("a turn");
        assert!(last["parts"][0]["text"] == text, "Gemini got something else");
    }
}

#[tokio::test]
async fn nothing_and_white_space_and_nul_are_no_message() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for text in ["", " ", "\n\t \r\n", "\u{a0}\u{3000}\u{2003}\u{2028}", "\u{85}", "a\u{0}b", "\u{0}"] {
        let answer = ada.say(&room, text).await.expect(422).json();
        assert_eq!(answer["errors"][0]["field"], "content", "{text:?}");
    }
    assert_eq!(app.count("select count(*) from messages").await, 0);
    assert_eq!(ada.prompts_used().await, 0);
}

#[tokio::test]
async fn any_unicode_comes_back_as_it_was() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut texts: Vec<String> = [
        "e\u{301} is not é, nor Å Å",
        "עברית و العربية \u{202e}backwards\u{202c}",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 \u{1f1ee}\u{1f1f3}",
        "हिन्दी क्ष्म्य தமிழ் ไทย 日本語 한국어",
        "\u{feff}bom, \u{200b}nothing, \u{ad}soft\u{ad}",
        " spaces before and after \n\n",
        "\u{1}\u{7f}\u{80}\u{fffd}\u{ffff}\u{10ffff}",
        "a\r\nb\rc\u{2028}d\t\"quoted\\\" 'single' `code` $1 %s {} <b>&amp;</b>",
        "'; drop table messages; --",
    ]
    .map(str::to_owned)
    .into();
    let mut runner = TestRunner::deterministic();
    for _ in 0..30 {
        texts.push("[^\u{0}]{1,40}".new_tree(&mut runner).expect("a text").current());
    }
    texts.retain(|text| !text.trim().is_empty() && !text.contains('\0'));
    for text in &texts {
        assert_eq!(ada.ask(&room, text).await["message"]["content"], text.as_str());
    }
    app.settle().await;
    let messages = ada.messages(&room).await;
    let read: Vec<_> = contents(&messages).into_iter().step_by(2).collect();
    assert_eq!(read, texts);
    let asked = app.questions();
    for (question, text) in asked.iter().zip(&texts) {
        let last = question.body["contents"].as_array().expect("turns").last().expect("a turn").clone();
        assert_eq!(last["parts"][0]["text"], text.as_str());
    }
}

#[tokio::test]
async fn escapes_in_json_are_the_characters_they_stand_for() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let body = r#"{"content": "\ud83d\ude42 \u0065\u0301 \u00e9 \u202e \"\\\/\b\f\n\r\t"}"#;
    let call = ada.call("POST", &format!("/chatroom/{room}/message")).body("application/json", body);
    let accepted = call.send().await.expect(202).json();
    assert_eq!(accepted["message"]["content"], "🙂 e\u{301} é \u{202e} \"\\/\u{8}\u{c}\n\r\t");
    app.settle().await;
    assert_eq!(ada.messages(&room).await[0]["content"], accepted["message"]["content"]);
}

#[tokio::test]
async fn the_text_goes_by_its_older_names_too() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for (path, field) in
        [("message", "content"), ("message/", "user_message"), ("messages", "message"), ("messages/", "user_message")]
    {
        let answer = ada.post(&format!("/chatroom/{room}/{path}"), json!({field: "hello", "extra": [1]})).await;
        assert_eq!(answer.expect(202).json()["message"]["content"], "hello", "{path} {field}");
    }
    app.settle().await;
}

#[tokio::test]
async fn messages_are_read_in_pages_from_either_end() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for number in 0..4 {
        ada.ask(&room, &format!("{number}")).await;
    }
    let path = format!("/chatroom/{room}/messages");
    let walk = async |query: &str| {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ada.get(&format!("{path}?limit=3{query}{cursor}")).await.expect(200).json();
            pages.push(seqs(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return pages,
            }
            // What comes after the walk began is only seen by those who walk towards it.
            if pages.len() == 1 && query.contains("more") {
                ada.ask(&room, "more").await;
            }
        }
    };
    assert_eq!(walk("").await, [vec![8, 7, 6], vec![5, 4, 3], vec![2, 1]]);
    assert_eq!(walk("&order=desc").await, walk("").await);
    assert_eq!(walk("&order=asc").await, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]]);
    assert_eq!(walk("&x=more").await, [vec![8, 7, 6], vec![5, 4, 3], vec![2, 1]]);
    assert_eq!(walk("&order=asc&x=more").await, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9], vec![10, 11, 12]]);
    let exact = ada.get(&format!("{path}?limit=12")).await.expect(200).json();
    assert_eq!((seqs(&exact).len(), &exact["next_cursor"]), (12, &json!(null)));
    ada.get(&format!("{path}?order=sideways")).await.expect(422);
    app.settle().await;
}

#[tokio::test]
async fn after_a_message_is_what_is_newer() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    for number in 0..4 {
        ada.ask(&room, &format!("{number}")).await;
    }
    let foreign = ada.asks(&other, "elsewhere").await;
    app.settle().await;
    let ids: Vec<_> = ada.messages(&room).await.iter().map(|message| message["id"].clone()).collect();
    let id = |at: usize| ids[at].as_str().expect("an id");
    let after = async |query: &str| ada.get(&format!("/chatroom/{room}/messages?{query}")).await;
    let page = after(&format!("after={}&order=asc", id(4))).await.expect(200).json();
    assert_eq!((seqs(&page), &page["next_cursor"]), (vec![6, 7, 8], &json!(null)));
    let page = after(&format!("after={}", id(4))).await.expect(200).json();
    assert_eq!((seqs(&page), &page["next_cursor"]), (vec![8, 7, 6], &json!(null)));
    assert_eq!(seqs(&after(&format!("after={}", id(7))).await.expect(200).json()), Vec::<i64>::new());
    for order in ["asc", "desc"] {
        let page = after(&format!("after={}&order={order}&limit=2", id(4))).await.expect(200).json();
        let cursor = page["next_cursor"].as_str().expect("one more");
        let rest = after(&format!("after={}&order={order}&limit=2&cursor={cursor}", id(4))).await.expect(200).json();
        let mut all = [seqs(&page), seqs(&rest)].concat();
        all.sort_unstable();
        assert_eq!(all, [6, 7, 8], "{order}");
        assert_eq!(rest["next_cursor"], json!(null), "{order}");
    }
    assert_eq!(after(&format!("after={foreign}")).await.expect(404).code(), "message_not_found");
    assert_eq!(after("after=nonsense").await.expect(422).json()["errors"][0]["field"], "after");
}

#[tokio::test]
async fn a_room_shows_its_newest_fifty_and_where_the_others_are() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let show = async || ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    for _ in 0..25 {
        ada.ask(&room, "word").await;
    }
    let shown = show().await;
    let list = |shown: &Value| json!({"data": shown["messages"]});
    assert_eq!(seqs(&list(&shown)), (1..=50).collect::<Vec<_>>());
    assert_eq!(shown["messages_next_cursor"], json!(null), "these are all");
    ada.ask(&room, "one more").await;
    app.settle().await;
    let shown = show().await;
    assert_eq!(seqs(&list(&shown)), (3..=52).collect::<Vec<_>>());
    let cursor = shown["messages_next_cursor"].as_str().expect("there are older ones");
    let older = ada.get(&format!("/chatroom/{room}/messages?cursor={cursor}")).await.expect(200).json();
    assert_eq!((seqs(&older), &older["next_cursor"]), (vec![2, 1], &json!(null)));
    assert_eq!(shown["messages"].as_array().expect("messages")[..], ada.messages(&room).await[2..]);
}

#[tokio::test]
async fn one_message_can_be_read_alone_and_ids_that_are_not_there_are_404() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    ada.hears(&room, "hello").await;
    for message in ada.messages(&room).await {
        let id = message["id"].as_str().expect("an id");
        assert_eq!(ada.message(&room, id).await, message);
        let elsewhere = ada.get(&format!("/chatroom/{other}/messages/{id}")).await.expect(404);
        assert_eq!(elsewhere.code(), "message_not_found");
    }
}

/// What a poller sees of a reply until it is over, by each way there is to look at it.
async fn watch(ada: &Person<'_>, room: &str, reply: &str, way: usize) -> Vec<(String, String)> {
    let mut seen: Vec<(String, String)> = Vec::new();
    loop {
        let message = match way % 3 {
            0 => ada.message(room, reply).await,
            1 => ada.get(&format!("/chatroom/{room}/messages?limit=1")).await.expect(200).json()["data"][0].clone(),
            _ => ada.get(&format!("/chatroom/{room}")).await.expect(200).json()["messages"][1].clone(),
        };
        assert_eq!(message["id"], reply);
        let text = |field: &str| message[field].as_str().expect("a text").to_owned();
        let now = (text("status"), text("content"));
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if message["status"] == "complete" {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_being_written_only_grows() {
    let app = TestApp::with(|settings| settings.quota.basic_replies_at_once = 100).await;
    let ada = app.sign_up().await;
    ada.set_plan(gemini_backend::auth::Plan::Pro).await;
    let millisecond = std::time::Duration::from_millis(1);
    app.gemini.script(Rule::words(40).pace(millisecond * 5, millisecond).always());
    let whole: Vec<_> = (1..=40).map(|at| format!("word{at} ")).collect();
    let rooms = ada.new_rooms(12).await;
    let watched = join_all(rooms.iter().enumerate().map(async |(way, room)| {
        let reply = ada.asks(room, "tell me").await;
        watch(&ada, room, &reply, way).await
    }))
    .await;
    let mut steps = 0;
    for seen in watched {
        let order: Vec<_> = seen.iter().map(|(status, _)| status.as_str()).collect();
        assert!(order.is_sorted_by_key(|status| ["queued", "generating", "complete"].iter().position(|s| s == status)));
        for pair in seen.windows(2) {
            assert!(pair[1].1.starts_with(&pair[0].1), "text vanished: {pair:?}");
        }
        assert_eq!(seen.last().expect("something"), &("complete".to_owned(), whole.concat()));
        steps += seen.iter().filter(|(status, text)| status == "generating" && !text.is_empty()).count();
    }
    assert!(steps > 12, "the text was seen while it grew: {steps} steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_at_once_in_one_room_are_answered_in_its_order_one_at_a_time() {
    let app = talkative().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let accepted = join_all((0..20).map(|number| {
        let (ada, room) = (&ada, &room);
        async move { ada.ask(room, &format!("number {number}")).await }
    }))
    .await;
    app.settle().await;
    for one in &accepted {
        let seq = |message: &str| one[message]["seq"].as_i64().expect("a number");
        assert_eq!(seq("reply"), seq("message") + 1);
    }
    let messages = ada.messages(&room).await;
    assert_eq!(seqs(&json!({"data": messages})), (1..=40).collect::<Vec<_>>());
    for pair in messages.windows(2) {
        assert_eq!(pair[1]["parent_id"], pair[0]["id"], "each hangs on the one before it");
    }
    let questions = app.questions();
    assert_eq!(questions.len(), 20);
    for (at, question) in questions.iter().enumerate() {
        let asked: Vec<_> = question.body["contents"].as_array().expect("turns").iter().collect();
        let texts: Vec<_> = asked.iter().map(|turn| turn["parts"][0]["text"].as_str().expect("a text")).collect();
        assert_eq!(texts, contents(&messages[..=2 * at]), "in order, with all that was answered before");
    }
    for pair in questions.windows(2) {
        assert!(pair[0].ended_us.expect("an end") <= pair[1].received_us, "one at a time");
    }
}
