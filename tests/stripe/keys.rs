//! Idempotency keys.

use futures_util::future::join_all;
use gemini_backend::sandbox::stripe::{Card, Ended, Fault, Rule};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{DAY, Visitor};

async fn make(stripe: &Visitor, key: &str, phone: &str) -> (u16, Value, bool) {
    let answer = stripe.send(Method::POST, "/v1/customers", &[("phone", phone)], &[("idempotency-key", key)]).await;
    let is_replayed = answer.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
    (answer.status().as_u16(), answer.json().await.expect("JSON"), is_replayed)
}

#[tokio::test]
async fn the_same_request_again_has_the_same_answer_for_a_day() {
    let stripe = Visitor::start().await;
    let (_, first, is_replayed) = make(&stripe, "k1", "1").await;
    assert!(!is_replayed);
    let (status, again, is_replayed) = make(&stripe, "k1", "1").await;
    assert_eq!((status, &again, is_replayed), (200, &first, true));
    let (status, body, _) = make(&stripe, "k1", "2").await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("idempotency_error")));
    assert_eq!(stripe.told(0), ["customer.created"]);
    assert_eq!(stripe.sandbox.events()[0]["request"]["idempotency_key"], "k1");
    let replays: Vec<bool> = stripe.sandbox.journal().iter().map(|entry| entry.is_replayed).collect();
    assert_eq!(replays, [false, true, false]);
    stripe.advance(DAY);
    let (status, later, is_replayed) = make(&stripe, "k1", "2").await;
    assert!(status == 200 && !is_replayed && later["id"] != first["id"], "{later}");
}

#[tokio::test]
async fn twenty_at_once_make_one() {
    let stripe = Visitor::start().await;
    let answers = join_all((0..20).map(|_| make(&stripe, "same", "1"))).await;
    assert_eq!(stripe.told(0), ["customer.created"]);
    assert!(answers.iter().all(|(status, _, _)| *status == 200 || *status == 409), "{answers:?}");
}

#[tokio::test]
async fn a_key_in_use_is_refused() {
    let stripe = Visitor::start().await;
    stripe.sandbox.script(Rule::on("POST", "/v1/customers").wait());
    let second = async {
        stripe.sandbox.wait_until(|entries| entries.iter().any(|entry| entry.end == Ended::Held)).await;
        let refused = make(&stripe, "k", "1").await;
        stripe.sandbox.release();
        refused
    };
    let (first, refused) = tokio::join!(make(&stripe, "k", "1"), second);
    assert_eq!((refused.0, &refused.1["error"]["code"]), (409, &json!("idempotency_key_in_use")));
    assert_eq!(first.0, 200);
    assert_eq!(make(&stripe, "k", "1").await.1["id"], first.1["id"]);
}

#[tokio::test]
async fn what_failed_in_execution_is_kept_and_what_failed_before_is_not() {
    let stripe = Visitor::start().await;
    let (customer, _) = stripe.subscriber().await;
    assert!(stripe.sandbox.set_card(&customer, Card::Declining));
    let form = [
        ("customer", customer.as_str()),
        ("items[0][price]", "price_sandbox_pro"),
        ("payment_behavior", "error_if_incomplete"),
    ];
    let subscribe = |key: &'static str| {
        let stripe = &stripe;
        async move {
            stripe.send(Method::POST, "/v1/subscriptions", &form, &[("idempotency-key", key)]).await.status().as_u16()
        }
    };
    assert_eq!(subscribe("declined").await, 402);
    assert!(stripe.sandbox.set_card(&customer, Card::Good));
    assert_eq!((subscribe("declined").await, subscribe("another").await), (402, 200));
    // A wrong parameter never began to be executed; nor did what a limit refused.
    let wrong = stripe.send(Method::POST, "/v1/customers", &[("phine", "1")], &[("idempotency-key", "typo")]).await;
    assert_eq!((wrong.status().as_u16(), make(&stripe, "typo", "1").await.0), (400, 200));
    stripe.sandbox.script(Rule::on("POST", "/v1/customers").refuse(Fault::of(429)));
    assert_eq!((make(&stripe, "limited", "1").await.0, make(&stripe, "limited", "1").await.0), (429, 200));
}

#[tokio::test]
async fn a_broken_answer_is_remembered_when_it_was_stripes_own() {
    let stripe = Visitor::start().await;
    let gateways = Rule::on("POST", "/v1/customers").refuse(Fault::of(502)).after();
    stripe.sandbox.script(gateways);
    let (lost, found) = (make(&stripe, "gateway", "1").await, make(&stripe, "gateway", "1").await);
    assert_eq!((lost.0, found.0, found.2), (502, 200, true));
    stripe.sandbox.script(Rule { remember: true, ..Rule::on("POST", "/v1/customers").refuse(Fault::of(500)).after() });
    let (broken, again) = (make(&stripe, "own", "1").await, make(&stripe, "own", "1").await);
    assert_eq!((broken.0, again.0, again.2), (500, 500, true));
    assert_eq!(stripe.told(0), ["customer.created"; 2]);
}
