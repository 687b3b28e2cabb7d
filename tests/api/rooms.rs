//! Chatrooms: opened, changed, listed, deleted; and that they are nobody else's.

use futures_util::future::join_all;
use gemini_backend::sandbox::gemini::{Ended, Fault, Rule};
use serde_json::{Value, json};

use crate::harness::{Answer, Person, TestApp, until};

fn ids(list: &Value) -> Vec<String> {
    let rooms = list["data"].as_array().expect("a list").iter();
    rooms.map(|room| room["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_room_is_opened_with_a_name_a_title_both_or_nothing() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    for (body, name) in [
        (json!({"name": "My Room"}), json!("My Room")),
        (json!({"title": "Mein Zimmer"}), json!("Mein Zimmer")),
        (json!({"name": "this one", "title": "not this one"}), json!("this one")),
        (json!({"name": null, "title": "this one"}), json!("this one")),
        (json!({"name": " spaces around "}), json!("spaces around")),
        (json!({"name": "  "}), json!(null)),
        (json!({}), json!(null)),
    ] {
        let answer = ada.post("/chatroom", body.clone()).await.expect(201);
        let room = answer.json();
        assert_eq!((&room["name"], &room["title"]), (&name, &name), "{body}");
        let place = format!("/chatroom/{}", room["id"].as_str().expect("an id"));
        assert_eq!(answer.header("location"), Some(place.as_str()));
        let mut shown = ada.get(&place).await.expect(200).json();
        let members = shown.as_object_mut().expect("a room");
        assert_eq!(members.remove("messages"), Some(json!([])));
        assert_eq!(members.remove("messages_next_cursor"), Some(json!(null)));
        assert!(members.remove("last_event_id").is_some_and(|id| id.is_string()));
        assert_eq!(shown, room);
    }
    let bare = ada.call("POST", "/chatroom").send().await.expect(201).json();
    insta::assert_json_snapshot!(bare, {".id" => "[id]"}, @r#"
    {
      "archived": false,
      "created_at": "2026-11-21T10:00:00.000Z",
      "id": "[id]",
      "last_message_at": null,
      "model": null,
      "name": null,
      "system_instruction": null,
      "thinking": null,
      "title": null,
      "updated_at": "2026-11-21T10:00:00.000Z"
    }
    "#);
}

#[tokio::test]
async fn a_room_of_somebody_else_is_not_there() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.sign_up().await, app.sign_up().await);
    let (room, own) = (ada.new_room().await, eve.new_room().await);
    let said = ada.hears(&room, "hello").await;
    let reply = said["id"].as_str().expect("an id");
    let shown = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    let list = ada.get("/chatroom").await.expect(200).json();

    let nowhere = "01939a3c-0000-7000-8000-000000000000";
    for (method, path, body) in [
        ("GET", "", None),
        ("PATCH", "", Some(json!({"name": "mine now", "archived": true}))),
        ("DELETE", "", None),
        ("GET", "/messages", None),
        ("GET", "/messages?after=01939a3c-0000-7000-8000-000000000000", None),
        ("POST", "/message", Some(json!({"content": "let me in"}))),
        ("POST", "/messages", Some(json!({"content": "let me in"}))),
        ("GET", &format!("/messages/{reply}"), None),
    ] {
        let ask = async |room: &str| {
            let call = eve.call(method, &format!("/chatroom/{room}{path}"));
            let call = match &body {
                Some(body) => call.json(body),
                None => call,
            };
            let mut problem = call.send().await.expect(404).json();
            problem.as_object_mut().expect("a problem").remove("request_id");
            problem
        };
        let problem = ask(&room).await;
        assert_eq!(problem["code"], "chatroom_not_found", "{method} {path}");
        assert_eq!(problem, ask(nowhere).await, "whether it exists must not show: {method} {path}");
    }
    let lured = eve.get(&format!("/chatroom/{own}/messages/{reply}")).await.expect(404);
    assert_eq!(lured.code(), "message_not_found");

    assert_eq!(ada.get(&format!("/chatroom/{room}")).await.expect(200).json(), shown);
    assert_eq!(ada.get("/chatroom").await.expect(200).json(), list);
    assert_eq!(ids(&eve.get("/chatroom").await.expect(200).json()), [own.as_str()]);
    assert_eq!(eve.prompts_used().await, 0);
    assert_eq!(app.count("select count(*) from messages").await, 2);
}

#[tokio::test]
async fn null_takes_a_field_away_and_silence_leaves_it() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let body = json!({"name": "a", "model": "gemini-flash-latest", "system_instruction": "Be brief."});
    let room = ada.post("/chatroom", body).await.expect(201).json();
    let path = format!("/chatroom/{}", room["id"].as_str().expect("an id"));
    let fields = async |change: Value| {
        let changed = ada.patch(&path, change.clone()).await.expect(200).json();
        let mut shown = ada.get(&path).await.expect(200).json();
        for extra in ["messages", "messages_next_cursor", "last_event_id"] {
            shown.as_object_mut().expect("a room").remove(extra);
        }
        assert_eq!(changed, shown, "{change}");
        json!([changed["name"], changed["title"], changed["model"], changed["system_instruction"], changed["archived"]])
    };
    assert_eq!(fields(json!({})).await, json!(["a", "a", "gemini-flash-latest", "Be brief.", false]));
    assert_eq!(fields(json!({"name": null})).await, json!([null, null, "gemini-flash-latest", "Be brief.", false]));
    assert_eq!(fields(json!({"title": "b"})).await, json!(["b", "b", "gemini-flash-latest", "Be brief.", false]));
    assert_eq!(fields(json!({"title": null})).await, json!([null, null, "gemini-flash-latest", "Be brief.", false]));
    assert_eq!(fields(json!({"model": null, "archived": true})).await, json!([null, null, null, "Be brief.", true]));
    assert_eq!(fields(json!({"system_instruction": null})).await, json!([null, null, null, null, true]));
    assert_eq!(fields(json!({"archived": null, "name": "c"})).await, json!(["c", "c", null, null, true]));
}

#[tokio::test]
async fn what_a_room_is_given_has_its_bounds() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    // Otherwise only a model that it lists would be taken.
    app.gemini.script(Rule::refuse(Fault::of(503)).call("models.list").always());
    let good = [("name", "🙂".repeat(200)), ("model", "a".repeat(100)), ("system_instruction", "é".repeat(8000))];
    for (field, text) in good {
        assert_eq!(ada.post("/chatroom", json!({field: text})).await.expect(201).json()[field], text.as_str());
        let longer = format!("{text}a");
        for answer in [
            ada.post("/chatroom", json!({field: longer})).await,
            ada.patch(&format!("/chatroom/{room}"), json!({field: longer})).await,
        ] {
            assert_eq!(answer.expect(422).json()["errors"][0]["field"], field);
        }
    }
    for model in ["../../v1/x", "a/b", "a:b", "mödel", "a b", ".."] {
        let answer = ada.post("/chatroom", json!({"model": model})).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], "model", "{model}");
    }
    assert_eq!(ada.get(&format!("/chatroom/{room}")).await.expect(200).json()["name"], "A room");
}

#[tokio::test]
async fn archived_rooms_have_a_list_of_their_own() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let (kept, put_away) = (ada.new_room().await, ada.new_room().await);
    ada.patch(&format!("/chatroom/{put_away}"), json!({"archived": true})).await.expect(200);
    let listed = async |query: &str| ids(&ada.get(&format!("/chatroom{query}")).await.expect(200).json());
    assert_eq!(listed("").await, [kept.as_str()]);
    assert_eq!(listed("?archived=false").await, [kept.as_str()]);
    assert_eq!(listed("?archived=true").await, [put_away.as_str()]);
    ada.patch(&format!("/chatroom/{put_away}"), json!({"archived": false})).await.expect(200);
    assert_eq!(listed("").await.len(), 2);
    assert_eq!(listed("?archived=true").await, Vec::<String>::new());
}

/// Reads the list twice and with its tag: once it is made, then it is there, and nothing is sent to whoever has it.
async fn read_list(ada: &Person<'_>, outdated: &str) -> (Value, String) {
    let read = |tag: &str| ada.call("GET", "/chatroom").header("if-none-match", tag).send();
    let first = read(outdated).await.expect(200);
    let tag = first.header("etag").expect("a tag").to_owned();
    let second = ada.get("/chatroom").await.expect(200);
    let marks = |answer: &Answer| {
        let header = |name| answer.header(name).map(str::to_owned);
        (header("x-cache"), header("cache-control"), header("etag"), header("content-type"))
    };
    let marked = |cache: &str| {
        let text = |text: &str| Some(text.to_owned());
        (text(cache), text("private, no-cache"), text(&tag), text("application/json"))
    };
    assert_eq!(marks(&first), marked("miss"));
    assert_eq!(marks(&second), marked("hit"));
    assert_eq!(first.body, second.body);
    let third = read(&tag).await.expect(304);
    assert_eq!((third.header("etag"), third.header("cache-control")), (Some(tag.as_str()), Some("private, no-cache")));
    assert!(third.body.is_empty());
    (first.json(), tag)
}

#[tokio::test]
async fn the_list_is_exact_after_every_kind_of_write() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let (list, tag) = read_list(&ada, "\"none\"").await;
    assert_eq!(list, json!({"data": [], "next_cursor": null}));

    let first = ada.new_room().await;
    let (list, tag) = read_list(&ada, &tag).await;
    assert_eq!(ids(&list), [first.as_str()]);
    app.clock.advance(std::time::Duration::from_secs(1));
    let second = ada.new_room().await;
    let (list, tag) = read_list(&ada, &tag).await;
    assert_eq!(ids(&list), [second.clone(), first.clone()], "latest activity first");

    ada.patch(&format!("/chatroom/{first}"), json!({"name": "renamed"})).await.expect(200);
    let (list, tag) = read_list(&ada, &tag).await;
    assert_eq!((ids(&list)[1].as_str(), &list["data"][1]["name"]), (first.as_str(), &json!("renamed")));

    app.clock.advance(std::time::Duration::from_secs(1));
    ada.ask(&first, "hello").await;
    let (list, tag) = read_list(&ada, &tag).await;
    assert_eq!(ids(&list), [first.clone(), second.clone()], "the one that was spoken in comes first");
    assert_eq!(list["data"][0]["last_message_at"], "2026-11-21T10:00:02.000Z");

    ada.patch(&format!("/chatroom/{second}"), json!({"archived": true})).await.expect(200);
    let (list, tag) = read_list(&ada, &tag).await;
    assert_eq!(ids(&list), [first.as_str()]);

    app.settle().await;
    ada.delete(&format!("/chatroom/{first}")).await.expect(204);
    let (list, _) = read_list(&ada, &tag).await;
    assert_eq!(ids(&list), Vec::<String>::new());
}

#[tokio::test]
async fn a_tag_is_for_one_person_and_one_page() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    ada.new_room().await;
    bob.new_room().await;
    let tag = |answer: Answer| answer.expect(200).header("etag").expect("a tag").to_owned();
    let mine = tag(ada.get("/chatroom").await);
    let with = async |person: &Person<'_>, path: &str, tags: &str| {
        person.call("GET", path).header("if-none-match", tags).send().await.status
    };
    let strong = mine.trim_start_matches("W/").to_owned();
    for tags in [mine.clone(), strong, format!("\"x\", {mine}"), "*".to_owned()] {
        assert_eq!(with(&ada, "/chatroom", &tags).await, 304, "{tags}");
    }
    for (person, path) in [(&bob, "/chatroom"), (&ada, "/chatroom?limit=1"), (&ada, "/chatroom?archived=true")] {
        assert_eq!(with(person, path, &mine).await, 200, "{path}");
    }
    assert_eq!(with(&ada, "/chatroom", "\"x\", W/\"y\"").await, 200);
}

/// One of many who write at once: a few rooms, each written to and looked for at once.
async fn write_and_look(ada: &Person<'_>, number: usize) {
    let mine = |list: &Answer, room: &str| {
        let list = list.json();
        let found = list["data"].as_array().expect("a list").iter().find(|listed| listed["id"] == room);
        found.map(|listed| listed["name"].as_str().unwrap_or_default().to_owned())
    };
    let mut tag = String::new();
    let mut look = async |room: &str| {
        let list = ada.call("GET", "/chatroom?limit=200").header("if-none-match", &tag).send().await;
        assert_eq!(list.status, 200, "what was written a moment ago is no list that was there before");
        list.header("etag").expect("a tag").clone_into(&mut tag);
        mine(&list, room)
    };
    let room = ada.post("/chatroom", json!({"name": format!("{number}")})).await.expect(201).json();
    let room = room["id"].as_str().expect("an id").to_owned();
    assert_eq!(look(&room).await, Some(format!("{number}")));
    for step in 0..number % 3 {
        let name = format!("{number}.{step}");
        ada.patch(&format!("/chatroom/{room}"), json!({"name": name})).await.expect(200);
        assert_eq!(look(&room).await, Some(name));
    }
    match number % 4 {
        0 => {
            ada.delete(&format!("/chatroom/{room}")).await.expect(204);
            assert_eq!(look(&room).await, None);
        }
        1 => {
            ada.patch(&format!("/chatroom/{room}"), json!({"archived": true})).await.expect(200);
            assert_eq!(look(&room).await, None);
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_a_list_older_than_their_own_last_write() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    join_all((0..100).map(|number| write_and_look(&ada, number))).await;
    let list = ada.get("/chatroom?limit=200").await.expect(200).json();
    assert_eq!(list["data"].as_array().expect("a list").len(), 50);
    assert_eq!(ids(&ada.get("/chatroom?limit=200&archived=true").await.expect(200).json()).len(), 25);
}

#[tokio::test]
async fn pages_miss_nothing_and_repeat_nothing_while_rooms_come_and_move() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let ada = app.sign_up().await;
    let mut rooms = Vec::new();
    for number in 0..23 {
        // Pairs share their moment: the id decides between them.
        app.clock.advance(std::time::Duration::from_millis(number % 2));
        rooms.push(ada.new_room().await);
    }
    let moving = rooms[3].clone();
    let (mut seen, mut path) = (Vec::new(), "/chatroom?limit=4".to_owned());
    loop {
        let page = ada.get(&path).await.expect(200).json();
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/chatroom?limit=4&cursor={cursor}");
        app.clock.advance(std::time::Duration::from_secs(1));
        ada.new_room().await;
        ada.ask(&moving, "to the front").await;
    }
    app.settle().await;
    let mut unmoved: Vec<_> = rooms.into_iter().filter(|room| *room != moving).collect();
    unmoved.sort_by_key(|room| seen.iter().position(|seen| seen == room));
    seen.retain(|room| *room != moving);
    assert_eq!(seen, unmoved, "all that did not move, once, and none of those that came later");
}

#[tokio::test]
async fn a_page_has_up_to_two_hundred_rooms_and_fifty_unless_asked() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    join_all((0..201).map(|_| ada.new_room())).await;
    for (query, length) in [("", 50), ("?limit=1", 1), ("?limit=200", 200)] {
        let page = ada.get(&format!("/chatroom{query}")).await.expect(200).json();
        assert_eq!(ids(&page).len(), length);
        let cursor = page["next_cursor"].as_str().expect("there are more");
        let rest = ada.get(&format!("/chatroom?limit=200&cursor={cursor}")).await.expect(200).json();
        let whole: std::collections::HashSet<_> = ids(&page).into_iter().chain(ids(&rest)).collect();
        assert_eq!(whole.len(), 201.min(length + 200));
    }
}

#[tokio::test]
async fn every_change_of_a_room_raises_its_rev() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let rev = async || {
        let shown = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
        let id = shown["last_event_id"].as_str().expect("an id").to_owned();
        id.split('.').next().expect("a rev").parse::<i64>().expect("a number")
    };
    assert_eq!(rev().await, 1);
    ada.patch(&format!("/chatroom/{room}"), json!({"name": "b"})).await.expect(200);
    assert_eq!(rev().await, 2);
    app.gemini.script(Rule::refuse(Fault::of(503)));
    let accepted = ada.ask(&room, "hello").await;
    let reply = accepted["reply"]["id"].as_str().expect("an id");
    assert_eq!(accepted["last_event_id"], format!("3.{reply}.0.0"), "where this reply's events begin");
    app.settle().await;
    assert_eq!(rev().await, 4, "it waits to be tried again");
    assert_eq!(app.count("select min(rev) from messages").await, 3);
    app.clock.advance(std::time::Duration::from_secs(2));
    app.settle().await;
    assert_eq!(rev().await, 5, "it is complete");
    assert_eq!(
        app.count("select rev from messages where role = 'model'").await,
        5,
        "a row carries the rev it changed in"
    );
    assert_eq!(app.count("select rev from messages where role = 'user'").await, 3);
    ada.say(&room, " ").await.expect(422);
    assert_eq!(rev().await, 5, "a refusal changes nothing");
}

#[tokio::test]
async fn a_deleted_room_takes_all_of_it_along() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let reply = ada.hears(&room, "hello").await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    let reply = reply["id"].as_str().expect("an id");
    for path in ["", "/messages", &format!("/messages/{reply}")] {
        ada.get(&format!("/chatroom/{room}{path}")).await.expect(404);
    }
    ada.say(&room, "anybody there?").await.expect(404);
    ada.delete(&format!("/chatroom/{room}")).await.expect(404);
    assert_eq!(app.count("select count(*) from messages").await, 0);
    assert_eq!(ada.prompts_used().await, 1, "what was answered stays paid");
}

const IN_FLIGHT: &str = "select cast(sum(in_flight) as bigint) from queue_users";
const UNENDED: &str = "select count(*) from jobs where state in ('queued', 'running')";

#[tokio::test]
async fn deleting_a_room_gives_back_what_had_not_begun() {
    let app = TestApp::idle(|_| {}).await;
    let ada = app.sign_up().await;
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    ada.ask(&room, "one").await;
    ada.ask(&room, "two").await;
    ada.ask(&other, "three").await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(ada.prompts_used().await, 1);
    assert_eq!((app.count(UNENDED).await, app.count(IN_FLIGHT).await), (1, 0));
    app.work();
    app.settle().await;
    assert_eq!(app.questions().len(), 1, "nobody asks for what is gone");
}

/// A room deleted while its reply has this many words; the prompts that stay spent.
async fn delete_in_the_middle(words: usize) -> i64 {
    let app = TestApp::with(|settings| settings.quota.basic_replies_at_once = 1).await;
    let ada = app.sign_up().await;
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    app.gemini.script(Rule::words(9).hold(words));
    let reply = ada.asks(&room, "a long story").await;
    app.until_held(1).await;
    ada.watches(&room, &reply, |reply| reply["content"].as_str().is_some_and(|text| text.ends_with(' ')) || words == 0)
        .await;
    ada.ask(&room, "and another").await;
    let next = ada.asks(&other, "my turn").await;
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    let spent = ada.prompts_used().await;
    // The place is free at once: nobody waits for a reply that is gone.
    ada.watches(&other, &next, |reply| reply["status"] == "complete").await;
    assert_eq!((app.count(UNENDED).await, app.count(IN_FLIGHT).await), (0, 0));
    // By the next renewal of its leases the worker knows, hangs up and forgets.
    app.clock.advance(app.app.settings.worker.lease / 3);
    app.until_gemini(|entries| entries.iter().any(|entry| entry.end == Ended::Aborted)).await;
    let reply = reply.parse().expect("an id");
    until("the text is forgotten", async || app.app.live.read(reply).is_none().then_some(())).await;
    assert_eq!((app.count(UNENDED).await, app.count(IN_FLIGHT).await), (0, 0));
    assert_eq!(ada.prompts_used().await, spent);
    spent
}

#[tokio::test]
async fn deleting_a_room_ends_the_reply_that_is_being_written() {
    assert_eq!(delete_in_the_middle(3).await, 2, "text that was read stays paid, and so does the other room's");
    assert_eq!(delete_in_the_middle(0).await, 1, "without a word nothing is paid but the other room's");
}

#[tokio::test]
async fn a_cursor_made_up_is_refused_and_breaks_nothing() {
    use base64::Engine;
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = uuid::Uuid::now_v7();
    for at in [i64::MIN, -300_000_000_000_000, -1, 253_402_300_800_000, i64::MAX] {
        let cursor = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("[{at},\"{room}\"]"));
        assert_eq!(ada.get(&format!("/chatroom?cursor={cursor}")).await.expect(422).code(), "invalid", "{at}");
    }
}
