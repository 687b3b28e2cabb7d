//! What a subscription is worth: which statuses are Pro and how long, and what comes with a plan.

use std::time::Duration;

use gemini_backend::auth::Plan;
use gemini_backend::sandbox::stripe::{Card, Ended, Fault, Rule, Status};
use gemini_backend::{billing, execute, transaction};
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
            {"plan": "basic", "daily_prompts": 5, "replies_at_once": 2, "attachment_bytes": 15_728_640, "models": null, "price": null},
            {"plan": "pro", "daily_prompts": null, "replies_at_once": 5, "attachment_bytes": 15_728_640, "models": null,
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
async fn while_one_asks_for_the_price_the_others_have_what_was_said_before() {
    let app = TestApp::selling().await;
    let said = app.get("/plans").send().await.expect(200).json();
    app.clock.advance(Duration::from_mins(1));
    app.shop().script(Rule::on("GET", "/v1/prices").hold());
    let asking = {
        let call = app.get("/plans");
        app.app.tasks.spawn(async move { call.send().await })
    };
    app.shop().wait_until(|entries| entries.iter().any(|entry| entry.end == Ended::Held)).await;
    for _ in 0..3 {
        assert_eq!(app.get("/plans").send().await.expect(200).json(), said);
    }
    let is_held = app.shop().journal().iter().any(|entry| entry.end == Ended::Held);
    assert!(is_held && !asking.is_finished(), "nobody waited for it");
    app.shop().release();
    assert_eq!(asking.await.expect("an answer").expect(200).json(), said);
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
async fn another_grace_holds_from_the_next_comparison() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    app.shop().set_status(&sub, Status::PastDue);
    app.hear().await;
    app.live(8 * DAY).await;
    assert_eq!(ada.at(&app).stands().await, ("basic".to_owned(), "past_due".to_owned()));
    app.stop().await;
    let longer = app.reset(|settings| settings.stripe.grace = 14 * DAY).await;
    longer.work();
    let report = billing::sync(&longer.app, false).await.expect("Stripe is there");
    assert_eq!((report.judged, report.differed), (1, 0), "{report:?}");
    let there = ada.at(&longer);
    assert_eq!(there.stands().await, ("pro".to_owned(), "past_due".to_owned()));
    assert_eq!(there.standing().await["grace_until"], "2026-12-05T10:00:00.000Z");
    let last = there.history().await.pop().expect("a line");
    assert_eq!((&last["what"], &last["cause"]["kind"]), (&json!("plan_changed"), &json!("sync")));
    longer.live(6 * DAY).await;
    assert_eq!(ada.at(&longer).stands().await, ("basic".to_owned(), "past_due".to_owned()), "and it ends too");
}

#[tokio::test]
async fn a_plan_that_is_not_what_is_known_makes_it_is_set_right_by_the_comparison() {
    let app = TestApp::selling().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    ada.buys().await;
    bob.opens_checkout().await;
    app.stop().await;
    let wrong = transaction!(app.app.store, |tx| {
        execute!(tx, "update users set plan = 'basic' where id = $1", ada.user)?;
        execute!(tx, "update users set plan = 'pro' where id = $1", bob.user)
    });
    assert_eq!(wrong.map_err(|cause: gemini_backend::store::Error| cause.to_string()), Ok(1));
    let later = app.reset(|_| {}).await;
    assert_eq!((ada.at(&later).stands().await.0, bob.at(&later).stands().await.0), ("basic".into(), "pro".into()));
    let report = billing::sync(&later.app, false).await.expect("Stripe is there");
    assert_eq!((report.judged, report.differed), (2, 0), "{report:?}");
    assert_eq!((ada.at(&later).stands().await.0, bob.at(&later).stands().await.0), ("pro".into(), "basic".into()));
    assert_eq!(billing::sync(&later.app, false).await.expect("Stripe is there").judged, 0);
}

#[tokio::test]
async fn what_only_a_job_would_do_is_done_however_often_its_process_died() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sub = ada.buys().await;
    app.shop().set_status(&sub, Status::PastDue);
    app.hear().await;
    app.keep_syncing().await;
    let died = transaction!(app.app.store, |tx| {
        execute!(tx, "update jobs set crashes = 11 where kind in ('judge_plan', 'sync_billing')")
    });
    assert_eq!(died.map_err(|cause: gemini_backend::store::Error| cause.to_string()), Ok(2));
    app.live(8 * DAY).await;
    assert_eq!(ada.at(&app).stands().await, ("basic".to_owned(), "past_due".to_owned()));
    assert_eq!(app.count("select count(*) from jobs where state = 'parked'").await, 0);
    assert_eq!(app.count("select count(*) from jobs where kind = 'sync_billing' and state = 'queued'").await, 1);
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
    let sub = ada.buys().await;
    ada.set_plan(Plan::Pro).await;
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
