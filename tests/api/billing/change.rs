//! Cancelling, going on after all, the portal, and coming back from checkout.

use std::time::Duration;

use gemini_backend::sandbox::stripe::{Action, Fault, Rule};
use serde_json::json;

use crate::harness::TestApp;
use crate::harness::shop::DAY;

#[tokio::test]
async fn a_cancelled_subscription_lasts_to_its_periods_end() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let cancelled = ada.post("/subscription/cancel/", json!({})).await.expect(200).json();
    assert_eq!((&cancelled["plan"], &cancelled["cancel_at_period_end"]), (&json!("pro"), &json!(true)));
    assert_eq!(cancelled["current_period_end"], "2026-12-21T10:00:00.000Z");
    ada.post("/subscription/cancel", json!({})).await.expect(200);
    let resumed = ada.post("/subscription/resume", json!({})).await.expect(200).json();
    assert_eq!(resumed["cancel_at_period_end"], false);
    ada.post("/subscription/cancel", json!({})).await.expect(200);
    app.hear().await;
    let happened = ada.happened().await;
    let count = |what: &str| happened.iter().filter(|one| *one == what).count();
    assert_eq!((count("cancellation_set"), count("cancellation_withdrawn")), (2, 1), "{happened:?}");
    app.live(31 * DAY).await;
    let ada = ada.at(&app);
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    assert_eq!(ada.post("/subscription/resume", json!({})).await.expect(409).code(), "not_subscribed");
    assert_eq!(ada.buys().await.len(), ada.subscriptions().await[0].len(), "another one can be bought");
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn without_a_subscription_there_is_nothing_to_change() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    for path in ["/subscription/cancel", "/subscription/resume", "/subscription/portal"] {
        assert_eq!(ada.post(path, json!({})).await.expect(409).code(), "not_subscribed", "{path}");
    }
}

#[tokio::test]
async fn cancelling_holds_before_any_webhook_and_not_at_all_while_stripe_is_away() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    app.block_webhooks();
    app.shop().script(Rule::on("POST", &format!("/v1/subscriptions/{sub}")).times(3).refuse(Fault::of(500)));
    assert_eq!(ada.post("/subscription/cancel", json!({})).await.expect(503).code(), "billing_unavailable");
    assert_eq!(ada.standing().await["cancel_at_period_end"], false);
    ada.post("/subscription/cancel", json!({})).await.expect(200);
    assert_eq!(ada.standing().await["cancel_at_period_end"], true);
    assert_eq!(app.shop().subscription(&sub).expect("it is there")["cancel_at_period_end"], true);
}

#[tokio::test]
async fn an_end_that_was_set_on_a_day_of_its_own_is_taken_back_too() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    // As Stripe's portal writes it for accounts with flexible billing.
    let end = "1797847200"; // 2026-12-21T10:00:00Z
    app.stripe("POST", &format!("subscriptions/{sub}"), &[("cancel_at", end)]).await;
    app.hear().await;
    assert_eq!(ada.standing().await["cancel_at_period_end"], true);
    let resumed = ada.post("/subscription/resume", json!({})).await.expect(200).json();
    assert_eq!(resumed["cancel_at_period_end"], false);
    assert_eq!(app.shop().subscription(&sub).expect("it is there")["cancel_at"], json!(null));
}

#[tokio::test]
async fn what_stripe_does_not_let_be_changed_is_not_said_to_be() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    let managed = Fault::of(400).with_message("The subscription is managed by the subscription schedule");
    app.shop().script(Rule::on("POST", &format!("/v1/subscriptions/{sub}")).refuse(managed));
    assert_eq!(ada.post("/subscription/cancel", json!({})).await.expect(409).code(), "change_refused");
    assert_eq!(ada.standing().await["cancel_at_period_end"], false);
}

#[tokio::test]
async fn the_portal_leads_to_stripe_and_back() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let portal = ada.post("/subscription/portal", json!({"return_url": "http://localhost:3000/account"})).await;
    let url = portal.expect(200).json()["url"].as_str().expect("an address").to_owned();
    assert!(url.starts_with(&app.shop().base_url()), "{url}");
    let page = reqwest::get(&url).await.expect("the page answers").text().await.expect("a page");
    assert!(page.contains("http://localhost:3000/account"), "{page}");
}

#[tokio::test]
async fn coming_back_does_what_the_webhook_does_in_both_orders_once() {
    for return_first in [true, false] {
        let app = TestApp::selling().await;
        let ada = app.sign_up().await;
        app.block_webhooks();
        let session = ada.pays().await;
        let events = app.shop().events();
        let come_back = async || {
            let back = app.get(&format!("/billing/return?session_id={session}")).send().await.expect(200);
            assert_eq!(back.json(), json!({"session_id": session, "status": "complete"}));
        };
        if return_first {
            come_back().await;
            assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
        }
        for event in &events {
            app.webhook(event).await.expect(200);
        }
        app.settle().await;
        come_back().await;
        assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
        let mut happened = ada.happened().await;
        happened.sort_unstable();
        assert_eq!(happened, ["plan_changed", "subscription_started"], "once, return first: {return_first}");
    }
}

#[tokio::test]
async fn a_browser_that_comes_back_gets_a_page() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let session = ada.opens_checkout().await;
    let page = async |query: &str| {
        let call =
            app.get(&format!("/billing/return{query}")).header("accept", "text/html,application/xhtml+xml;q=0.9");
        let answer = call.send().await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.text().to_owned()
    };
    let back = page("").await;
    assert!(back.contains("Welcome back") && !back.contains("bought"), "from the portal, perhaps: {back}");
    assert!(page(&format!("?session_id={session}")).await.contains("Not paid yet"));
    app.shop().checkout(&session, Action::Pay).expect("the browser leaves");
    assert!(page(&format!("?session_id={session}")).await.contains("Thank you"));
    assert_eq!(ada.stands().await.0, "pro");
}

#[tokio::test]
async fn a_session_that_is_not_ours_is_not_looked_for_at_stripe() {
    let app = TestApp::selling().await;
    let asked = app.shop().journal().len();
    for session in ["cs_test_foreign", "..%2Fcustomers", "%F0%9F%98%80"] {
        let back = app.get(&format!("/billing/return?session_id={session}")).send().await.expect(404);
        assert_eq!(back.code(), "checkout_not_found");
    }
    assert_eq!(app.shop().journal().len(), asked);
}

#[tokio::test]
async fn who_only_pays_and_never_comes_back_has_it_within_a_minute() {
    for age in [Duration::from_mins(40), Duration::from_hours(3), Duration::from_hours(23)] {
        let app = TestApp::selling().await;
        app.block_webhooks();
        let ada = app.sign_up().await;
        ada.opens_checkout().await;
        app.clock.advance(age);
        app.settle().await;
        let session = ada.at(&app).opens_checkout().await;
        app.shop().checkout(&session, Action::Pay).expect("the browser leaves");
        app.clock.advance(Duration::from_secs(59));
        app.settle().await;
        assert_eq!(ada.at(&app).stands().await, ("pro".to_owned(), "active".to_owned()), "{age:?}");
        let cause = &ada.at(&app).history().await[0]["cause"];
        assert_eq!((&cause["kind"], &cause["id"]), (&json!("checkout"), &json!(session)));
    }
}
