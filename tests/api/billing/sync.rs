//! What no webhook told is found all the same.

use std::time::Duration;

use gemini_backend::billing;
use gemini_backend::sandbox::stripe::{Card, Fault, Rule};
use gemini_backend::{execute, transaction};
use serde_json::json;

use crate::harness::TestApp;
use crate::harness::shop::DAY;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn with_webhooks_blocked_everything_shows_within_an_hour() {
    let app = TestApp::selling().await;
    app.block_webhooks();
    app.keep_syncing().await;
    let ada = app.sign_up().await;
    let session = ada.pays().await;
    app.get(&format!("/billing/return?session_id={session}")).send().await.expect(200);
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()), "bought");
    app.live(30 * DAY + 3 * HOUR).await;
    let ada = ada.at(&app);
    assert_eq!(ada.standing().await["current_period_end"], "2027-01-21T10:00:00.000Z", "renewed");
    app.shop().set_card(&ada.customer().await, Card::Declining);
    app.live(31 * DAY + 2 * HOUR).await;
    let ada = ada.at(&app);
    assert_eq!(ada.stands().await, ("pro".to_owned(), "past_due".to_owned()), "declined");
    app.shop().set_card(&ada.customer().await, Card::Good);
    app.live(5 * DAY).await;
    let ada = ada.at(&app);
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()), "paid after all");
    let sub = ada.subscriptions().await.remove(0);
    app.stripe("POST", &format!("subscriptions/{sub}"), &[("cancel_at_period_end", "true")]).await;
    app.live(HOUR).await;
    let ada = ada.at(&app);
    assert_eq!(ada.standing().await["cancel_at_period_end"], true, "cancelled at Stripe");
    let customer = ada.customer().await;
    let charges = app.stripe("GET", &format!("charges?customer={customer}&limit=1"), &[]).await;
    let charge = charges["data"][0]["id"].as_str().expect("a charge").to_owned();
    app.stripe("POST", "refunds", &[("charge", &charge)]).await;
    app.live(HOUR).await;
    let ada = ada.at(&app);
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()), "refunded");
    assert!(ada.happened().await.contains(&"refunded".to_owned()));
    for line in ada.history().await {
        assert!(
            ["event", "sync", "checkout", "end"].contains(&line["cause"]["kind"].as_str().expect("a word")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn after_forty_days_away_the_state_is_right_and_what_was_missed_is_told() {
    let app = TestApp::selling().await;
    let (ada, bob, eve) = (app.sign_up().await, app.sign_up().await, app.sign_up().await);
    for person in [&ada, &bob, &eve] {
        person.buys().await;
    }
    let first = billing::sync(&app.app, false).await.expect("Stripe is there");
    assert_eq!((first.subscriptions, first.differed), (3, 0));
    app.block_webhooks();
    // While nobody listens: Ada's is cancelled at once, Bob's is refunded whole, Eve's goes on.
    let sub = ada.subscriptions().await.remove(0);
    app.stripe("DELETE", &format!("subscriptions/{sub}"), &[]).await;
    let customer = bob.customer().await;
    app.clock.advance(9 * DAY);
    let charges = app.stripe("GET", &format!("charges?customer={customer}"), &[]).await;
    app.stripe("POST", "refunds", &[("charge", charges["data"][0]["id"].as_str().expect("a charge"))]).await;
    app.clock.advance(31 * DAY + HOUR);
    let listed = app.stripe("GET", "events?type=customer.subscription.deleted", &[]).await;
    assert_eq!(listed["data"], json!([]), "Stripe has forgotten");
    let report = billing::sync(&app.app, false).await.expect("Stripe is there");
    assert!(report.missed >= 1 && report.differed >= 1, "{report:?}");
    assert!(report.charges >= 1, "{report:?}");
    app.settle().await;
    assert_eq!(ada.at(&app).stands().await, ("basic".to_owned(), "canceled".to_owned()));
    let eve = eve.at(&app);
    assert_eq!(eve.stands().await, ("pro".to_owned(), "active".to_owned()));
    assert_eq!(eve.standing().await["current_period_end"], "2027-01-21T10:00:00.000Z");
    assert!(bob.at(&app).happened().await.contains(&"refunded".to_owned()));
    let again = billing::sync(&app.app, false).await.expect("Stripe is there");
    app.settle().await;
    assert_eq!((again.missed, again.differed), (0, 0), "{again:?}");
}

#[tokio::test]
async fn a_sync_that_is_cut_short_is_taken_up_again() {
    let app = TestApp::selling().await;
    app.block_webhooks();
    let ada = app.sign_up().await;
    ada.pays().await;
    app.shop().script(Rule::on("GET", "/v1/events").times(3).refuse(Fault::of(500)));
    app.shop().script(Rule::on("GET", "/v1/subscriptions?").times(3).refuse(Fault::of(500)));
    app.keep_syncing().await;
    assert_eq!(ada.stands().await.0, "basic");
    app.clock.advance(Duration::from_secs(5));
    app.settle().await;
    app.clock.advance(Duration::from_secs(10));
    app.settle().await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn customers_that_stripe_does_not_know_keep_what_they_have_unless_somebody_says_so() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    let foreign = transaction!(app.app.store, |tx| {
        execute!(tx, "update subscriptions set customer = 'cus_elsewhere', id = 'sub_elsewhere' where id = $1", &sub)?;
        execute!(tx, "update billing_accounts set customer = 'cus_elsewhere' where user_id = $1", ada.user)
    });
    foreign.expect("rows of another account");
    let report = billing::sync(&app.app, false).await.expect("Stripe is there");
    assert_eq!(report.unknown, ["cus_elsewhere"]);
    assert_eq!(report.unmatched, [sub], "hers, and of a customer that is not");
    assert_eq!(ada.stands().await.0, "pro");
    billing::sync(&app.app, true).await.expect("Stripe is there");
    assert_eq!(ada.stands().await, ("basic".to_owned(), "none".to_owned()));
    ada.buys().await;
    assert_eq!(ada.stands().await.0, "pro");
}

#[tokio::test]
async fn a_database_that_was_put_back_finds_its_subscribers_again() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let lost = transaction!(app.app.store, |tx| {
        for table in ["delete from subscriptions", "delete from billing_accounts", "delete from checkouts"] {
            execute!(tx, table)?;
        }
        execute!(tx, "update users set plan = 'basic' where id = $1", ada.user)
    });
    lost.expect("an older copy");
    // What the process remembers of her is of before.
    app.stop().await;
    let later = app.reset(|_| {}).await;
    later.work();
    let report = billing::sync(&later.app, false).await.expect("Stripe is there");
    assert_eq!((report.differed, report.unmatched.len()), (1, 0));
    assert_eq!(ada.at(&later).stands().await, ("pro".to_owned(), "active".to_owned()));
}
