//! An account's end reaches Stripe, however often it has to be tried, and nothing leads back.

use std::time::Duration;

use gemini_backend::account;
use gemini_backend::sandbox::stripe::{Ended, Entry, Fault, Rule};

use crate::harness::TestApp;

#[tokio::test]
async fn erasing_an_account_ends_what_it_has_at_stripe() {
    let app = TestApp::selling().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let sub = ada.buys().await;
    let customer = ada.customer().await;
    let open = bob.opens_checkout().await;
    app.shop().script(Rule::on("DELETE", "/v1/customers").times(3).refuse(Fault::of(500)));
    account::erase(&app.app, ada.user).await.expect("it is erased");
    account::erase(&app.app, bob.user).await.expect("it is erased");
    app.app.live.ring_for_jobs();
    app.live(Duration::from_secs(5)).await;
    assert_eq!(app.shop().subscription(&sub).expect("it is there")["status"], "canceled");
    assert_eq!(app.stripe("GET", &format!("customers/{customer}"), &[]).await["deleted"], true);
    assert_eq!(app.stripe("GET", &format!("checkout/sessions/{open}"), &[]).await["status"], "expired");
    app.hear().await;
    for table in [
        "select count(*) from billing_accounts",
        "select count(*) from subscriptions",
        "select count(*) from checkouts",
        "select count(*) from billing_history",
        "select count(*) from stripe_events where customer is not null",
    ] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_customer_that_is_made_while_its_person_goes_is_closed_again() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    app.shop().script(Rule::on("POST", "/v1/customers").hold());
    let request = {
        let call = ada.call("POST", "/subscribe/pro");
        app.app.tasks.spawn(async move { call.send().await })
    };
    let held = |entries: &[Entry]| entries.iter().any(|entry| entry.end == Ended::Held);
    app.shop().wait_until(held).await;
    account::erase(&app.app, ada.user).await.expect("it is erased");
    app.shop().release();
    request.await.expect("an answer").expect(401);
    app.settle().await;
    let customers = app.stripe("GET", "customers", &[]).await;
    assert_eq!(customers["data"], serde_json::json!([]), "nobody is left behind there");
}

#[tokio::test]
async fn events_that_change_nothing_keep_nothing_of_whom_they_are_about() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let named =
        "select count(*) from stripe_events where outcome = 'ignored' and (customer is not null or object is not null)";
    assert_eq!(app.count(named).await, 0);
    assert!(app.count("select count(*) from stripe_events where outcome = 'ignored'").await > 0);
}
