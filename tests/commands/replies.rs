//! Replies that failed, and replies under a server that is told to end.

use std::path::Path;
use std::time::{Duration, Instant};

use gemini_backend::{fetch_all, store};
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
    let (gemini, url) = (sandbox.base(), url_of(postgres.as_ref(), folder.path()));
    let settings = [("GEMINI_BASE_URL", gemini.as_str()), ("DATABASE_URL", &url), ("WORKER_DRAIN_SECONDS", "1")];
    let server = Running::server(folder.path(), &settings);
    let ada = Client::sign_in(server.base(), ADA).await;
    let reply = ada.say("Hello [[sandbox:hang after=2 times=1]]").await;
    ada.begun(&reply).await;
    // Ends by itself, with success, in good time.
    server.stop();
    assert_eq!(reply_jobs(&url).await, [("queued".to_owned(), 1, 0, 0)], "state, attempt, faults, crashes");
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

/// The drain's own length, which takes its time once: what ends within it has ended, the rest is as if never begun.
#[tokio::test]
async fn by_default_replies_have_20_seconds_to_end_and_the_process_is_gone_within_30() {
    let (folder, outside, postgres) = (folder(), folder(), Postgres::create().await);
    let arguments = ["--json", "sandbox", "gemini", "--no-key", "--words-per-second", "20"];
    let sandbox = Running::start(outside.path(), &arguments, &[]);
    let (gemini, url) = (sandbox.base(), url_of(postgres.as_ref(), folder.path()));
    let settings = [("GEMINI_BASE_URL", gemini.as_str()), ("DATABASE_URL", &url)];
    let server = Running::server(folder.path(), &settings);
    let (ada, bob) = tokio::join!(Client::sign_in(server.base(), ADA), Client::sign_in(server.base(), "+919876543211"));
    for client in [&ada, &bob] {
        let endless = client.say("Hello [[sandbox:hang after=2]]").await;
        client.begun(&endless).await;
    }
    // Some 15 seconds of words.
    let long = ada.say("Hello [[sandbox:words 300]]").await;
    ada.begun(&long).await;
    server.stop();
    let handed_back = || ("queued".to_owned(), 1, 0, 0);
    let expected = [("done".to_owned(), 1, 0, 0), handed_back(), handed_back()];
    assert_eq!(reply_jobs(&url).await, expected, "state, attempt, faults, crashes");
    sandbox.stop();
    if let Some(postgres) = postgres {
        postgres.drop().await;
    }
}

fn url_of(postgres: Option<&Postgres>, folder: &Path) -> String {
    // In the setting it takes four slashes to begin a path at the root.
    let file = || format!("sqlite:///{}", folder.join("data/gemini-backend.db").display());
    postgres.map_or_else(file, |postgres| postgres.url("postgres"))
}

/// State, attempt, faults and crashes of every reply's job.
async fn reply_jobs(url: &str) -> Vec<(String, i64, i64, i64)> {
    let store = store::look_into(&url.replacen("sqlite:////", "sqlite:///", 1)).await.expect("the database is there");
    let sql = "select state, attempt, faults, crashes from jobs where kind = 'reply' order by state";
    let mut reader = store.read().await.expect("a connection");
    let jobs = fetch_all!(&mut reader, (String, i64, i64, i64), sql).expect("the jobs");
    drop(reader);
    store.close().await;
    jobs
}
