//! The webhook: believed only when it is signed, taken in once, and never believed about what is true.

use std::time::Duration;

use gemini_backend::sandbox::stripe::Webhooks;
use gemini_backend::{execute, transaction};
use serde_json::{Value, json};

use crate::erasure::traces;
use crate::harness::shop::event;
use crate::harness::{TestApp, WEBHOOK_SECRET};

fn about(customer: &str) -> Value {
    event(
        "evt_1",
        "customer.subscription.updated",
        json!({"id": "sub_1", "object": "subscription", "customer": customer}),
    )
}

#[tokio::test]
async fn what_is_not_signed_by_stripe_is_refused_and_leaves_no_trace() {
    let app = TestApp::selling().await;
    let body = about("cus_1").to_string();
    let now = app.clock.now().seconds();
    let sign = |secret: &str, at: i64| app.shop().sign(body.as_bytes(), secret, at);
    let good = sign(WEBHOOK_SECRET, now);
    for header in
        ["", "t=1,v1=00", &sign("whsec_other", now), &sign(WEBHOOK_SECRET, now - 301), &good[..good.len() - 2]]
    {
        let call =
            app.post("/webhook/stripe").header("stripe-signature", header).body("application/json", body.clone());
        assert_eq!(call.send().await.expect(400).code(), "signature_invalid", "{header}");
    }
    let twice = app.post("/webhook/stripe").header("stripe-signature", &good).header("stripe-signature", &good);
    assert_eq!(twice.body("application/json", body.clone()).send().await.expect(400).code(), "signature_invalid");
    let other =
        app.post("/webhook/stripe").header("stripe-signature", &good).body("application/json", format!("{body} "));
    assert_eq!(other.send().await.expect(400).code(), "signature_invalid");
    assert_eq!(app.count("select count(*) from stripe_events").await, 0);
    let call = app.post("/webhook/stripe/").header("stripe-signature", &sign(WEBHOOK_SECRET, now - 300));
    assert_eq!(call.body("application/json", body.clone()).send().await.expect(200).json(), json!({"received": true}));
    app.settle().await;
}

#[tokio::test]
async fn any_of_several_secrets_may_have_signed() {
    let app = TestApp::selling_with(|settings| {
        settings.stripe.webhook_secrets = vec!["whsec_new".into(), WEBHOOK_SECRET.into()];
    })
    .await;
    let body = about("cus_1").to_string();
    for secret in ["whsec_new", WEBHOOK_SECRET] {
        let header = app.shop().sign(body.as_bytes(), secret, app.clock.now().seconds());
        let call =
            app.post("/webhook/stripe").header("stripe-signature", &header).body("application/json", body.clone());
        call.send().await.expect(200);
    }
    app.settle().await;
}

#[tokio::test]
async fn a_body_is_taken_up_to_a_mebibyte_and_has_to_be_an_event() {
    let app = TestApp::selling().await;
    let filled = |bytes: usize| {
        let mut body = about("cus_1").to_string();
        body.insert_str(1, &format!("\"filler\":\"{}\",", "x".repeat(bytes)));
        body.into_bytes()
    };
    app.webhook_raw(filled(900_000)).await.expect(200);
    assert_eq!(app.webhook_raw(filled(1_048_576)).await.expect(413).code(), "body_too_large");
    assert_eq!(app.webhook_raw(b"{".to_vec()).await.expect(400).code(), "not_json");
    assert_eq!(app.webhook_raw(b"\xff".to_vec()).await.expect(400).code(), "not_json");
    for body in [json!({}), json!([]), json!({"id": "evt_2"}), json!({"id": 5, "type": "x", "created": 1})] {
        assert_eq!(app.webhook(&body).await.expect(422).code(), "invalid", "{body}");
    }
    app.settle().await;
}

#[tokio::test]
async fn words_that_no_database_takes_are_refused_or_passed_over() {
    let app = TestApp::selling().await;
    // Too long for an index, even compressed.
    let long: String = (0..300).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    for word in ["\0", "a\0b", &long] {
        for (id, kind) in [(word, "invoice.paid"), ("evt_1", word)] {
            let refused = app.webhook(&event(id, kind, json!({"id": "in_1", "customer": "cus_1"}))).await.expect(422);
            assert_eq!(refused.code(), "invalid");
        }
        let about = json!({"id": word, "customer": word, "charge": word});
        let mut odd = event(&format!("evt_{}", word.len()), "customer.subscription.updated", about);
        odd["api_version"] = json!(word);
        app.webhook(&odd).await.expect(200);
    }
    app.settle().await;
    assert_eq!(app.count("select count(*) from stripe_events where outcome = 'unknown_customer'").await, 3);
}

#[tokio::test]
async fn the_same_event_again_changes_nothing() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let before = (ada.history().await, app.count("select count(*) from jobs").await);
    let events = app.shop().events();
    for event in events.iter().chain(&events) {
        app.webhook(event).await.expect(200);
    }
    app.settle().await;
    assert_eq!((ada.history().await, app.count("select count(*) from jobs").await), before);
    let kept = i64::try_from(events.len()).expect("a small number");
    assert_eq!(app.count("select count(*) from stripe_events").await, kept);
}

#[tokio::test]
async fn many_copies_at_once_are_one_event() {
    let app = TestApp::selling().await;
    let body = about("cus_nobody");
    let answers = futures_util::future::join_all((0..30).map(|_| app.webhook(&body))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    app.settle().await;
    assert_eq!(app.count("select count(*) from stripe_events").await, 1);
    assert_eq!(app.count("select count(*) from jobs").await, 1);
}

#[tokio::test]
async fn the_other_mode_is_stored_and_not_applied() {
    let app = TestApp::selling().await;
    app.shop().webhooks(Webhooks { livemode: true, ..Webhooks::default() });
    let ada = app.sign_up().await;
    ada.pays().await;
    app.hear().await;
    assert_eq!(ada.stands().await, ("basic".to_owned(), "none".to_owned()));
    assert!(app.count("select count(*) from stripe_events where outcome = 'other_mode'").await > 0);
    assert_eq!(app.count("select count(*) from stripe_events where outcome <> 'other_mode'").await, 0);
}

#[tokio::test]
async fn a_kind_to_come_is_stored_and_ignored() {
    let app = TestApp::selling().await;
    app.webhook(&event("evt_1", "a.kind.to.come", json!({"id": "x_1", "customer": "cus_1"}))).await.expect(200);
    app.webhook(&event("evt_2", "customer.created", json!(null))).await.expect(200);
    app.settle().await;
    assert_eq!(app.count("select count(*) from stripe_events where outcome = 'ignored'").await, 2);
    assert_eq!(app.count("select count(*) from jobs").await, 0);
}

#[tokio::test]
async fn of_somebody_unknown_nothing_is_kept_but_that_something_came() {
    let app = TestApp::selling().await;
    app.webhook(&about("cus_nobody")).await.expect(200);
    app.settle().await;
    let stripped =
        "select count(*) from stripe_events where outcome = 'unknown_customer' and customer is null and object is null";
    assert_eq!(app.count(stripped).await, 1);
}

#[tokio::test]
async fn an_event_is_never_believed_about_what_is_true() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let customer = ada.customer().await;
    let lie = json!({"id": "sub_1", "object": "subscription", "customer": customer, "status": "canceled"});
    app.webhook(&event("evt_lie", "customer.subscription.deleted", lie)).await.expect(200);
    app.settle().await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn events_of_an_account_of_an_older_version_are_understood() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    app.block_webhooks();
    ada.pays().await;
    let customer = ada.customer().await;
    let older = json!({
        "id": "evt_old", "object": "event", "type": "invoice.paid", "created": 1_795_255_200, "livemode": false,
        "api_version": "2024-06-20",
        "data": {"object": {"id": "in_1", "object": "invoice", "customer": {"id": customer, "object": "customer"},
            "subscription": "sub_1"}},
    });
    app.webhook(&older).await.expect(200);
    app.settle().await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
    assert_eq!(app.count("select count(*) from stripe_events where api_version = '2024-06-20'").await, 1);
}

#[tokio::test]
async fn what_came_while_stripe_was_away_is_looked_into_when_it_is_back() {
    use gemini_backend::sandbox::stripe::{Fault, Rule};
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    app.shop().script(Rule::on("GET", "/v1/subscriptions?").always().refuse(Fault::of(500)));
    ada.pays().await;
    app.hear().await;
    assert_eq!(ada.stands().await.0, "basic");
    assert!(app.count("select count(*) from stripe_events where outcome = 'waiting'").await > 0);
    app.shop().clear_script();
    app.live(Duration::from_secs(5)).await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
    assert_eq!(app.count("select count(*) from stripe_events where outcome = 'waiting'").await, 0);
}

#[tokio::test]
async fn an_event_whose_job_cannot_be_stored_is_not_stored_either() {
    let app = TestApp::selling_idle(|_| {}).await;
    let rename = async |sql: &'static str| {
        let done = transaction!(app.app.store, |tx| { execute!(tx, sql) });
        assert!(done.map_err(|cause: gemini_backend::store::Error| cause.to_string()).is_ok(), "{sql}");
    };
    rename("alter table jobs rename to jobs_away").await;
    // Stripe sends it again until it gets its 200.
    let body = about("cus_nobody").to_string();
    let signature = app.shop().sign(body.as_bytes(), WEBHOOK_SECRET, app.clock.now().seconds());
    let url = format!("http://{}/webhook/stripe", app.address);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.post(url).header("stripe-signature", signature).body(body).send().await.expect("an answer");
    assert!(answer.status().is_server_error(), "{}", answer.status());
    assert_eq!(app.count("select count(*) from stripe_events").await, 0);
    rename("alter table jobs_away rename to jobs").await;
    app.webhook(&about("cus_nobody")).await.expect(200);
    assert_eq!(app.count("select count(*) from stripe_events").await, 1);
    assert_eq!(app.count("select count(*) from jobs where kind = 'stripe_event'").await, 1);
    app.work();
    app.settle().await;
}

#[tokio::test]
async fn no_table_has_anything_of_a_card() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = ada.charges().await.remove(0);
    let card = json!({
        "number": "4000056655665556", "exp_month": 12, "exp_year": 2034, "cvc": "zygocvc", "fingerprint": "Xt5EWLLDS7FJjR1c",
        "brand": "zygovisa", "name": "Quixotry Zygomorphic",
    });
    let object = json!({
        "id": charge, "object": "charge", "customer": ada.customer().await, "amount": 49900, "amount_refunded": 49900,
        "payment_method_details": {"type": "card", "card": card}, "source": card,
        "billing_details": {"name": "Quixotry Zygomorphic", "address": {"postal_code": "zygo-560001"}},
    });
    for (at, kind) in ["charge.refunded", "invoice.paid", "payment_method.attached"].into_iter().enumerate() {
        app.webhook(&event(&format!("evt_card_{at}"), kind, object.clone())).await.expect(200);
    }
    app.hear().await;
    assert!(!traces(&app, &["evt_card_0".to_owned()]).await.is_empty(), "the event is there");
    let words =
        ["4000056655665556", "zygocvc", "Xt5EWLLDS7FJjR1c", "zygovisa", "Zygomorphic", "zygo-560001", "exp_month"];
    assert_eq!(traces(&app, &words.map(str::to_owned)).await, Vec::<String>::new());
}
