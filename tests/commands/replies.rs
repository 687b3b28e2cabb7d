//! Replies that failed, and replies under a server that is told to end.

use std::time::{Duration, Instant};

use gemini_backend::{fetch_one, store};
use serde_json::json;

use crate::beside::Beside;
use crate::client::Client;
use crate::database::Postgres;
use crate::process::{Running, error, folder, run};

const ADA: &str = "+919876543210";

#[tokio::test]
async fn a_failed_reply_is_listed_and_written_after_all_by_the_server_beside() {
    let beside = Beside::start().await;
    let failed = || beside.told(&["replies", "list-failed"])["data"].clone();
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    let reply = ada.say("Hello [[sandbox:error 400 times=1]]").await;
    assert_eq!(ada.ended(&reply).await["status"], "failed");
    assert_eq!(ada.get("/user/me").await.1["prompts"]["used"], 0);
    let id = failed()[0]["id"].as_str().expect("it is listed").to_owned();
    assert!(reply.ends_with(&id));
    // The server has nothing to do and looks by itself after half a minute.
    let begun = Instant::now();
    beside.told(&["replies", "retry", &id]);
    let message = ada.ended(&reply).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(failed(), json!([]));
    assert_eq!(message["status"], "complete", "{message}");
    assert_eq!(ada.get("/user/me").await.1["prompts"]["used"], 0, "an operator's retry is free");
    let again = run(beside.path(), &["replies", "retry", &id], &beside.settings());
    assert!(error(&again).contains("there is no failed reply with this id"), "{}", error(&again));
    beside.end().await;
}

#[tokio::test]
async fn a_server_told_to_end_hands_its_reply_back_and_the_next_one_finishes_it() {
    let (folder, outside, postgres) = (folder(), folder(), Postgres::create().await);
    let sandbox = Running::start(outside.path(), &["--json", "sandbox", "gemini", "--no-key"], &[]);
    let (gemini, own) = (sandbox.base(), postgres.as_ref().map(|postgres| postgres.url("postgres")));
    let mut settings = vec![("GEMINI_BASE_URL", gemini.as_str()), ("WORKER_DRAIN_SECONDS", "1")];
    settings.extend(own.as_deref().map(|url| ("DATABASE_URL", url)));
    let file = format!("sqlite://{}", folder.path().join("data/gemini-backend.db").display());
    let url = own.as_deref().unwrap_or(&file);
    let server = Running::server(folder.path(), &settings);
    let ada = Client::sign_in(server.base(), ADA).await;
    let reply = ada.say("Hello [[sandbox:hang after=2 times=1]]").await;
    ada.begun(&reply).await;
    // Ends by itself, with success, in good time.
    server.stop();
    let store = store::look_into(url).await.expect("the database is there");
    let sql = "select state, attempt, faults, crashes from jobs where kind = 'reply'";
    let mut reader = store.read().await.expect("a connection");
    let job = fetch_one!(&mut reader, (String, i64, i64, i64), sql).expect("its job");
    assert_eq!(job, ("queued".to_owned(), 1, 0, 0), "state, attempt, faults, crashes");
    drop(reader);
    store.close().await;
    let server = Running::server(folder.path(), &settings);
    let ada = ada.moved(server.base());
    let message = ada.ended(&reply).await;
    assert_eq!((&message["status"], &message["attempt"]), (&json!("complete"), &json!(2)), "{message}");
    assert_eq!(ada.get("/user/me").await.1["prompts"]["used"], 1);
    server.stop();
    sandbox.stop();
    if let Some(postgres) = postgres {
        postgres.drop().await;
    }
}
