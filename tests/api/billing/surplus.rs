//! A subscription too many: ended and given back by what Stripe says now, once, whatever breaks in between.

use std::time::Duration;

use gemini_backend::account;
use gemini_backend::sandbox::stripe::{Fault, PRICE, Rule, Status};
use serde_json::{Value, json};

use crate::harness::shop::DAY;
use crate::harness::{Person, TestApp};

const SOON: Duration = Duration::from_secs(20);

/// The next three calls are refused: those are one try of the job's.
fn one_try_fails(method: &str, path: &str) -> Rule {
    Rule::on(method, path).times(3).refuse(Fault::of(503))
}

fn status(app: &TestApp, sub: &str) -> Value {
    app.shop().subscription(sub).expect("it is there")["status"].clone()
}

/// Somebody with two subscriptions, the second of which could not be ended at the first try: it comes after the one to keep.
async fn subscribed_twice(app: &TestApp) -> (Person<'_>, String, String) {
    let ada = app.sign_up().await;
    let kept = ada.buys().await;
    app.clock.advance(Duration::from_secs(1));
    app.shop().script(one_try_fails("DELETE", "/v1/subscriptions"));
    let other = ada.buys_beside(PRICE).await;
    app.hear().await;
    (ada, kept, other)
}

#[tokio::test]
async fn the_one_that_was_to_be_kept_may_have_ended_before_the_other_is() {
    let app = TestApp::selling().await;
    let (ada, kept, other) = subscribed_twice(&app).await;
    assert_eq!(status(&app, &other), "active", "the first try came to nothing");
    app.block_webhooks();
    assert!(app.shop().set_status(&kept, Status::Canceled));
    app.live(SOON).await;
    assert_eq!((status(&app, &kept), status(&app, &other)), (json!("canceled"), json!("active")));
    assert_eq!(app.refunds().await, Vec::<Value>::new(), "it is all that is left");
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
    assert_eq!(ada.lines("duplicate_ended").await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_payment_of_a_renewal_that_nobody_told_of_is_what_is_given_back() {
    let app = TestApp::selling().await;
    let (ada, _, other) = subscribed_twice(&app).await;
    app.block_webhooks();
    // Both are renewed before the job has its next try.
    app.live(31 * DAY).await;
    let ada = ada.at(&app);
    assert_eq!(status(&app, &other), "canceled");
    let refunds = app.refunds().await;
    assert_eq!(refunds.len(), 1);
    let charge = refunds[0]["charge"].as_str().expect("a charge");
    let charge = app.stripe("GET", &format!("charges/{charge}?expand[]=payment_intent"), &[]).await;
    let age = app.shop().now() - charge["created"].as_i64().expect("a time");
    assert!(age < 2 * 24 * 60 * 60, "the last one: {charge}");
    let invoices = app.stripe("GET", &format!("invoices?subscription={other}"), &[]).await;
    let payments = format!("invoice_payments?invoice={}", invoices["data"][0]["id"].as_str().expect("an id"));
    let payment = app.stripe("GET", &payments, &[]).await["data"][0]["payment"]["payment_intent"].clone();
    assert_eq!(refunds[0]["payment_intent"], payment, "of the one that was ended");
    assert_eq!(ada.lines("duplicate_ended").await.len(), 1);
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_is_made_once_and_said_with_its_amount() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.clock.advance(Duration::from_secs(1));
    // Carried out, and the connection breaks; both repetitions get no answer either.
    app.shop().script(Rule::on("POST", "/v1/refunds").cut().after());
    app.shop().script(Rule::on("POST", "/v1/refunds").cut().times(2));
    let other = ada.buys_beside(PRICE).await;
    app.hear().await;
    assert_eq!((status(&app, &other), app.refunds().await.len()), (json!("canceled"), 1));
    assert_eq!(ada.lines("duplicate_ended").await.len(), 0, "nobody knows yet");
    app.live(SOON).await;
    assert_eq!(app.refunds().await.len(), 1);
    let said = ada.lines("duplicate_ended").await;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!((&said[0]["amount"], &said[0]["currency"]), (&json!(49_900), &json!("inr")));
    assert_eq!(ada.lines("subscription_ended").await.len(), 1);
}

#[tokio::test]
async fn a_refund_whose_failure_stripe_keeps_under_its_key_is_made_all_the_same() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.clock.advance(Duration::from_secs(1));
    // It was carried out, and every repetition under this key is told that it was not.
    app.shop().script(Rule { remember: true, ..Rule::on("POST", "/v1/refunds").refuse(Fault::of(500)).after() });
    ada.buys_beside(PRICE).await;
    app.hear().await;
    app.live(SOON).await;
    assert_eq!((app.refunds().await.len(), ada.lines("duplicate_ended").await.len()), (1, 1));
    assert_eq!(ada.lines("refunded").await[0]["amount"], 49_900);
}

#[tokio::test]
async fn what_was_given_back_by_hand_is_not_given_back_again() {
    let app = TestApp::selling().await;
    let (ada, _, other) = subscribed_twice(&app).await;
    app.block_webhooks();
    app.stripe("POST", "refunds", &[("charge", &ada.charges().await[0])]).await;
    app.live(SOON).await;
    assert_eq!((status(&app, &other), app.refunds().await.len()), (json!("canceled"), 1));
    let said = ada.lines("duplicate_ended").await;
    assert_eq!((said.len(), said[0].get("amount")), (1, None), "{said:#?}");
    assert_eq!(app.count("select count(*) from jobs where kind = 'end_subscription' and state <> 'done'").await, 0);
}

#[tokio::test]
async fn what_is_owed_to_somebody_is_given_back_when_they_have_gone() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.clock.advance(Duration::from_secs(1));
    app.shop().script(Rule::on("POST", "/v1/refunds").always().refuse(Fault::of(503)));
    let other = ada.buys_beside(PRICE).await;
    app.hear().await;
    let customer = ada.customer().await;
    assert_eq!((status(&app, &other), app.refunds().await.len()), (json!("canceled"), 0), "ended, not given back");
    account::erase(&app.app, ada.user).await.expect("it is erased");
    app.app.live.ring_for_jobs();
    app.settle().await;
    assert_eq!(app.refunds().await.len(), 0);
    app.shop().clear_script();
    app.live(SOON).await;
    let refunds = app.refunds().await;
    assert_eq!((refunds.len(), &refunds[0]["amount"]), (1, &json!(49_900)));
    assert_eq!(app.stripe("GET", &format!("customers/{customer}"), &[]).await["deleted"], true);
    assert_eq!(app.count("select count(*) from jobs where payload like '%sub_%'").await, 0, "nothing names it");
}

#[tokio::test]
async fn nobody_who_has_gone_is_charged_while_a_refund_is_refused() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.clock.advance(Duration::from_secs(1));
    app.block_webhooks();
    ada.buys_beside(PRICE).await;
    let customer = ada.customer().await;
    let charges = async || {
        let list = app.stripe("GET", &format!("charges?customer={customer}"), &[]).await;
        list["data"].as_array().expect("a list").len()
    };
    app.shop().script(Rule::on("POST", "/v1/refunds").always().refuse(Fault::of(403)));
    account::erase(&app.app, ada.user).await.expect("it is erased");
    app.app.live.ring_for_jobs();
    app.settle().await;
    assert_eq!((charges().await, app.refunds().await.len()), (2, 0));
    app.clock.advance(Duration::from_hours(32 * 24));
    app.live(SOON).await;
    assert_eq!((charges().await, app.refunds().await.len()), (2, 0), "nothing renews");
    app.shop().clear_script();
    app.live(Duration::from_mins(15)).await;
    assert_eq!(app.stripe("GET", &format!("customers/{customer}"), &[]).await["deleted"], true);
}

#[tokio::test]
async fn whoever_goes_before_a_second_subscription_is_told_has_it_given_back() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.clock.advance(Duration::from_secs(1));
    app.block_webhooks();
    ada.buys_beside(PRICE).await;
    let last = ada.charges().await.remove(0);
    // The customer's end has to be tried twice; the refund is one.
    app.shop().script(one_try_fails("DELETE", "/v1/customers"));
    account::erase(&app.app, ada.user).await.expect("it is erased");
    app.app.live.ring_for_jobs();
    app.settle().await;
    app.live(SOON).await;
    let refunds = app.refunds().await;
    assert_eq!((refunds.len(), &refunds[0]["charge"]), (1, &json!(last)));
}
