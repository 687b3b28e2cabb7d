//! Replies that failed: listed, and written after all.

use serde_json::Value;

use crate::client::Client;
use crate::process::{Running, error, folder, run, succeed};

#[tokio::test]
async fn a_failed_reply_is_listed_and_written_after_all() {
    let folder = folder();
    let sandbox = Running::start(folder.path(), &["--json", "sandbox", "gemini", "--no-key"], &[]);
    let base = sandbox.base();
    let settings = [("GEMINI_BASE_URL", base.as_str())];
    let failed = || -> Value {
        let listed = succeed(folder.path(), &["replies", "list-failed", "--json"], &settings);
        serde_json::from_str::<Value>(&listed).expect("JSON")["data"].clone()
    };
    let server = Running::server(folder.path(), &settings);
    let ada = Client::sign_in(server.base(), "+919876543210").await;
    let reply = ada.say("Hello [[sandbox:error 400 times=1]]").await;
    assert_eq!(ada.ended(&reply).await["status"], "failed");
    assert_eq!(ada.get("/user/me").await.1["prompts"]["used"], 0);
    let id = failed()[0]["id"].as_str().expect("it is listed").to_owned();
    assert!(reply.ends_with(&id));
    // An idle worker looks every 30 seconds; a new one at once.
    server.stop();
    succeed(folder.path(), &["replies", "retry", &id], &settings);
    assert_eq!(failed(), serde_json::json!([]));
    let server = Running::server(folder.path(), &settings);
    let ada = ada.moved(server.base());
    let message = ada.ended(&reply).await;
    assert_eq!(message["status"], "complete", "{message}");
    assert_eq!(ada.get("/user/me").await.1["prompts"]["used"], 0, "an operator's retry is free");
    let again = run(folder.path(), &["replies", "retry", &id], &settings);
    assert!(error(&again).contains("there is no failed reply with this id"), "{}", error(&again));
    server.stop();
}
