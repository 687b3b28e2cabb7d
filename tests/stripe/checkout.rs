//! Checkout sessions, from their making to their end.

use gemini_backend::sandbox::stripe::{Action, Card, Options};
use serde_json::json;

use crate::{DAY, HOUR, NOON, Visitor, id};

#[tokio::test]
async fn paying_makes_an_active_subscription_and_tells_of_it() {
    let stripe = Visitor::start().await;
    let customer = stripe.customer().await;
    let session = stripe.session(&customer, &[("client_reference_id", "7")]).await;
    assert_eq!((&session["status"], &session["payment_status"]), (&json!("open"), &json!("unpaid")));
    assert_eq!(session["expires_at"], json!(NOON + 24 * 60 * 60));
    assert!(session["url"].as_str().is_some_and(|url| url.starts_with(&stripe.sandbox.base_url())));
    let session = id(&session);
    let next = stripe.sandbox.checkout(&session, Action::Pay);
    assert_eq!(next, Some(format!("http://127.0.0.1/ok?session={session}")));
    let done = stripe.the(&format!("/v1/checkout/sessions/{session}?expand[]=subscription")).await;
    assert_eq!((&done["status"], &done["payment_status"]), (&json!("complete"), &json!("paid")));
    assert_eq!((&done["url"], &done["client_reference_id"]), (&json!(null), &json!("7")));
    let subscription = &done["subscription"];
    assert_eq!((&subscription["status"], &subscription["customer"]), (&json!("active"), &json!(customer)));
    assert_eq!(subscription["metadata"], json!({"user_id": "7"}));
    assert_eq!(subscription["items"]["data"][0]["current_period_end"], json!(NOON + 30 * 24 * 60 * 60));
    let told = stripe.told(1);
    assert_eq!(told.first().map(String::as_str), Some("customer.subscription.created"));
    assert_eq!(told.last().map(String::as_str), Some("checkout.session.completed"));
    for kind in
        ["invoice.created", "invoice.finalized", "charge.succeeded", "invoice.paid", "customer.subscription.updated"]
    {
        assert!(told.iter().any(|told| told == kind), "{kind}: {told:?}");
    }
    // A second click changes nothing and leads on.
    assert_eq!(stripe.sandbox.checkout(&session, Action::Pay), next);
    assert_eq!(stripe.told(1), told);
}

#[tokio::test]
async fn a_declined_card_leaves_the_session_open() {
    let stripe = Visitor::start().await;
    let customer = stripe.customer().await;
    let session = id(&stripe.session(&customer, &[]).await);
    assert_eq!(stripe.sandbox.checkout(&session, Action::Decline), None);
    assert_eq!(stripe.told(1), ["charge.failed", "payment_intent.payment_failed"]);
    assert_eq!(stripe.the("/v1/subscriptions?status=all").await["data"], json!([]));
    assert_eq!(stripe.sandbox.checkout(&session, Action::Cancel).as_deref(), Some("http://127.0.0.1/no"));
    assert!(stripe.sandbox.checkout(&session, Action::Pay).is_some());
    assert_eq!(stripe.the("/v1/subscriptions").await["data"][0]["status"], "active");
}

#[tokio::test]
async fn a_delayed_payment_comes_and_makes_it_active() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber_by(Action::Delayed, &[]).await;
    assert_eq!(stripe.status(&subscription).await, "incomplete");
    let session = stripe.the("/v1/checkout/sessions").await["data"][0].clone();
    assert_eq!((&session["status"], &session["payment_status"]), (&json!("complete"), &json!("unpaid")));
    stripe.advance(HOUR);
    assert_eq!(stripe.status(&subscription).await, "active");
    assert_eq!(stripe.told(0).pop().as_deref(), Some("checkout.session.async_payment_succeeded"));
    assert_eq!(stripe.the("/v1/checkout/sessions").await["data"][0]["payment_status"], "paid");
    stripe.sandbox.advance_to_next_period();
    assert_eq!(stripe.status(&subscription).await, "active", "it is renewed by the same means");
}

#[tokio::test]
async fn a_delayed_payment_that_never_comes_expires_it_after_23_hours() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber_by(Action::DelayedFailure, &[]).await;
    stripe.advance(HOUR);
    assert_eq!(stripe.status(&subscription).await, "incomplete");
    assert!(stripe.told(0).contains(&"checkout.session.async_payment_failed".to_owned()));
    assert!(stripe.told(0).contains(&"invoice.payment_failed".to_owned()));
    stripe.advance(22 * HOUR - 1);
    assert_eq!(stripe.status(&subscription).await, "incomplete");
    stripe.advance(1);
    assert_eq!(stripe.status(&subscription).await, "incomplete_expired");
    assert_eq!(stripe.the(&format!("/v1/invoices?subscription={subscription}")).await["data"][0]["status"], "void");
    stripe.advance(90 * DAY);
    assert_eq!(stripe.status(&subscription).await, "incomplete_expired");
}

#[tokio::test]
async fn a_session_expires_after_a_day_or_when_it_is_told_to() {
    let stripe = Visitor::start().await;
    let customer = stripe.customer().await;
    let at = (NOON + 3_600).to_string();
    let (usual, soon) = (stripe.session(&customer, &[]).await, stripe.session(&customer, &[("expires_at", &at)]).await);
    let told_to = stripe.session(&customer, &[]).await;
    let path = |session: &serde_json::Value| format!("/v1/checkout/sessions/{}", id(session));
    assert_eq!(stripe.post(&format!("{}/expire", path(&told_to)), &[]).await.1["status"], "expired");
    assert_eq!(stripe.post(&format!("{}/expire", path(&told_to)), &[]).await.0, 400);
    stripe.advance(HOUR);
    assert_eq!(
        (&stripe.the(&path(&soon)).await["status"], &stripe.the(&path(&usual)).await["status"]),
        (&json!("expired"), &json!("open"))
    );
    stripe.advance(DAY);
    assert_eq!(stripe.the(&path(&usual)).await["status"], "expired");
    assert_eq!(stripe.sandbox.checkout(&id(&usual), Action::Pay), None);
    assert_eq!(stripe.told(1), ["checkout.session.expired"; 3]);
    let too_late = (NOON + 3 * 90_000).to_string();
    let (status, body) = stripe
        .post(
            "/v1/checkout/sessions",
            &[
                ("mode", "subscription"),
                ("success_url", "http://x"),
                ("expires_at", &too_late),
                ("line_items[0][price]", "price_sandbox_pro"),
                ("line_items[0][quantity]", "1"),
            ],
        )
        .await;
    assert_eq!((status, body["error"]["param"].as_str()), (400, Some("expires_at")), "{body}");
}

#[tokio::test]
async fn addresses_may_be_an_apps_but_no_script() {
    let stripe = Visitor::start().await;
    let ask = |url: &'static str| {
        let form = [
            ("mode", "subscription"),
            ("success_url", url),
            ("line_items[0][price]", "price_sandbox_pro"),
            ("line_items[0][quantity]", "1"),
        ];
        let stripe = &stripe;
        async move { stripe.post("/v1/checkout/sessions", &form).await.0 }
    };
    assert_eq!(ask("myapp://done?id={CHECKOUT_SESSION_ID}").await, 200);
    for bad in ["javascript:alert(1)", "/done", "data:text/html,x"] {
        assert_eq!(ask(bad).await, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_session_without_a_customer_makes_one() {
    let stripe = Visitor::start().await;
    let form = [
        ("mode", "subscription"),
        ("success_url", "http://x"),
        ("customer_email", "ada@example.com"),
        ("line_items[0][price]", "price_sandbox_pro"),
        ("line_items[0][quantity]", "2"),
    ];
    let (_, session) = stripe.post("/v1/checkout/sessions", &form).await;
    assert_eq!((&session["customer"], &session["amount_total"]), (&json!(null), &json!(99_800)));
    assert_eq!(stripe.sandbox.checkout(&id(&session), Action::Pay).as_deref(), Some("http://x"));
    let customers = stripe.the("/v1/customers?email=ada@example.com").await;
    let session = stripe.the(&format!("/v1/checkout/sessions/{}", id(&session))).await;
    assert_eq!(session["customer"], customers["data"][0]["id"]);
}

#[tokio::test]
async fn a_trial_costs_nothing_at_first() {
    let stripe = Visitor::start_with(Options { trial_days: 3, ..Options::default() }).await;
    let (_, usual) = stripe.subscriber().await;
    let (customer, own) = stripe.subscriber_by(Action::Pay, &[("subscription_data[trial_period_days]", "14")]).await;
    assert_eq!(
        (stripe.status(&usual).await, stripe.status(&own).await),
        ("trialing".to_owned(), "trialing".to_owned())
    );
    let session = stripe.the(&format!("/v1/checkout/sessions?customer={customer}")).await["data"][0].clone();
    assert_eq!((&session["payment_status"], &session["amount_total"]), (&json!("no_payment_required"), &json!(0)));
    let found = stripe.the(&format!("/v1/subscriptions/{own}?expand[]=latest_invoice")).await;
    assert_eq!(
        (&found["trial_end"], &found["latest_invoice"]["amount_paid"]),
        (&json!(NOON + 14 * 24 * 60 * 60), &json!(0))
    );
    stripe.advance(11 * DAY);
    assert_eq!(stripe.told(0).iter().filter(|kind| kind.ends_with("trial_will_end")).count(), 2);
    assert_eq!(stripe.status(&usual).await, "active");
    stripe.advance(3 * DAY + HOUR);
    assert_eq!(stripe.status(&own).await, "active");
    let invoices = stripe.the(&format!("/v1/invoices?subscription={own}&status=paid")).await;
    assert_eq!(invoices["data"][0]["amount_paid"], 49_900);
}

#[tokio::test]
async fn a_trial_without_a_card_pauses_and_is_resumed() {
    let stripe = Visitor::start().await;
    let more = [
        ("subscription_data[trial_period_days]", "7"),
        ("payment_method_collection", "if_required"),
        ("subscription_data[trial_settings][end_behavior][missing_payment_method]", "pause"),
    ];
    let (customer, subscription) = stripe.subscriber_by(Action::Pay, &more).await;
    stripe.advance(7 * DAY);
    assert_eq!(stripe.status(&subscription).await, "paused");
    assert_eq!(stripe.told(0).pop().as_deref(), Some("customer.subscription.paused"));
    let path = format!("/v1/subscriptions/{subscription}/resume");
    assert!(stripe.sandbox.set_card(&customer, Card::Good));
    assert_eq!(stripe.post(&path, &[]).await.1["status"], "active");
    assert!(stripe.told(0).contains(&"customer.subscription.resumed".to_owned()));
    assert_eq!(stripe.post(&path, &[]).await.0, 400);
}
