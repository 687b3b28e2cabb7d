//! What a subscription is worth: which statuses are Pro and how long, and what comes with a plan.

use std::time::Duration;

use gemini_backend::auth::Plan;
use gemini_backend::billing;
use gemini_backend::sandbox::stripe::{Card, Fault, Rule, Status};
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::harness::shop::DAY;

#[tokio::test]
async fn the_plans_are_for_everybody_to_read() {
    let app = TestApp::selling().await;
    let plans = app.get("/plans").send().await.expect(200).json();
    assert_eq!(
        plans,
        json!({"next_cursor": null, "data": [
            {"plan": "basic", "daily_prompts": 5, "replies_at_once": 2, "attachment_bytes": 15_728_640, "price": null},
            {"plan": "pro", "daily_prompts": null, "replies_at_once": 5, "attachment_bytes": 15_728_640,
                "price": {"amount": 49900, "currency": "inr", "interval": "month", "interval_count": 1}},
        ]})
    );
}

#[tokio::test]
async fn a_price_that_stripe_does_not_say_is_null() {
    let app = TestApp::selling().await;
    app.shop().script(Rule::on("GET", "/v1/prices").always().refuse(Fault::of(400)));
    assert_eq!(app.get("/plans/").send().await.expect(200).json()["data"][1]["price"], Value::Null);
}

#[tokio::test]
async fn each_status_is_worth_what_it_should_be() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    let expected = [
        (Status::Trialing, "pro", "trialing"),
        (Status::Unpaid, "basic", "unpaid"),
        (Status::Active, "pro", "active"),
        (Status::Paused, "basic", "paused"),
        (Status::Active, "pro", "active"),
        (Status::Incomplete, "basic", "incomplete"),
        (Status::PastDue, "pro", "past_due"),
        (Status::IncompleteExpired, "basic", "incomplete_expired"),
    ];
    for (status, plan, word) in expected {
        assert!(app.shop().set_status(&sub, status));
        app.hear().await;
        assert_eq!(ada.stands().await, (plan.to_owned(), word.to_owned()));
        let limit = if plan == "pro" { Value::Null } else { json!(5) };
        assert_eq!(ada.get("/user/me").await.json()["prompts"]["limit"], limit, "{word}");
    }
}

#[tokio::test]
async fn an_overdue_subscription_is_pro_for_seven_days_and_not_a_moment_longer() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    assert!(app.shop().set_card(&ada.customer().await, Card::Declining));
    // The period ends, and an hour later its invoice is tried in vain.
    app.live(30 * DAY + Duration::from_hours(2)).await;
    let ada = ada.at(&app);
    let standing = ada.standing().await;
    assert_eq!((&standing["plan"], &standing["status"]), (&json!("pro"), &json!("past_due")));
    assert_eq!(standing["grace_until"], "2026-12-28T10:00:00.000Z");
    app.live(6 * DAY).await;
    assert_eq!(ada.at(&app).stands().await.0, "pro");
    let end = gemini_backend::clock::Moment::from_millis(1_798_452_000_000); // 2026-12-28T10:00:00Z
    app.live(end.minus(Duration::from_millis(1)).since(app.clock.now())).await;
    assert_eq!(ada.at(&app).stands().await.0, "pro");
    app.live(Duration::from_millis(1)).await;
    let ada = ada.at(&app);
    assert_eq!(ada.stands().await, ("basic".to_owned(), "past_due".to_owned()));
    let last = ada.history().await.pop().expect("a line");
    assert_eq!(
        (&last["what"], &last["cause"]["kind"], &last["plan"]),
        (&json!("plan_changed"), &json!("time"), &json!("basic"))
    );
    // A good card pays at the next try, and Pro is back.
    assert!(app.shop().set_card(&ada.customer().await, Card::Good));
    app.live(10 * DAY).await;
    assert_eq!(ada.at(&app).stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn the_grace_ends_also_when_nobody_ran_meanwhile() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    app.shop().set_status(&sub, Status::PastDue);
    app.hear().await;
    app.stop().await;
    app.clock.advance(8 * DAY);
    let later = app.reset(|_| {}).await;
    later.work();
    later.settle().await;
    assert_eq!(ada.at(&later).stands().await, ("basic".to_owned(), "past_due".to_owned()));
}

#[tokio::test]
async fn a_renewal_goes_on_and_is_said() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.live(30 * DAY + Duration::from_hours(2)).await;
    let ada = ada.at(&app);
    assert_eq!(ada.standing().await["current_period_end"], "2027-01-21T10:00:00.000Z");
    assert!(ada.happened().await.contains(&"subscription_renewed".to_owned()));
}

#[tokio::test]
async fn a_downgrade_deletes_nothing() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    let room = ada.new_room().await;
    for number in 0..7 {
        ada.say(&room, &format!("message {number}")).await.expect(202);
        app.settle().await;
    }
    app.shop().set_status(&sub, Status::Canceled);
    app.hear().await;
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    let messages = ada.get(&format!("/chatroom/{room}/messages")).await.expect(200).json();
    assert_eq!(messages["data"].as_array().map(Vec::len), Some(14));
    assert_eq!(ada.say(&room, "one more").await.expect(429).code(), "prompt_limit_reached");
}

#[tokio::test]
async fn an_operators_word_stands_beside_what_is_paid() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.set_plan(Plan::Pro).await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "none".to_owned()));
    let sub = ada.buys().await;
    app.shop().set_status(&sub, Status::Canceled);
    app.hear().await;
    assert_eq!(ada.stands().await.0, "pro", "the word still stands");
    ada.set_plan(Plan::Basic).await;
    assert_eq!(ada.stands().await.0, "basic");
    let last = ada.history().await.pop().expect("a line");
    assert_eq!((&last["cause"]["kind"], &last["plan"]), (&json!("operator"), &json!("basic")));
    app.shop().set_status(&sub, Status::Active);
    app.hear().await;
    let held = billing::grant_plan(&app.app, ada.user, Plan::Basic).await.expect("the database is there");
    assert_eq!(held, Some(Plan::Pro), "what is paid for is not taken away by a word");
}
