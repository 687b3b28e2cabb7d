//! Faults by rules, and the journal.

use std::time::Duration;

use gemini_backend::sandbox::stripe::{Ended, Entry, Fault, Options, Rule};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::{Visitor, id};

#[tokio::test]
async fn an_answer_is_lost_after_the_work_was_done() {
    let stripe = Visitor::start().await;
    stripe.sandbox.script(Rule::on("POST", "/v1/customers").cut().after());
    let lost = stripe.request(Method::POST, "/v1/customers").header("idempotency-key", "k").send().await;
    assert!(lost.is_err_and(|error| error.is_request() && error.status().is_none()), "not even a status came");
    let entry = stripe.sandbox.journal().pop().expect("an entry");
    assert_eq!((entry.end, entry.is_executed, entry.status), (Ended::Cut, true, 0));
    let again =
        stripe.request(Method::POST, "/v1/customers").header("idempotency-key", "k").send().await.expect("an answer");
    assert_eq!(
        (again.status().as_u16(), &again.headers()["idempotent-replayed"]),
        (200, &HeaderValue::from_static("true"))
    );
    assert_eq!(stripe.told(0), ["customer.created"]);
    // Before it, nothing was done.
    stripe.sandbox.script(Rule::on("POST", "/v1/customers").cut());
    assert!(stripe.request(Method::POST, "/v1/customers").send().await.is_err());
    assert_eq!(stripe.told(0), ["customer.created"]);
}

#[tokio::test]
async fn an_old_answer_comes_after_a_newer_one() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber().await;
    let path = format!("/v1/subscriptions/{subscription}");
    stripe.sandbox.script(Rule::on("GET", &path).hold());
    let newer = async {
        stripe.sandbox.wait_until(|entries| entries.iter().any(|entry| entry.end == Ended::Held)).await;
        stripe.delete(&path).await;
        let newer = stripe.the(&path).await;
        stripe.sandbox.release();
        newer
    };
    let (old, newer) = tokio::join!(stripe.the(&path), newer);
    assert_eq!((old["status"].as_str(), newer["status"].as_str()), (Some("active"), Some("canceled")));
}

#[tokio::test]
async fn rules_are_for_what_they_name_and_for_so_many() {
    let stripe = Visitor::start().await;
    let customer = stripe.customer().await;
    let rules = json!([
        {"when": {"method": "GET", "path": "/v1/customers?"}, "refuse": {"status": 503}, "times": 2},
        {"when": {"form": "\"7\""}, "refuse": {"status": 429, "retry_after": "7"}, "times": null},
        {"when": {"path": "/v1/customers/"}, "refuse": {"status": 402, "type": "card_error", "code": "expired_card", "message": "no"}},
    ]);
    assert_eq!(stripe.control("/sandbox/script", &rules).await.0, 204);
    assert_eq!(stripe.control("/sandbox/script", &json!({"time": 1})).await.0, 422);
    assert_eq!((stripe.get("/v1/customers").await.0, stripe.get("/v1/customers").await.0), (503, 503));
    assert_eq!(stripe.get("/v1/customers").await.0, 200);
    let (status, body) = stripe.get(&format!("/v1/customers/{customer}")).await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error"]["message"]),
        (402, &json!("expired_card"), &json!("no"))
    );
    for _ in 0..3 {
        let answer = stripe.send(Method::POST, "/v1/customers", &[("metadata[user_id]", "7")], &[]).await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &HeaderValue::from_static("7")));
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(
            (&body["error"]["code"], &body["error"]["type"]),
            (&json!("rate_limit"), &json!("invalid_request_error"))
        );
    }
    assert_eq!(stripe.get("/sandbox/script").await.1["rules"].as_array().map(Vec::len), Some(1));
    assert_eq!(stripe.delete("/sandbox/script").await.0, 204);
    assert_eq!(stripe.post("/v1/customers", &[("metadata[user_id]", "7")]).await.0, 200);
}

#[tokio::test]
async fn a_request_that_hangs_is_seen_to_hang_and_to_be_given_up() {
    let stripe = Visitor::start().await;
    stripe.sandbox.script(Rule::on("", "/v1/account").hang());
    let asked = stripe.request(Method::GET, "/v1/account").send();
    let seen = stripe.sandbox.wait_until(|entries| entries.last().is_some_and(|entry| entry.end == Ended::Hung));
    tokio::select! {
        answer = asked => panic!("{answer:?}"),
        _ = seen => {}
    }
    let entries = stripe.sandbox.wait_until(|entries| entries.last().is_some_and(|entry| entry.end.is_over())).await;
    assert_eq!((entries[0].end, entries[0].is_executed), (Ended::Aborted, false));
    stripe.sandbox.script(Rule::on("GET", "/v1/account").delay(Duration::from_millis(1)));
    stripe
        .sandbox
        .script(Rule::on("GET", "/v1/account").refuse(Fault { raw: Some("<html>".to_owned()), ..Fault::of(500) }));
    assert_eq!((stripe.get("/v1/account").await.0, stripe.get("/v1/account").await), (200, (500, Value::Null)));
}

#[tokio::test]
async fn the_journal_shows_forms_as_json_forgets_the_oldest_and_its_file_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("journal.jsonl");
    let stripe =
        Visitor::start_with(Options { journal: 2, journal_file: Some(file.clone()), ..Options::default() }).await;
    stripe.post("/v1/customers", &[("phone", "1")]).await;
    let customer = id(&stripe.the("/v1/customers").await["data"][0]);
    stripe.session(&customer, &[]).await;
    let entries = stripe.sandbox.journal();
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(entries[1].form["line_items"], json!([{"price": "price_sandbox_pro", "quantity": "1"}]));
    assert_eq!(
        (entries[1].method.as_str(), entries[1].path.as_str(), entries[1].status),
        ("POST", "/v1/checkout/sessions", 200)
    );
    let (_, shown) = stripe.get("/sandbox/journal?after=2&path=/v1/checkout").await;
    let shown: Vec<Entry> = serde_json::from_value(shown["entries"].clone()).expect("entries");
    assert_eq!(shown, entries[1..]);
    let lines = std::fs::read_to_string(file).expect("the file");
    let ids: Vec<u64> = lines.lines().map(|line| serde_json::from_str::<Entry>(line).expect("an entry").id).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(stripe.delete("/sandbox/journal").await.0, 204);
    assert!(stripe.sandbox.journal().is_empty());
}

#[tokio::test]
async fn the_documented_rules_are_understood() {
    let document = include_str!("../../docs/SANDBOX.md");
    let (_, document) = document.split_once("# The Stripe sandbox").expect("its part");
    let rules = document.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("rules");
    let rules: Value = serde_json::from_str(rules).expect("JSON");
    let stripe = Visitor::start().await;
    assert_eq!(stripe.control("/sandbox/script", &rules).await.0, 204);
    let waiting = stripe.get("/sandbox/script").await.1["rules"].as_array().map(Vec::len);
    assert_eq!(waiting, rules.as_array().map(Vec::len));
}
