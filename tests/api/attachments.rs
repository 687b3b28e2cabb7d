//! Files that people send: taken by their content, given back to their owner alone, carried by one message.

use std::collections::BTreeSet;

use gemini_backend::auth::Plan;
use serde_json::{Value, json};

use crate::harness::files::{FORM, end, form, part, pdf, png};
use crate::harness::{Person, TestApp};

#[tokio::test]
async fn a_file_comes_back_as_it_went_and_is_never_shown() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let room = ada.new_room().await;
    let content = png(300_000);
    let made = ada.upload(&room, "Sea at Goa 北京.png", &content).await.expect(201);
    let view = made.json();
    let id = view["id"].as_str().expect("an id");
    assert_eq!(view, json!({"id": id, "name": "Sea at Goa 北京.png", "media_type": "image/png", "bytes": 300_000}));
    let location = made.header("location").expect("where it is");
    assert_eq!(location, format!("/chatroom/{room}/attachments/{id}"));
    let file = ada.get(location).await.expect(200);
    assert_eq!(file.body, content);
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", "300000"),
        (
            "content-disposition",
            "attachment; filename=\"Sea at Goa .png\"; filename*=UTF-8''Sea%20at%20Goa%20%E5%8C%97%E4%BA%AC.png",
        ),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, no-store"),
        ("content-security-policy", "default-src 'none'; sandbox"),
    ] {
        assert_eq!(file.header(name), Some(value), "{name}");
    }
    let others = bob.new_room().await;
    assert_eq!(bob.get(location).await.expect(404).code(), "chatroom_not_found");
    assert_eq!(bob.download(&others, id).await.expect(404).code(), "attachment_not_found");
    assert_eq!(ada.download(&ada.new_room().await, id).await.expect(404).code(), "attachment_not_found");
    assert_eq!(ada.download(&room, "x").await.expect(404).code(), "attachment_not_found");
    assert_eq!(bob.delete(location).await.expect(404).code(), "chatroom_not_found");
    app.get(location).send().await.expect(401);
}

#[tokio::test]
async fn what_a_file_is_its_content_says_and_not_its_name() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let kinds: [(&[u8], &str); 5] = [
        (b"\x89PNG\r\n\x1a\n..", "image/png"),
        (b"\xff\xd8\xff\xe0..", "image/jpeg"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"GIF89a....", "image/gif"),
        (b"%PDF-1.7 ...", "application/pdf"),
    ];
    for (content, kind) in kinds {
        let made = ada.upload(&room, "notes.txt", content).await.expect(201).json();
        assert_eq!((&made["media_type"], &made["name"]), (&json!(kind), &json!("notes.txt")));
        let file = ada.download(&room, made["id"].as_str().expect("an id")).await.expect(200);
        assert_eq!((file.content_type(), &file.body[..]), (kind, content));
    }
    for content in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"<html>", b"MZ", b"RIFF....WAVE", b" %PDF-1.7"]
    {
        assert_eq!(ada.upload(&room, "photo.png", content).await.expect(415).code(), "unsupported_file");
    }
    assert_eq!((app.count("select count(*) from attachments").await, app.objects().len()), (5, 5));
}

#[tokio::test]
async fn bad_uploads_are_the_right_problem_and_store_nothing() {
    let app = TestApp::with(|settings| settings.quota.basic_attachment_bytes = 1000).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let file = png(100);
    let whole = form("a.png", &file);
    let two = [part("a.png", &file), part("b.png", &file), end()].concat();
    let bodies: [(&str, Vec<u8>, u16, &str); 13] = [
        (FORM, whole[..whole.len() - 30].to_vec(), 400, "not_multipart"),
        (FORM, whole[..60].to_vec(), 400, "not_multipart"),
        (FORM, Vec::new(), 400, "not_multipart"),
        (FORM, b"{\"file\": \"x\"}".to_vec(), 400, "not_multipart"),
        (FORM, end(), 422, "invalid"),
        (FORM, two, 422, "invalid"),
        (FORM, form("", &file), 422, "invalid"),
        (FORM, form("a.png", b""), 422, "invalid"),
        ("multipart/form-data", whole.clone(), 415, "unsupported_media_type"),
        ("application/json", b"{}".to_vec(), 415, "unsupported_media_type"),
        ("image/png", file.clone(), 415, "unsupported_media_type"),
        (FORM, form("a.png", &png(1001)), 413, "body_too_large"),
        (FORM, form("a.png", &png(3_000_000)), 413, "body_too_large"),
    ];
    for (kind, body, status, code) in bodies {
        let call = ada.call("POST", &format!("/chatroom/{room}/attachments")).body(kind, body.clone());
        let answer = call.send().await;
        let seen = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{kind}: {seen}");
        if status == 422 {
            assert_eq!(answer.json()["errors"][0]["field"], "file");
        }
    }
    let nowhere = format!("/chatroom/{}/attachments", uuid::Uuid::now_v7());
    let call = ada.call("POST", &nowhere).body(FORM, whole.clone());
    assert_eq!(call.send().await.expect(404).code(), "chatroom_not_found");
    app.post(&format!("/chatroom/{room}/attachments")).body(FORM, whole).send().await.expect(401);
    assert_eq!(app.count("select count(*) from attachments").await, 0);
    assert_eq!(app.objects().len(), 0);
    ada.upload(&room, "a.png", &png(1000)).await.expect(201);
}

#[tokio::test]
async fn a_file_that_says_it_is_too_large_is_refused_before_it_comes() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let mut client = tokio::net::TcpStream::connect(app.address).await.expect("a connection");
    let head = format!(
        "POST /chatroom/{room}/attachments HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: {FORM}\r\ncontent-length: {}\r\n\r\n",
        ada.token,
        15 * 1024 * 1024 + 64 * 1024 + 1
    );
    client.write_all(head.as_bytes()).await.expect("a head");
    let mut answer = String::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(10), client.read_to_string(&mut answer)).await;
    read.expect("an answer at once").expect("a whole answer");
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn each_plan_has_its_largest_file() {
    let app = TestApp::with(|settings| {
        settings.quota.basic_attachment_bytes = 1_000;
        settings.quota.pro_attachment_bytes = 2_000;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.upload(&room, "a.png", &png(1_500)).await.expect(413);
    ada.set_plan(Plan::Pro).await;
    ada.upload(&room, "a.png", &png(1_500)).await.expect(201);
    let plans = app.get("/plans").send().await.expect(200).json();
    let largest: Vec<_> =
        plans["data"].as_array().expect("plans").iter().map(|plan| plan["attachment_bytes"].clone()).collect();
    assert_eq!(largest, [json!(1_000), json!(2_000)]);
    // Other bodies keep their own limit.
    let long = json!({"content": "a", "x": "a".repeat(300_000)});
    assert_eq!(ada.post(&format!("/chatroom/{room}/message"), long).await.expect(413).code(), "body_too_large");
}

#[tokio::test]
async fn fifteen_mebibytes_are_taken() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let content = png(15 * 1024 * 1024);
    let id = ada.uploads(&room, "a.png", &content).await;
    assert!(ada.download(&room, &id).await.expect(200).body == content);
}

/// The files of a message, as its readers see them.
fn names(message: &Value) -> Vec<String> {
    let files = message["attachments"].as_array().cloned().unwrap_or_default();
    files.iter().map(|file| file["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_message_carries_files_and_every_reader_sees_them() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let one = ada.uploads(&room, "one.png", &png(100)).await;
    let two = ada.uploads(&room, "two.pdf", &pdf(2)).await;
    let accepted = ada.say_with(&room, "zygomorphic", &[&two, &one]).await.expect(202).json();
    let seen = json!([
        {"id": two, "name": "two.pdf", "media_type": "application/pdf", "bytes": pdf(2).len()},
        {"id": one, "name": "one.png", "media_type": "image/png", "bytes": 100},
    ]);
    assert_eq!(accepted["message"]["attachments"], seen);
    assert_eq!(accepted["reply"]["attachments"], Value::Null);
    app.settle().await;
    let id = accepted["message"]["id"].as_str().expect("an id");
    assert_eq!(ada.message(&room, id).await["attachments"], seen);
    assert_eq!(ada.messages(&room).await[0]["attachments"], seen);
    let shown = ada.get(&format!("/chatroom/{room}")).await.expect(200).json();
    assert_eq!(shown["messages"][0]["attachments"], seen);
    let found = ada.get("/search?q=zygomorphic").await.expect(200).json();
    let found = found["data"].as_array().expect("what was found").iter().find(|one| one["message"]["id"] == *id);
    assert_eq!(found.expect("the message")["message"]["attachments"], seen);
    let file = ada.get(&format!("/chatroom/{room}/export?format=json")).await.expect(200).json();
    assert_eq!(file["messages"][0]["attachments"], seen);
    let unused = ada.uploads(&room, "three.png", &png(100)).await;
    let path = |id: &str| format!("/chatroom/{room}/attachments/{id}");
    let all = ada.get("/user/me/export").await.expect(200).json();
    let held = all["chatrooms"][0]["attachments"].as_array().expect("files");
    let held: BTreeSet<_> = held.iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect();
    assert_eq!(held, BTreeSet::from([path(&one), path(&two), path(&unused)]));
    assert_eq!(file["attachments"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["chatrooms"][0]["messages"][0]["attachments"], seen);
    let text = ada.get(&format!("/chatroom/{room}/export")).await.expect(200);
    assert!(text.text().contains("zygomorphic\n\n*Attached: two.pdf*\n\n*Attached: one.png*\n"), "{}", text.text());
    // From before anything was said.
    let path = format!("/chatroom/{room}/events");
    let told = ada.listen(&path, Some("0.-.0.0")).await.until("message.created").await;
    assert_eq!(told.last().expect("an event").data["message"]["attachments"], seen);
}

#[tokio::test]
async fn a_file_goes_with_one_message_of_its_room() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let (room, other, bobs) = (ada.new_room().await, ada.new_room().await, bob.new_room().await);
    let file = ada.uploads(&room, "a.png", &png(100)).await;
    let elsewhere = ada.uploads(&other, "b.png", &png(100)).await;
    let theirs = bob.uploads(&bobs, "c.png", &png(100)).await;
    let nobody = uuid::Uuid::now_v7().to_string();
    let mut many = Vec::new();
    for number in 0..11 {
        many.push(ada.uploads(&room, &format!("{number}.png"), &png(100)).await);
    }
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for files in [&[elsewhere.as_str()][..], &[&theirs], &[&nobody], &[&file, &file], &[&file, &theirs], &many] {
        let refused = ada.say_with(&room, "look", files).await.expect(422);
        assert_eq!(refused.json()["errors"][0]["field"], "attachments", "{files:?}");
    }
    for wrong in [json!("x"), json!([5]), json!(["x"]), json!({})] {
        let body = json!({"content": "look", "attachments": wrong});
        let refused = ada.post(&format!("/chatroom/{room}/message"), body).await.expect(422);
        assert!(refused.json()["errors"][0]["field"].as_str().expect("a field").starts_with("attachments"));
    }
    let files_alone = json!({"content": " ", "attachments": [file]});
    let refused = ada.post(&format!("/chatroom/{room}/message"), files_alone).await.expect(422);
    assert_eq!(refused.json()["errors"][0]["field"], "content");
    assert_eq!((app.count("select count(*) from messages").await, ada.prompts_used().await), (0, 0));
    ada.say_with(&room, "look", &many[..10]).await.expect(202);
    ada.say_with(&room, "look", &[&file]).await.expect(202);
    let refused = ada.say_with(&room, "look again", &[&file]).await.expect(422);
    assert_eq!(refused.json()["errors"][0]["field"], "attachments");
    assert_eq!(
        ada.delete(&format!("/chatroom/{room}/attachments/{file}")).await.expect(409).code(),
        "attachment_in_use"
    );
    ada.download(&room, &file).await.expect(200);
    app.settle().await;
}

#[tokio::test]
async fn what_is_edited_keeps_its_files_or_takes_others() {
    let app = TestApp::with(|settings| settings.quota.basic_daily_prompts = 100).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let (one, two) = (ada.uploads(&room, "one", &png(100)).await, ada.uploads(&room, "two", &png(100)).await);
    let first = ada.say_with(&room, "look", &[&one]).await.expect(202).json();
    app.settle().await;
    let first = first["message"]["id"].as_str().expect("an id").to_owned();
    let edited = ada.edit(&room, &first, "look here").await.expect(202).json();
    app.settle().await;
    assert_eq!(names(&edited["message"]), ["one"]);
    let path = format!("/chatroom/{room}/messages/{first}");
    let both = ada.patch(&path, json!({"content": "and there", "attachments": [two, one]})).await.expect(202).json();
    assert_eq!(names(&both["message"]), ["two", "one"]);
    let none = ada.patch(&path, json!({"content": "nowhere", "attachments": []})).await.expect(202).json();
    assert_eq!(names(&none["message"]), Vec::<String>::new());
    // It is of another message now.
    ada.patch(&path, json!({"content": "there", "attachments": [two]})).await.expect(422);
    assert_eq!(names(&ada.message(&room, &first).await), ["one"]);
    app.settle().await;
    let again = ada.regenerate(&room, edited["reply"]["id"].as_str().expect("an id")).await.expect(202).json();
    assert_eq!(names(&again["message"]), ["one"]);
    app.settle().await;
}

async fn upload_with_key(
    ada: &Person<'_>,
    room: &str,
    key: &str,
    name: &str,
    content: &[u8],
) -> crate::harness::Answer {
    let call = ada.call("POST", &format!("/chatroom/{room}/attachments")).header("idempotency-key", key);
    call.body(FORM, form(name, content)).send().await
}

#[tokio::test]
async fn the_same_key_brings_a_file_once() {
    let app = TestApp::with(|settings| settings.files.most_unused = 3).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let first = upload_with_key(&ada, &room, "k", "a.png", &png(100)).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = upload_with_key(&ada, &room, "k", "a.png", &png(100)).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), again.json()), (Some("true"), first.json()));
    for (name, content) in [("b.png", png(100)), ("a.png", png(101))] {
        let other = upload_with_key(&ada, &room, "k", name, &content).await.expect(422);
        assert_eq!(other.code(), "idempotency_mismatch");
    }
    let content = png(200_000);
    let twice = || upload_with_key(&ada, &room, "at-once", "a.png", &content);
    let (one, other) = tokio::join!(twice(), twice());
    assert_eq!(one.expect(201).json()["id"], other.expect(201).json()["id"]);
    assert_eq!((app.count("select count(*) from attachments").await, app.objects().len()), (2, 2));
    // The limit does not touch what was there before.
    ada.uploads(&room, "c.png", &png(100)).await;
    upload_with_key(&ada, &room, "k", "a.png", &png(100)).await.expect(201);
    assert_eq!(ada.upload(&room, "d.png", &png(100)).await.expect(409).code(), "attachment_limit_reached");
}

#[tokio::test]
async fn a_key_of_a_message_covers_its_files() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let file = ada.uploads(&room, "a.png", &png(100)).await;
    let say = async |body: Value| {
        let call = ada.call("POST", &format!("/chatroom/{room}/message")).header("idempotency-key", "k");
        call.json(&body).send().await
    };
    let with = json!({"content": "look", "attachments": [file]});
    let first = say(with.clone()).await.expect(202).json();
    app.settle().await;
    let again = say(with).await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json()["message"]["attachments"], first["message"]["attachments"]);
    assert_eq!(say(json!({"content": "look"})).await.expect(422).code(), "idempotency_mismatch");
    assert_eq!(names(&first["message"]), ["a.png"]);
}

#[tokio::test]
async fn nobody_fills_the_disk_with_what_nobody_reads() {
    let app = TestApp::with(|settings| settings.files.most_unused = 2).await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    let first = ada.uploads(&room, "a.png", &png(100)).await;
    ada.uploads(&other, "b.png", &png(100)).await;
    assert_eq!(ada.upload(&room, "c.png", &png(100)).await.expect(409).code(), "attachment_limit_reached");
    bob.uploads(&bob.new_room().await, "c.png", &png(100)).await;
    assert_eq!(app.objects().len(), 3);
    ada.say_with(&room, "look", &[&first]).await.expect(202);
    let third = ada.uploads(&room, "c.png", &png(100)).await;
    ada.upload(&room, "d.png", &png(100)).await.expect(409);
    ada.delete(&format!("/chatroom/{room}/attachments/{third}")).await.expect(204);
    ada.uploads(&room, "d.png", &png(100)).await;
    app.settle().await;
}

#[tokio::test]
async fn uploads_take_no_more_memory_than_there_is() {
    let app = TestApp::with(|settings| settings.files.memory = 400_000).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.uploads(&room, "a.png", &png(90_000)).await;
    let held = app.app.files.incoming.wait_for(app.sign_up().await.user, 350_000).await;
    let refused = ada.upload(&room, "b.png", &png(90_000)).await.expect(503);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("too_many_uploads", Some("10")));
    drop(held);
    ada.uploads(&room, "c.png", &png(90_000)).await;
    assert_eq!(app.objects().len(), 2);
}
