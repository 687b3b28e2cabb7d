//! What time does to a subscription.

use gemini_backend::sandbox::stripe::{Action, Card, Ending, Options, Status};
use serde_json::{Value, json};

use crate::{DAY, HOUR, NOON, Visitor, id};

fn period_end(subscription: &Value) -> i64 {
    subscription["items"]["data"][0]["current_period_end"].as_i64().expect("a time")
}

#[tokio::test]
async fn a_period_ends_and_the_next_is_paid_an_hour_later() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber().await;
    let path = format!("/v1/subscriptions/{subscription}?expand[]=latest_invoice");
    let first = stripe.the(&path).await;
    stripe.advance(u64::try_from(period_end(&first) - NOON).expect("later"));
    let renewed = stripe.the(&path).await;
    assert_eq!(renewed["items"]["data"][0]["current_period_start"], json!(period_end(&first)));
    assert_eq!((&renewed["status"], &renewed["latest_invoice"]["status"]), (&json!("active"), &json!("draft")));
    stripe.advance(HOUR);
    let paid = stripe.the(&path).await;
    assert_eq!(
        (&paid["latest_invoice"]["status"], &paid["latest_invoice"]["billing_reason"]),
        (&json!("paid"), &json!("subscription_cycle"))
    );
    // The first period's events are older than thirty days by now.
    assert_eq!(
        stripe.told(0),
        [
            "customer.subscription.updated",
            "invoice.created",
            "customer.subscription.updated",
            "payment_intent.created",
            "invoice.finalized",
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice.paid",
            "invoice.payment_succeeded",
        ]
    );
    let rolled = stripe.sandbox.events()[0].clone();
    assert_eq!(period_end(&rolled["data"]["previous_attributes"]), period_end(&first));
    assert_eq!(
        (&rolled["created"], &rolled["request"]),
        (&json!(period_end(&first)), &json!({"id": null, "idempotency_key": null}))
    );
}

#[tokio::test]
async fn a_year_passes_at_once_and_every_month_is_paid() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber().await;
    stripe.advance(370 * DAY);
    let invoices = stripe.the(&format!("/v1/invoices?subscription={subscription}&limit=100")).await;
    let invoices = invoices["data"].as_array().expect("a list");
    assert_eq!(invoices.len(), 13);
    assert!(invoices.iter().all(|invoice| invoice["status"] == "paid"));
    let numbers: Vec<_> = invoices
        .iter()
        .rev()
        .map(|it| it["number"].as_str().and_then(|it| it.rsplit('-').next()).unwrap_or_default())
        .collect();
    assert_eq!((numbers[0], numbers[12]), ("0001", "0013"));
}

#[tokio::test]
async fn a_card_that_declines_is_tried_for_three_weeks_and_then_it_ends() {
    for (ending, last, event) in [
        (Ending::Cancel, "canceled", "customer.subscription.deleted"),
        (Ending::Unpaid, "unpaid", "customer.subscription.updated"),
    ] {
        let stripe = Visitor::start_with(Options { ending, ..Options::default() }).await;
        let (customer, subscription) = stripe.subscriber().await;
        let (status, _) =
            stripe.control(&format!("/sandbox/customers/{customer}/card"), &json!({"declines": true})).await;
        assert_eq!(status, 200);
        let (status, _) = stripe.control("/sandbox/clock", &json!({"to_next_period": true})).await;
        assert_eq!((status, stripe.status(&subscription).await.as_str()), (200, "past_due"));
        let invoice = stripe.the(&format!("/v1/invoices?subscription={subscription}")).await["data"][0].clone();
        assert_eq!((&invoice["status"], &invoice["attempt_count"]), (&json!("open"), &json!(1)));
        let next = invoice["next_payment_attempt"].as_i64().expect("another try");
        assert_eq!(next, stripe.sandbox.now() + 3 * 24 * 60 * 60);
        stripe.advance(21 * DAY - 1);
        assert_eq!(stripe.status(&subscription).await, "past_due");
        stripe.advance(1);
        assert_eq!(stripe.status(&subscription).await, last);
        let told = stripe.told(0);
        assert_eq!(told.last().map(String::as_str), Some(event));
        assert_eq!(told.iter().filter(|kind| *kind == "invoice.payment_failed").count(), 5);
        let invoice = stripe.the(&format!("/v1/invoices/{}", id(&invoice))).await;
        assert_eq!((&invoice["attempt_count"], &invoice["next_payment_attempt"]), (&json!(5), &json!(null)));
    }
}

#[tokio::test]
async fn a_good_card_makes_a_past_due_subscription_active_at_the_next_try() {
    let stripe = Visitor::start().await;
    let (customer, subscription) = stripe.subscriber().await;
    assert!(stripe.sandbox.set_card(&customer, Card::Declining) && stripe.sandbox.advance_to_next_period());
    assert_eq!(stripe.status(&subscription).await, "past_due");
    assert_eq!(stripe.the(&format!("/v1/customers/{customer}")).await["delinquent"], true);
    let invoice = id(&stripe.the(&format!("/v1/invoices?subscription={subscription}")).await["data"][0]);
    let (status, body) = stripe.post(&format!("/v1/invoices/{invoice}/pay"), &[]).await;
    assert_eq!(
        (status, &body["error"]["type"], &body["error"]["decline_code"]),
        (402, &json!("card_error"), &json!("generic_decline"))
    );
    assert!(stripe.sandbox.set_card(&customer, Card::Good));
    stripe.advance(5 * DAY);
    assert_eq!(stripe.status(&subscription).await, "active");
    assert_eq!(stripe.the(&format!("/v1/customers/{customer}")).await["delinquent"], false);
    assert_eq!(stripe.post(&format!("/v1/invoices/{invoice}/pay"), &[]).await.0, 400);
}

#[tokio::test]
async fn an_end_with_the_period_is_set_taken_back_and_kept() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber().await;
    let path = format!("/v1/subscriptions/{subscription}");
    let (_, ending) = stripe.post(&path, &[("cancel_at_period_end", "true")]).await;
    assert_eq!((&ending["cancel_at_period_end"], &ending["status"]), (&json!(true), &json!("active")));
    assert_eq!((ending["cancel_at"].as_i64(), ending["canceled_at"].as_i64()), (Some(period_end(&ending)), Some(NOON)));
    let event = stripe.sandbox.events().pop().expect("an event");
    assert_eq!(event["data"]["previous_attributes"]["cancel_at_period_end"], false);
    assert!(event["request"]["id"].as_str().is_some_and(|id| id.starts_with("req_")));
    let (_, back) = stripe.post(&path, &[("cancel_at_period_end", "false")]).await;
    assert_eq!(
        (&back["cancel_at_period_end"], &back["cancel_at"], &back["canceled_at"]),
        (&json!(false), &json!(null), &json!(null))
    );
    stripe.post(&path, &[("cancel_at_period_end", "true")]).await;
    stripe.advance(31 * DAY);
    let over = stripe.the(&path).await;
    assert_eq!((&over["status"], over["ended_at"].as_i64()), (&json!("canceled"), Some(period_end(&ending))));
    assert_eq!(stripe.told(0).pop().as_deref(), Some("customer.subscription.deleted"));
    let (status, _) = stripe.post(&path, &[("cancel_at_period_end", "false")]).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_cancelled_subscription_shows_only_to_those_who_ask_for_it() {
    let stripe = Visitor::start().await;
    let (customer, subscription) = stripe.subscriber().await;
    let (status, over) =
        stripe.delete(&format!("/v1/subscriptions/{subscription}?prorate=true&invoice_now=false")).await;
    assert_eq!(
        (status, &over["status"], &over["cancellation_details"]["reason"]),
        (200, &json!("canceled"), &json!("cancellation_requested"))
    );
    assert_eq!(stripe.delete(&format!("/v1/subscriptions/{subscription}")).await.0, 404);
    for (query, count) in
        [("", 0), ("&status=all", 1), ("&status=canceled", 1), ("&status=ended", 1), ("&status=active", 0)]
    {
        let found = stripe.the(&format!("/v1/subscriptions?customer={customer}{query}")).await;
        assert_eq!(found["data"].as_array().map(Vec::len), Some(count), "{query}");
    }
    assert_eq!(stripe.the("/v1/subscriptions?status=all").await["data"][0]["id"], subscription);
    assert_eq!(stripe.get("/v1/subscriptions?customer=cus_nobody").await.0, 400);
}

#[tokio::test]
async fn a_deleted_customer_has_no_subscription_left() {
    let stripe = Visitor::start().await;
    let (customer, subscription) = stripe.subscriber().await;
    stripe.delete(&format!("/v1/customers/{customer}")).await;
    assert_eq!(stripe.status(&subscription).await, "canceled");
    let told = stripe.told(0);
    assert_eq!(told[told.len() - 2..], ["customer.subscription.deleted", "customer.deleted"]);
}

#[tokio::test]
async fn a_second_subscription_of_the_same_customer_is_made_by_the_api() {
    let stripe = Visitor::start().await;
    let (customer, _) = stripe.subscriber().await;
    let form = [("customer", customer.as_str()), ("items[0][price]", "price_sandbox_pro")];
    assert_eq!(stripe.post("/v1/subscriptions", &form).await.1["status"], "active");
    assert!(stripe.sandbox.set_card(&customer, Card::Declining));
    assert_eq!(stripe.post("/v1/subscriptions", &form).await.1["status"], "incomplete");
    let strict = [form[0], form[1], ("payment_behavior", "error_if_incomplete")];
    assert_eq!(stripe.post("/v1/subscriptions", &strict).await.0, 402);
    assert!(stripe.sandbox.set_card(&customer, Card::None));
    assert_eq!(stripe.post("/v1/subscriptions", &form).await.1["error"]["code"], "resource_missing");
    let found = stripe.the(&format!("/v1/subscriptions?customer={customer}&status=all")).await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn paused_payments_leave_the_invoice_unpaid_and_the_subscription_active() {
    for (behavior, status) in [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")] {
        let stripe = Visitor::start().await;
        let (_, subscription) = stripe.subscriber().await;
        let path = format!("/v1/subscriptions/{subscription}");
        let resumes = (NOON + 40 * 24 * 60 * 60).to_string();
        let (_, paused) = stripe
            .post(&path, &[("pause_collection[behavior]", behavior), ("pause_collection[resumes_at]", &resumes)])
            .await;
        assert_eq!(paused["pause_collection"]["behavior"], behavior);
        stripe.advance(31 * DAY);
        let invoice = stripe.the(&format!("/v1/invoices?subscription={subscription}")).await["data"][0].clone();
        assert_eq!((invoice["status"].as_str(), stripe.status(&subscription).await.as_str()), (Some(status), "active"));
        stripe.advance(10 * DAY);
        assert_eq!(stripe.the(&path).await["pause_collection"], json!(null));
    }
}

#[tokio::test]
async fn every_status_is_set_by_hand() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber().await;
    for (status, event) in [
        ("past_due", "customer.subscription.updated"),
        ("unpaid", "customer.subscription.updated"),
        ("paused", "customer.subscription.paused"),
        ("trialing", "customer.subscription.updated"),
        ("incomplete", "customer.subscription.updated"),
        ("incomplete_expired", "customer.subscription.updated"),
        ("active", "customer.subscription.updated"),
        ("canceled", "customer.subscription.deleted"),
    ] {
        let (code, body) =
            stripe.control(&format!("/sandbox/subscriptions/{subscription}"), &json!({"status": status})).await;
        assert_eq!((code, body["status"].as_str()), (200, Some(status)), "{body}");
        assert_eq!(stripe.told(0).pop().as_deref(), Some(event), "{status}");
    }
    assert!(
        stripe.sandbox.set_status(&subscription, Status::Paused)
            && stripe.sandbox.set_status(&subscription, Status::Active)
    );
    assert!(stripe.told(0).contains(&"customer.subscription.resumed".to_owned()));
    assert!(!stripe.sandbox.set_status("sub_none", Status::Active));
}

#[tokio::test]
async fn events_are_listed_newest_first_and_last_thirty_days() {
    let stripe = Visitor::start().await;
    let first = stripe.customer().await;
    stripe.advance(DAY);
    let second = stripe.customer().await;
    let found = stripe.the(&format!("/v1/events?type=customer.created&created[gt]={NOON}")).await;
    assert_eq!(
        (found["data"].as_array().map(Vec::len), &found["data"][0]["data"]["object"]["id"]),
        (Some(1), &json!(second))
    );
    let event = &stripe.the("/v1/events?types[]=customer.created&types[]=customer.deleted").await["data"][1];
    assert_eq!((&event["data"]["object"]["id"], &event["created"]), (&json!(first), &json!(NOON)));
    let path = format!("/v1/events/{}", id(event));
    stripe.advance(29 * DAY);
    assert_eq!(stripe.get(&path).await.0, 200);
    stripe.advance(1);
    assert_eq!(stripe.get(&path).await.0, 404);
    assert_eq!(stripe.the("/v1/events").await["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_clock_is_moved_in_words_and_never_back() {
    let stripe = Visitor::start().await;
    for (body, after) in [
        (json!({"advance": "90s"}), 90),
        (json!({"advance": "1d"}), 86_490),
        (json!({"advance": 10}), 86_500),
        (json!({"to": NOON + 100_000}), 100_000),
    ] {
        let (status, answer) = stripe.control("/sandbox/clock", &body).await;
        assert_eq!((status, answer), (200, json!({"now": NOON + after})), "{body}");
    }
    for wrong in [
        json!({}),
        json!({"advance": "1y"}),
        json!({"advance": "é"}),
        json!({"advance": -1}),
        json!({"to": NOON}),
        json!({"advance": 1, "to_next_period": true}),
        json!({"to_next_period": true}),
    ] {
        assert_eq!(stripe.control("/sandbox/clock", &wrong).await.0, 422, "{wrong}");
    }
    let session = stripe.session(&stripe.customer().await, &[]).await;
    let path = format!("/sandbox/checkout/{}", id(&session));
    assert_eq!(stripe.control(&path, &json!({"action": "dance"})).await.0, 422);
    let (_, answer) = stripe.control(&path, &json!({"action": "pay"})).await;
    assert!(answer["redirect"].as_str().is_some_and(|url| url.contains(&id(&session))));
    assert_eq!(stripe.control("/sandbox/checkout/cs_none", &json!({"action": "pay"})).await.0, 404);
    assert_eq!(stripe.sandbox.checkout("cs_none", Action::Pay), None);
}
