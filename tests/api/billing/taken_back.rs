//! Refunds and disputes: always written down; what follows is the settings' to say.

use std::time::Duration;

use gemini_backend::billing;
use gemini_backend::config::Consequence;
use gemini_backend::sandbox::stripe::{Ended, Rule};
use serde_json::{Value, json};

use crate::harness::shop::DAY;
use crate::harness::{Person, TestApp, until};

/// The charge that paid for a person's subscription.
async fn charge(person: &Person<'_>) -> String {
    let customer = person.customer().await;
    let charges = person.app.stripe("GET", &format!("charges?customer={customer}"), &[]).await;
    charges["data"][0]["id"].as_str().expect("a charge").to_owned()
}

async fn line(person: &Person<'_>, what: &str) -> Vec<Value> {
    person.history().await.into_iter().filter(|line| line["what"] == what).collect()
}

#[tokio::test]
async fn a_whole_refund_ends_the_subscription_it_paid_for() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = charge(&ada).await;
    app.stripe("POST", "refunds", &[("charge", &charge)]).await;
    app.hear().await;
    app.hear().await;
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    let refunded = line(&ada, "refunded").await;
    assert_eq!(refunded.len(), 1);
    assert_eq!((&refunded[0]["amount"], &refunded[0]["currency"]), (&json!(49900), &json!("inr")));
    assert_eq!(refunded[0]["cause"]["kind"], "event");
    let ended = line(&ada, "subscription_ended").await;
    assert_eq!(ended.len(), 1, "{:#?}", ada.history().await);
}

#[tokio::test]
async fn a_refund_that_is_told_before_the_purchase_ends_it_all_the_same() {
    let app = TestApp::selling().await;
    app.block_webhooks();
    let ada = app.sign_up().await;
    ada.pays().await;
    let charge = charge(&ada).await;
    app.stripe("POST", "refunds", &[("charge", &charge)]).await;
    let (refund, others): (Vec<_>, Vec<_>) =
        app.shop().events().into_iter().partition(|event| event["type"] == "charge.refunded");
    for event in refund.iter().chain(&others) {
        app.webhook(event).await.expect(200);
        app.settle().await;
    }
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    assert_eq!(line(&ada, "refunded").await.len(), 1);
}

#[tokio::test]
async fn a_refund_that_was_known_before_its_subscription_is_heeded_when_it_is_told_again() {
    let app = TestApp::selling_with(|settings| settings.stripe.on_refund = Consequence::Keep).await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = charge(&ada).await;
    app.stripe("POST", "refunds", &[("charge", &charge)]).await;
    app.hear().await;
    assert_eq!(ada.stands().await.0, "pro", "kept");
    app.stop().await;
    let stricter = app.reset(|settings| settings.stripe.on_refund = Consequence::Cancel).await;
    stricter.work();
    let mut events = app.shop().events().into_iter();
    let refund = events.rfind(|event| event["type"] == "charge.refunded").expect("an event");
    let id = refund["id"].as_str().expect("an id");
    assert!(gemini_backend::billing::replay(&stricter.app, id).await.expect("the database is there"));
    stricter.app.live.ring_for_jobs();
    stricter.settle().await;
    assert_eq!(ada.at(&stricter).stands().await, ("basic".to_owned(), "canceled".to_owned()));
    assert_eq!(line(&ada.at(&stricter), "refunded").await.len(), 1, "said once");
}

#[tokio::test]
async fn a_part_of_it_is_written_down_and_ends_nothing() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = charge(&ada).await;
    for amount in ["10000", "5000"] {
        app.stripe("POST", "refunds", &[("charge", &charge), ("amount", amount)]).await;
        app.live(Duration::from_secs(1)).await;
    }
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
    let amounts: Vec<_> = line(&ada, "refunded").await.iter().map(|line| line["amount"].clone()).collect();
    assert_eq!(amounts, [json!(10000), json!(5000)]);
}

#[tokio::test]
async fn settings_may_keep_what_was_taken_back() {
    let app = TestApp::selling_with(|settings| {
        settings.stripe.on_refund = Consequence::Keep;
        settings.stripe.on_dispute = Consequence::Keep;
    })
    .await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = charge(&ada).await;
    assert!(app.shop().dispute(&charge));
    app.hear().await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
    assert_eq!((line(&ada, "disputed").await.len(), line(&ada, "refunded").await.len()), (1, 0));
}

#[tokio::test]
async fn a_dispute_ends_the_subscription_once() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = charge(&ada).await;
    assert!(app.shop().dispute(&charge));
    app.hear().await;
    app.hear().await;
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    for event in app.shop().events() {
        app.webhook(&event).await.expect(200);
    }
    app.hear().await;
    let disputed = line(&ada, "disputed").await;
    assert_eq!(disputed.len(), 1);
    assert_eq!(disputed[0]["amount"], 49900);
}

#[tokio::test]
async fn a_refund_that_comes_back_is_written_down() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = charge(&ada).await;
    let refund = async |amount: &str| {
        let made = app.stripe("POST", "refunds", &[("charge", &charge), ("amount", amount)]).await;
        made["id"].as_str().expect("an id").to_owned()
    };
    refund("5000").await;
    let lost = refund("10000").await;
    app.hear().await;
    assert!(app.shop().fail_refund(&lost));
    app.hear().await;
    let failed = line(&ada, "refund_failed").await;
    assert_eq!(failed.len(), 1, "{:#?}", ada.history().await);
    assert_eq!((&failed[0]["amount"], &failed[0]["currency"]), (&json!(10_000), &json!("inr")));
    assert_eq!(app.count("select refunded from charges_taken_back").await, 5_000);
    for event in app.shop().events() {
        app.webhook(&event).await.expect(200);
    }
    app.hear().await;
    assert_eq!(line(&ada, "refund_failed").await.len(), 1, "said once");
    refund("10000").await;
    app.hear().await;
    let given: i64 = line(&ada, "refunded").await.iter().filter_map(|line| line["amount"].as_i64()).sum();
    assert_eq!((given, app.count("select refunded from charges_taken_back").await), (25_000, 15_000));
}

#[tokio::test]
async fn a_refund_that_comes_back_while_nobody_listens_is_found() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    billing::sync(&app.app, false).await.expect("Stripe is there");
    app.block_webhooks();
    app.stripe("POST", "refunds", &[("charge", &charge(&ada).await)]).await;
    billing::sync(&app.app, false).await.expect("Stripe is there");
    app.settle().await;
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    let refund = app.refunds().await[0]["id"].as_str().expect("an id").to_owned();
    assert!(app.shop().fail_refund(&refund));
    billing::sync(&app.app, false).await.expect("Stripe is there");
    app.settle().await;
    let failed = line(&ada, "refund_failed").await;
    assert_eq!((failed.len(), &failed[0]["amount"]), (1, &json!(49_900)));
    assert_eq!(ada.stands().await.0, "basic", "what has ended stays so");
}

#[tokio::test]
async fn an_old_answer_about_a_payment_is_no_refund_that_failed() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let charge = charge(&ada).await;
    // This answer knows of the first refund, and comes when both were written.
    app.shop().script(Rule::on("GET", "/v1/charges/").hold());
    app.stripe("POST", "refunds", &[("charge", &charge), ("amount", "10000")]).await;
    app.shop().wait_until(|entries| entries.iter().any(|entry| entry.end == Ended::Held)).await;
    app.stripe("POST", "refunds", &[("charge", &charge), ("amount", "5000")]).await;
    until("the second is written", async || (!line(&ada, "refunded").await.is_empty()).then_some(())).await;
    app.shop().release();
    app.hear().await;
    let amounts: Vec<_> = line(&ada, "refunded").await.iter().map(|line| line["amount"].clone()).collect();
    assert_eq!(amounts, [json!(15_000)]);
    assert_eq!(line(&ada, "refund_failed").await, Vec::<Value>::new());
    assert_eq!(app.count("select refunded from charges_taken_back").await, 15_000);
}

#[tokio::test]
async fn the_refund_of_an_older_payment_ends_nothing() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let first = charge(&ada).await;
    app.live(31 * DAY).await;
    let ada = ada.at(&app);
    assert_eq!(ada.stands().await.1, "active");
    app.stripe("POST", "refunds", &[("charge", &first)]).await;
    app.hear().await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
    assert_eq!(line(&ada, "refunded").await.len(), 1);
}
