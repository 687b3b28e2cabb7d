//! What an operator does beside a running server holds on the next request.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::beside::Beside;
use crate::client::Client;
use crate::process::{error, fed, run};

const ADA: &str = "+919876543210";

#[tokio::test]
async fn plan_and_role_change_under_a_signed_in_user() {
    let beside = Beside::start().await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    let (_, me) = ada.get("/user/me").await;
    assert_eq!((&me["plan"], &me["role"], &me["prompts"]["limit"]), (&json!("basic"), &json!("user"), &json!(5)));
    assert_eq!(beside.users(&["set-plan", ADA, "pro"])["plan"], "pro");
    let (_, me) = ada.get("/user/me").await;
    assert_eq!((&me["plan"], &me["prompts"]["limit"]), (&json!("pro"), &Value::Null));
    let id = me["id"].as_str().expect("an id");
    assert_eq!(beside.users(&["set-role", id, "admin"])["role"], "admin");
    assert_eq!(ada.get("/user/me").await.1["role"], "admin");
    assert_eq!(beside.users(&["set-plan", "98765 43210", "basic"])["plan"], "basic");
    assert_eq!(ada.get("/user/me").await.1["prompts"]["limit"], 5);
    beside.end().await;
}

#[tokio::test]
async fn a_better_plan_frees_what_waits_at_once() {
    let beside = Beside::with(&[("BASIC_REPLIES_AT_ONCE", "1")]).await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    let hanging = ada.say("[[sandbox:hang after=1]]").await;
    ada.begun(&hanging).await;
    let waiting = ada.say("Hello!").await;
    let begun = Instant::now();
    beside.users(&["set-plan", ADA, "pro"]);
    assert_eq!(ada.ended(&waiting).await["status"], "complete");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    beside.users(&["delete", ADA, "--yes"]);
    beside.end().await;
}

#[tokio::test]
async fn suspension_and_sign_out_hold_on_the_next_request() {
    let beside = Beside::start().await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    assert_eq!(ada.get("/chatroom").await.0, 200);
    assert!(beside.users(&["suspend", ADA])["suspended_at"].is_string());
    let (status, problem) = ada.get("/chatroom").await;
    assert_eq!((status, &problem["code"]), (401, &json!("account_suspended")));
    assert!(beside.users(&["restore", ADA])["suspended_at"].is_null());
    assert_eq!(ada.get("/chatroom").await.0, 200);
    beside.users(&["sign-out", ADA]);
    let (status, problem) = ada.get("/chatroom").await;
    assert_eq!((status, &problem["code"]), (401, &json!("session_ended")));
    beside.end().await;
}

#[tokio::test]
async fn an_added_user_signs_in_by_the_password_given() {
    let beside = Beside::start().await;
    let add = ["--json", "users", "add", ADA, "--password-stdin", "--plan", "pro"];
    let added = fed(beside.path(), &add, &beside.settings(), "correct horse battery\n");
    assert!(added.status.success());
    let added: Value = serde_json::from_slice(&added.stdout).expect("JSON");
    assert_eq!((&added["mobile"], &added["plan"], &added["password_set"]), (&json!(ADA), &json!("pro"), &json!(true)));
    let short = run(beside.path(), &["users", "add", "+14155550123", "--password-stdin"], &beside.settings());
    assert!(error(&short).contains("a password must have 8 to 128 characters"), "{}", error(&short));
    let ada = Client::new(beside.server.base());
    let (status, pair) =
        ada.post("/auth/token/obtain", &json!({"mobile": ADA, "password": "correct horse battery"})).await;
    assert_eq!((status, &pair["user"]["id"]), (200, &added["id"]));
    let again = run(beside.path(), &["users", "add", ADA], &beside.settings());
    assert!(error(&again).contains("the number is a user's already"), "{}", error(&again));
    beside.users(&["add", "+14155550123"]);
    let listed = beside.users(&["list"]);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
    let after = beside.users(&["list", "--after", added["id"].as_str().expect("an id")]);
    assert_eq!(after["data"][0]["mobile"], "+14155550123");
    beside.end().await;
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_and_the_number_starts_anew() {
    let beside = Beside::start().await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    let reply = ada.say("Hello!").await;
    ada.ended(&reply).await;
    let waiting = ada.say("[[sandbox:hang]]").await;
    let before = beside.users(&["show", ADA]);
    let undecided = run(beside.path(), &["users", "delete", ADA], &beside.settings());
    assert_eq!(undecided.status.code(), Some(2));
    assert_eq!(beside.users(&["delete", ADA, "--yes"])["deleted"], before["id"]);
    for path in [&reply, &waiting, "/user/me"] {
        let (status, problem) = ada.get(path).await;
        assert_eq!((status, &problem["code"]), (401, &json!("session_ended")), "{path}");
    }
    assert_eq!(beside.users(&["list"])["data"], json!([]));
    let anew = Client::sign_in(beside.server.base(), ADA).await;
    let (_, me) = anew.get("/user/me").await;
    assert_ne!(me["id"], before["id"]);
    assert_eq!(me["prompts"]["used"], 0);
    assert_eq!(anew.get("/chatroom").await.1["data"], json!([]));
    beside.end().await;
}

#[tokio::test]
async fn who_is_not_there_is_named() {
    let beside = Beside::start().await;
    for (who, told) in [(ADA, "there is no user +919876543210"), ("abc", "must be a mobile number")] {
        let output = run(beside.path(), &["users", "suspend", who], &beside.settings());
        assert_eq!(output.status.code(), Some(1));
        assert!(error(&output).contains(told), "{}", error(&output));
    }
    let output = run(beside.path(), &["users", "set-plan", ADA, "gold"], &beside.settings());
    assert_eq!(output.status.code(), Some(2));
    beside.end().await;
}
