//! What no webhook told is found all the same.

use std::time::Duration;

use gemini_backend::billing;
use gemini_backend::sandbox::stripe::{Action, Card, Fault, Rule};
use gemini_backend::{execute, transaction};
use serde_json::json;

use crate::harness::shop::DAY;
use crate::harness::{Person, TestApp, YEARLY};

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
async fn what_happened_in_forty_days_away_holds_though_its_events_are_gone() {
    let app = TestApp::selling().await;
    let (bob, cem, dora) = (app.sign_up().await, app.sign_up().await, app.sign_up().await);
    let (eli, fay, gus) = (app.sign_up().await, app.sign_up().await, app.sign_up().await);
    for person in [&bob, &dora, &eli] {
        person.buys().await;
    }
    // Their last payment is still the last after forty days.
    for person in [&fay, &gus] {
        person.opens_checkout().await;
        person.buys_beside(YEARLY).await;
    }
    app.hear().await;
    for person in [&bob, &dora, &eli, &fay, &gus] {
        assert_eq!(person.stands().await, ("pro".to_owned(), "active".to_owned()));
    }
    let page = cem.opens_checkout().await;
    billing::sync(&app.app, false).await.expect("Stripe is there");
    app.block_webhooks();
    app.stop().await;
    app.clock.advance(HOUR);
    app.shop().checkout(&page, Action::Pay).expect("the browser leaves");
    assert!(app.shop().set_card(&dora.customer().await, Card::Declining));
    let sub = eli.subscriptions().await.remove(0);
    app.stripe("POST", &format!("subscriptions/{sub}"), &[("cancel_at_period_end", "true")]).await;
    app.clock.advance(8 * DAY);
    for person in [&bob, &fay] {
        app.stripe("POST", "refunds", &[("charge", &person.charges().await[0])]).await;
    }
    assert!(app.shop().dispute(&gus.charges().await[0]));
    app.clock.advance(32 * DAY);
    let gone = app.stripe("GET", "events?types[]=charge.refunded&types[]=charge.dispute.created", &[]).await;
    assert_eq!(gone["data"], json!([]), "Stripe has forgotten");

    let later = app.reset(|_| {}).await;
    later.work();
    later.keep_syncing().await;
    let stands = async |person: &Person<'_>| person.at(&later).stands().await;
    let expected = [
        (&cem, "pro", "active"),
        (&dora, "basic", "past_due"),
        (&eli, "basic", "canceled"),
        (&fay, "basic", "canceled"),
        (&gus, "basic", "canceled"),
        // What he was given back was for the month before.
        (&bob, "pro", "active"),
    ];
    for (person, plan, status) in expected {
        assert_eq!(
            stands(person).await,
            (plan.to_owned(), status.to_owned()),
            "{:#?}",
            person.at(&later).history().await
        );
    }
    for (person, what) in [(&bob, "refunded"), (&fay, "refunded"), (&gus, "disputed")] {
        let lines = person.at(&later).lines(what).await;
        assert_eq!((lines.len(), &lines[0]["cause"]["kind"]), (1, &json!("sync")), "{what}");
    }
}

#[tokio::test]
async fn events_are_read_by_stripes_clock() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.block_webhooks();
    // A node whose clock is ahead of Stripe's.
    let ahead = app.beside().await;
    ahead.clock.advance(2 * HOUR);
    billing::sync(&ahead.app, false).await.expect("Stripe is there");
    app.stripe("POST", "refunds", &[("charge", &ada.charges().await[0]), ("amount", "100")]).await;
    let report = billing::sync(&ahead.app, false).await.expect("Stripe is there");
    assert_eq!(report.missed, 1, "{report:?}");
    app.app.live.ring_for_jobs();
    ahead.work();
    ahead.settle().await;
    assert_eq!(ada.lines("refunded").await.len(), 1);
    assert_eq!(billing::sync(&ahead.app, false).await.expect("Stripe is there").missed, 0);
}

#[tokio::test]
async fn a_period_that_ends_earlier_than_was_known_has_its_line() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let later = app.clock.now().plus(90 * DAY);
    let moved =
        transaction!(app.app.store, |tx| { execute!(tx, "update subscriptions set current_period_end = $1", later) });
    assert_eq!(moved.map_err(|cause: gemini_backend::store::Error| cause.to_string()), Ok(1));
    billing::sync(&app.app, false).await.expect("Stripe is there");
    assert_eq!(ada.standing().await["current_period_end"], "2026-12-21T10:00:00.000Z");
    let lines = ada.lines("subscription_changed").await;
    assert_eq!((lines.len(), &lines[0]["cause"]["kind"]), (1, &json!("sync")));
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

#[tokio::test]
async fn an_event_that_lost_its_job_is_taken_up_by_the_comparison() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    app.block_webhooks();
    let charge = app.stripe("GET", "charges", &[]).await["data"][0]["id"].as_str().expect("a charge").to_owned();
    app.stripe("POST", "refunds", &[("charge", &charge)]).await;
    let event = app.shop().events().into_iter().rfind(|event| event["type"] == "charge.refunded").expect("an event");
    let (id, at) = (event["id"].as_str().expect("an id"), app.clock.now());
    let parked = transaction!(app.app.store, |tx| {
        execute!(
            tx,
            "insert into stripe_events (id, kind, created_at, received_at, livemode, object, source, outcome)
             values ($1, 'charge.refunded', $2, $2, false, $3, 'webhook', 'waiting')",
            id,
            at,
            &charge
        )
    });
    parked.expect("an event without a job");
    app.clock.advance(HOUR + Duration::from_secs(1));
    billing::sync(&app.app, false).await.expect("Stripe is there");
    app.settle().await;
    assert_eq!(ada.at(&app).stands().await, ("basic".to_owned(), "canceled".to_owned()));
}

#[tokio::test]
async fn one_part_that_fails_keeps_no_other_from_healing() {
    let app = TestApp::selling().await;
    app.block_webhooks();
    let ada = app.sign_up().await;
    ada.pays().await;
    app.shop().script(Rule::on("GET", "/v1/events").always().refuse(Fault::of(403)));
    billing::sync(&app.app, false).await.expect_err("a restricted key without events");
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}
