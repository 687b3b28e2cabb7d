//! Webhooks: signed, in order, tried again, and all that can go wrong with them.

use gemini_backend::sandbox::stripe::{Mode, Options, Webhooks};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::receiver::{Hook, Receiver};
use crate::{DAY, NOON, Visitor, id};

const SECRET: &str = "whsec_test";

async fn start() -> (Visitor, Receiver) {
    let receiver = Receiver::start().await;
    let stripe = Visitor::start_with(Options::default().with_webhook(&receiver.url, SECRET)).await;
    (stripe, receiver)
}

/// As a receiver checks it.
fn is_signed(hook: &Hook, secret: &str) -> bool {
    let (time, signature) = hook.signature.split_once(",v1=").expect("a signature");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(time.trim_start_matches("t=").as_bytes());
    mac.update(b".");
    mac.update(&hook.body);
    mac.verify_slice(&hex::decode(signature).expect("hex")).is_ok()
}

#[tokio::test]
async fn every_change_is_sent_signed_and_in_order() {
    let (stripe, receiver) = start().await;
    stripe.subscriber().await;
    stripe.sandbox.settled().await;
    assert_eq!(receiver.kinds(), stripe.told(0));
    let hooks = receiver.hooks();
    assert!(hooks.iter().all(|hook| is_signed(hook, SECRET) && !is_signed(hook, "whsec_other") && hook.time() == NOON));
    let event = hooks[0].event();
    assert_eq!(
        (&event["object"], &event["api_version"], &event["livemode"]),
        (&json!("event"), &json!("2026-10-28.endive"), &json!(false))
    );
    assert_eq!(event["pending_webhooks"], 1);
    assert_eq!(stripe.the(&format!("/v1/events/{}", id(&event))).await["pending_webhooks"], 0);
    let body = &hooks[0].body;
    assert_eq!(stripe.sandbox.sign(body, SECRET, NOON), hooks[0].signature);
}

#[tokio::test]
async fn one_that_is_refused_is_tried_again_before_the_next() {
    let (stripe, receiver) = start().await;
    stripe.sandbox.webhooks(Webhooks { tries: 3, retry_ms: 1, ..Webhooks::default() });
    receiver.refuse(&[500, 503, 200, 500, 500, 500]);
    for _ in 0..3 {
        stripe.customer().await;
    }
    stripe.sandbox.settled().await;
    let attempts: Vec<_> = stripe.sandbox.deliveries().iter().map(|it| (it.number, it.status)).collect();
    let expected = [(1, 500), (2, 503), (3, 200), (1, 500), (2, 500), (3, 500), (1, 200)];
    assert_eq!(attempts, expected.map(|(number, status)| (number, Some(status))));
    let pending: Vec<_> = stripe.sandbox.events().iter().map(|event| event["pending_webhooks"].as_u64()).collect();
    assert_eq!(pending, [Some(0), Some(1), Some(0)]);
    assert_eq!(stripe.the("/v1/events?delivery_success=false").await["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn they_come_twice_shuffled_stale_wrongly_signed_or_live_on_demand() {
    let (stripe, receiver) = start().await;
    let set = |ways: serde_json::Value| {
        let stripe = &stripe;
        async move { assert_eq!(stripe.control("/sandbox/webhooks", &ways).await.0, 204) }
    };
    set(json!({"copies": 2})).await;
    stripe.customer().await;
    stripe.sandbox.settled().await;
    let hooks = receiver.hooks();
    assert_eq!((hooks.len(), hooks[0].event()["id"].clone()), (2, hooks[1].event()["id"].clone()));
    set(json!({"mode": "hold", "shuffle": 3})).await;
    let made = [stripe.customer().await, stripe.customer().await, stripe.customer().await];
    set(json!({"shuffle": 3, "signature_age": 301})).await;
    stripe.sandbox.settled().await;
    let hooks = receiver.hooks().split_off(2);
    let order: Vec<_> = hooks.iter().map(|hook| id(&hook.event()["data"]["object"])).collect();
    assert_eq!(order, made.iter().rev().cloned().collect::<Vec<_>>());
    assert!(hooks.iter().all(|hook| hook.time() == NOON - 301 && is_signed(hook, SECRET)));
    set(json!({"wrong_signature": true, "livemode": true, "delay_ms": 1})).await;
    stripe.customer().await;
    stripe.sandbox.settled().await;
    let last = receiver.hooks().pop().expect("a hook");
    assert!(!is_signed(&last, SECRET) && last.event()["livemode"] == true);
    assert_eq!(stripe.control("/sandbox/webhooks", &json!({"mode": "dance"})).await.0, 422);
}

#[tokio::test]
async fn held_ones_are_delivered_by_hand_in_any_order() {
    let (stripe, receiver) = start().await;
    stripe.sandbox.webhooks(Webhooks { mode: Mode::Hold, ..Webhooks::default() });
    stripe.customer().await;
    stripe.customer().await;
    let events: Vec<String> = stripe.sandbox.events().iter().map(id).collect();
    assert!(receiver.hooks().is_empty());
    assert_eq!(stripe.sandbox.deliver(&events[1]).await, [Some(200)]);
    let (status, body) = stripe.control(&format!("/sandbox/events/{}/deliver", events[0]), &json!({})).await;
    assert_eq!((status, body), (200, json!({"statuses": [200]})));
    let heard: Vec<_> = receiver.hooks().iter().map(|hook| id(&hook.event())).collect();
    assert_eq!(heard, [events[1].clone(), events[0].clone()]);
    assert_eq!(stripe.control("/sandbox/events/evt_none/deliver", &json!({})).await.0, 404);
    stripe.sandbox.webhooks(Webhooks::default());
    stripe.sandbox.settled().await;
    assert_eq!(receiver.hooks().len(), 4, "and once more by themselves");
}

#[tokio::test]
async fn dropped_ones_are_only_found_in_the_list() {
    let (stripe, receiver) = start().await;
    stripe.sandbox.webhooks(Webhooks { mode: Mode::Drop, ..Webhooks::default() });
    stripe.customer().await;
    stripe.sandbox.webhooks(Webhooks::default());
    stripe.customer().await;
    stripe.sandbox.settled().await;
    assert_eq!((receiver.hooks().len(), stripe.sandbox.events().len()), (1, 2));
    assert_eq!(stripe.the("/v1/events").await["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn those_of_a_long_time_are_all_sent_and_signed_as_of_now() {
    let (stripe, receiver) = start().await;
    stripe.subscriber().await;
    stripe.advance(100 * DAY);
    stripe.sandbox.settled().await;
    let renewals = receiver.kinds().iter().filter(|kind| *kind == "invoice.paid").count();
    assert_eq!((renewals, stripe.sandbox.events().len() < receiver.hooks().len()), (4, true));
}

#[tokio::test]
async fn an_endpoint_is_made_by_the_api_for_its_own_events_and_version() {
    let (stripe, receiver) = start().await;
    let own = Receiver::start().await;
    let form = [
        ("url", own.url.as_str()),
        ("enabled_events[]", "customer.subscription.*"),
        ("enabled_events[]", "invoice.paid"),
        ("api_version", "2024-06-20"),
    ];
    let (status, endpoint) = stripe.post("/v1/webhook_endpoints", &form).await;
    assert_eq!(status, 200, "{endpoint}");
    let path = format!("/v1/webhook_endpoints/{}", id(&endpoint));
    assert!(stripe.the(&path).await.get("secret").is_none());
    stripe.subscriber().await;
    stripe.sandbox.settled().await;
    let hooks = own.hooks();
    assert!(hooks.iter().all(|hook| is_signed(hook, endpoint["secret"].as_str().expect("a secret"))));
    assert!(
        hooks.iter().all(|hook| hook.kind().starts_with("customer.subscription.") || hook.kind() == "invoice.paid")
    );
    let object =
        |kind: &str| hooks.iter().find(|hook| hook.kind() == kind).expect("a hook").event()["data"]["object"].clone();
    assert!(object("customer.subscription.created")["current_period_end"].is_i64());
    assert!(object("invoice.paid")["subscription"].as_str().is_some_and(|id| id.starts_with("sub_")));
    assert_eq!(hooks[0].event()["api_version"], "2024-06-20");
    assert!(receiver.hooks()[1].event()["data"]["object"].get("current_period_end").is_none());
    let heard = own.hooks().len();
    assert_eq!(stripe.delete(&path).await.1["deleted"], true);
    stripe.subscriber().await;
    stripe.sandbox.settled().await;
    assert_eq!(own.hooks().len(), heard);
    let refused = [("url", "https://example.com"), ("enabled_events[]", "*")];
    assert_eq!(stripe.post("/v1/webhook_endpoints", &refused).await.0, 400);
}
