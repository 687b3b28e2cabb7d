//! Bad input: whatever is sent, the answer is the right problem and nothing is stored.

use serde_json::json;

use crate::harness::TestApp;

const JSON: &str = "application/json";

/// Someone's room, with nothing said in it.
async fn a_room(app: &TestApp) -> (crate::harness::Person<'_>, String) {
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    (ada, room)
}

#[tokio::test]
async fn every_bad_body_is_the_right_problem_and_stores_nothing() {
    let app = TestApp::start().await;
    let (ada, room) = a_room(&app).await;
    let deep = format!("{{\"content\":\"a\",\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let huge = format!("{{\"content\":\"{}\"}}", "a".repeat(256 * 1024));
    let bodies: [(&str, &str, u16, &str); 19] = [
        (JSON, "", 400, "not_json"),
        (JSON, "   ", 400, "not_json"),
        (JSON, "{", 400, "not_json"),
        (JSON, "content=a", 400, "not_json"),
        (JSON, "{\"content\":\"a\"}{}", 400, "not_json"),
        (JSON, "{\"content\":\"a\u{0}\"}", 400, "not_json"),
        (JSON, "{\"content\":5} nonsense", 400, "not_json"),
        (JSON, "[\"a\"]", 422, "invalid"),
        (JSON, "null", 422, "invalid"),
        (JSON, "{}", 422, "invalid"),
        (JSON, "{\"content\":5}", 422, "invalid"),
        (JSON, "{\"content\":null}", 422, "invalid"),
        (JSON, "{\"content\":\"a\\u0000\"}", 422, "invalid"),
        (JSON, "{\"content\":\"a\",\"ignored\":\"\\ud800\"}", 422, "invalid"),
        (JSON, &deep, 422, "invalid"),
        (JSON, &huge, 413, "body_too_large"),
        ("text/plain", "{\"content\":\"a\"}", 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", "content=a", 415, "unsupported_media_type"),
        ("", "{\"content\":\"a\"}", 415, "unsupported_media_type"),
    ];
    for (content_type, body, status, code) in bodies {
        let call = ada.call("POST", &format!("/chatroom/{room}/message")).body(content_type, body.to_owned());
        let answer = call.send().await;
        let seen = &body[..body.len().min(80)];
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{seen}");
        if status == 422 {
            let fields = &answer.json()["errors"];
            assert!(
                fields[0]["field"] == "content" || fields[0]["field"] == "body" || fields[0]["field"] == "ignored",
                "{seen}: {fields}"
            );
        }
    }
    let invalid = ada.call("POST", &format!("/chatroom/{room}/message")).body(JSON, b"{\"content\":\"\xff\"}".to_vec());
    assert_eq!(invalid.send().await.expect(400).code(), "not_json");
    let messages = ada.get(&format!("/chatroom/{room}/messages")).await.expect(200).json();
    assert_eq!(messages["data"], json!([]));
}

#[tokio::test]
async fn the_type_of_a_body_may_name_its_charset() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let call = ada.call("POST", "/chatroom").body("Application/JSON; charset=utf-8", "{\"name\":\"ä\",\"extra\":1}");
    assert_eq!(call.send().await.expect(201).json()["name"], "ä");
}

#[tokio::test]
async fn a_body_that_may_be_left_away_may_be_left_away() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    ada.call("POST", "/chatroom").send().await.expect(201);
    ada.call("POST", "/chatroom/create/").body(JSON, "").send().await.expect(201);
    assert_eq!(ada.call("POST", "/chatroom").body(JSON, "{").send().await.expect(400).code(), "not_json");
}

#[tokio::test]
async fn ids_that_cannot_exist_are_not_there() {
    let app = TestApp::start().await;
    let (ada, room) = a_room(&app).await;
    for id in ["1", "x", "%00", "0199f7a4-6e30-7c61-a1f0", "null", "..%2f", "\u{1f600}"] {
        for (method, path, code) in [
            ("GET", format!("/chatroom/{id}"), "chatroom_not_found"),
            ("PATCH", format!("/chatroom/{id}"), "chatroom_not_found"),
            ("POST", format!("/chatroom/{id}/message/"), "chatroom_not_found"),
            ("GET", format!("/chatroom/{room}/messages/{id}"), "message_not_found"),
        ] {
            let call = ada.call(method, &path);
            let call = if method == "GET" { call } else { call.json(&json!({"content": "a"})) };
            assert_eq!(call.send().await.expect(404).code(), code, "{method} {path}");
        }
    }
    assert_eq!(ada.get("/chatroom/%ff").await.expect(400).code(), "bad_path");
}

#[tokio::test]
async fn bad_limits_and_cursors_are_named() {
    let app = TestApp::start().await;
    let (ada, room) = a_room(&app).await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=bnVsbA", "cursor"),
        ("cursor=%00", "cursor"),
    ] {
        for path in ["/chatroom".to_owned(), format!("/chatroom/{room}/messages")] {
            let answer = ada.get(&format!("{path}?{query}")).await.expect(422).json();
            assert_eq!(answer["errors"][0]["field"], field, "{path}?{query}");
        }
    }
    let answer = ada.get("/chatroom?archived=perhaps").await.expect(422).json();
    assert_eq!(answer["errors"][0]["field"], "archived");
}

#[tokio::test]
async fn a_huge_body_is_refused_however_it_is_sent() {
    let app = TestApp::start().await;
    let (ada, room) = a_room(&app).await;
    let path = format!("/chatroom/{room}/message");
    for size in [300_000, 3_000_000] {
        let whole = format!("{{\"content\":\"{}\"}}", "a".repeat(size));
        let known = ada.call("POST", &path).body(JSON, whole.clone()).send().await.expect(413);
        assert_eq!(known.code(), "body_too_large");
        let pieces: Vec<_> =
            whole.as_bytes().chunks(10_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let pieces = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        ada.call("POST", &path).body(JSON, pieces).send().await.expect(413);
    }
}

#[tokio::test]
async fn an_idempotency_key_is_one_of_visible_characters() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    for key in ["", "a b", "ä", &"k".repeat(256)] {
        let answer = ada.call("POST", "/chatroom").header("idempotency-key", key).send().await.expect(422).json();
        assert_eq!(answer["errors"][0]["field"], "Idempotency-Key", "{key}");
    }
    ada.call("POST", "/chatroom").header("idempotency-key", &"k".repeat(255)).send().await.expect(201);
}

#[tokio::test]
async fn a_client_that_sends_its_body_slowly_hurts_only_itself() {
    use tokio::io::AsyncWriteExt;
    let app = TestApp::start().await;
    let (ada, room) = a_room(&app).await;
    let mut slow = tokio::net::TcpStream::connect(app.address).await.expect("a connection");
    let head = format!(
        "POST /chatroom/{room}/message HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{",
        ada.token
    );
    slow.write_all(head.as_bytes()).await.expect("a part of a request");
    ada.get(&format!("/chatroom/{room}")).await.expect(200);
    drop(slow);
    assert_eq!(ada.get(&format!("/chatroom/{room}/messages")).await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_body_that_says_it_is_huge_is_refused_before_it_comes() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = TestApp::start().await;
    let (ada, room) = a_room(&app).await;
    for more in ["", "expect: 100-continue\r\n"] {
        let mut client = tokio::net::TcpStream::connect(app.address).await.expect("a connection");
        let head = format!(
            "POST /chatroom/{room}/message HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 262145\r\n{more}\r\n",
            ada.token
        );
        client.write_all(head.as_bytes()).await.expect("a head");
        let mut answer = String::new();
        let read = tokio::time::timeout(std::time::Duration::from_secs(4), client.read_to_string(&mut answer)).await;
        read.expect("an answer at once").expect("a whole answer");
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"code\":\"body_too_large\""), "{answer}");
        assert!(answer.contains("connection: close\r\n") && !answer.contains("100 Continue"), "{answer}");
    }
}
