//! Files in a bucket: the whole way through a server that speaks S3, and what happens while it is down.

use std::time::Duration;

use gemini_backend::config::{FilesPlace, Settings};
use gemini_backend::retention;
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::harness::chat::fate;
use crate::harness::files::png;
use crate::harness::s3::Bucket;

/// Settings by which files lie in the bucket.
fn place(bucket: &Bucket) -> impl FnOnce(&mut Settings) {
    let endpoint = format!("http://{}", bucket.address).parse().expect("an address");
    move |settings| {
        settings.files.place = FilesPlace::Bucket { bucket: "files".into(), prefix: "a/b".into() };
        settings.files.s3.endpoint = Some(endpoint);
        settings.files.s3.keys = Some(("an-id".into(), "a secret".to_owned().into()));
    }
}

#[tokio::test]
async fn a_file_goes_its_whole_way_through_a_bucket() {
    let bucket = Bucket::start().await;
    let app = TestApp::with(place(&bucket)).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let content = png(6 * 1024 * 1024);
    let id = ada.uploads(&room, "a.png", &content).await;
    let plain = id.replace('-', "");
    assert_eq!(bucket.names(), [format!("files/a/b/{}/{plain}", &plain[30..])], "nothing of the person is in the name");
    assert!(ada.download(&room, &id).await.expect(200).body == content);
    let reply = ada.hears_of(&room, "What is it?", &[&id]).await;
    let seen = format!("I got an image/png of {} bytes.", content.len());
    assert!(reply["content"].as_str().expect("a text").starts_with(&seen), "{reply}");
    let unused = ada.uploads(&room, "b.png", &png(100)).await;
    ada.delete(&format!("/chatroom/{room}/attachments/{unused}")).await.expect(204);
    assert_eq!(bucket.names().len(), 1);
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(bucket.names(), Vec::<String>::new());
    assert_eq!(app.objects().len(), 0);
    assert!(bucket.calls().iter().all(|call| !call.starts_with("POST")), "{:?}", bucket.calls());
}

#[tokio::test]
async fn while_the_bucket_is_down_files_wait_and_nothing_is_lost() {
    let bucket = Bucket::start().await;
    let app = TestApp::with(place(&bucket)).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let (one, two) = (ada.uploads(&room, "a.png", &png(100)).await, ada.uploads(&room, "b.png", &png(100)).await);
    bucket.set_down(true);
    for answer in [ada.upload(&room, "c.png", &png(100)).await, ada.download(&room, &one).await] {
        assert_eq!((answer.status, answer.code().as_str()), (503, "storage_unavailable"));
    }
    assert_eq!(app.count("select count(*) from attachments").await, 2);
    // The room goes all the same; its objects follow when they can.
    ada.delete(&format!("/chatroom/{room}/attachments/{two}")).await.expect(204);
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(app.count("select count(*) from attachments").await, 0);
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!((bucket.names().len(), app.count("select count(*) from objects_to_delete").await), (2, 3));
    bucket.set_down(false);
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(bucket.names().len(), 2, "each has a pause before it is tried again");
    app.clock.advance(Duration::from_mins(16));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!((bucket.names().len(), app.count("select count(*) from objects_to_delete").await), (0, 0));
}

#[tokio::test]
async fn a_reply_waits_for_its_files() {
    let bucket = Bucket::start().await;
    let app = TestApp::with(place(&bucket)).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let file = ada.uploads(&room, "a.png", &png(100)).await;
    bucket.set_down(true);
    let waiting = ada.hears_of(&room, "What is it?", &[&file]).await;
    assert_eq!(fate(&waiting), ("queued", "storage_unavailable"));
    assert!(waiting["retry_at"].is_string() && app.questions().is_empty(), "{waiting}");
    bucket.set_down(false);
    app.clock.advance(Duration::from_secs(2));
    app.settle().await;
    let reply = ada.message(&room, waiting["id"].as_str().expect("an id")).await;
    assert_eq!(fate(&reply), ("complete", ""));
    bucket.lose();
    let other = ada.say_with(&room, "And now?", &[]).await.expect(202).json();
    app.settle().await;
    let reply = ada.message(&room, other["reply"]["id"].as_str().expect("an id")).await;
    assert_eq!(fate(&reply).0, "complete", "an older file that is lost is left out");
    let question = app.questions().pop().expect("a question").body;
    assert_eq!(question["contents"][0]["parts"][0], json!({"text": "[image left out: a.png]"}));
    let lost = ada.uploads(&room, "b.png", &png(100)).await;
    bucket.lose();
    let failed = ada.hears_of(&room, "And this?", &[&lost]).await;
    assert_eq!((fate(&failed), &failed["error"]["retryable"]), (("failed", "attachment_lost"), &Value::Bool(false)));
    assert_eq!(ada.prompts_used().await, 2, "what failed cost nothing");
}
