//! The pages that people click through.

use gemini_backend::sandbox::stripe::{Card, Options, Price};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Visitor, id};

/// Somebody's browser: path, or whole address, and the fields of the form.
async fn page(stripe: &Visitor, address: &str, fields: Option<&[(&str, &str)]>) -> (u16, String, String) {
    let path = address.strip_prefix(&stripe.sandbox.base_url()).unwrap_or(address);
    let method = if fields.is_some() { Method::POST } else { Method::GET };
    let answer = stripe.send(method, path, fields.unwrap_or_default(), &[]).await;
    let location = answer.headers().get("location").map_or("", |value| value.to_str().expect("text")).to_owned();
    (answer.status().as_u16(), location, answer.text().await.expect("a body"))
}

#[tokio::test]
async fn somebody_is_declined_and_then_pays() {
    let name = "<b>Pro & more</b>".to_owned();
    let options = Options { prices: vec![Price { name, ..Price::default() }], ..Options::default() };
    let stripe = Visitor::start_with(options).await;
    let session = stripe.session(&stripe.customer().await, &[]).await;
    let url = session["url"].as_str().expect("an address").to_owned();
    let (status, _, text) = page(&stripe, &url, None).await;
    assert_eq!(status, 200);
    for part in ["&lt;b&gt;Pro &amp; more&lt;/b&gt;", "INR 499.00", "per month", "TEST MODE", "width=device-width"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("<b>") && !text.contains("<script"));
    for action in ["pay", "decline", "delayed", "delayed_failure", "cancel"] {
        assert!(text.contains(&format!("value=\"{action}\"")), "{action}");
    }
    let (status, _, text) = page(&stripe, &url, Some(&[("action", "decline")])).await;
    assert!(status == 200 && text.contains("Your card was declined."));
    assert_eq!(page(&stripe, &url, Some(&[("action", "cancel")])).await.1, "http://127.0.0.1/no");
    let (status, location, _) = page(&stripe, &url, Some(&[("action", "pay")])).await;
    assert_eq!((status, location), (303, format!("http://127.0.0.1/ok?session={}", id(&session))));
    assert!(page(&stripe, &url, None).await.2.contains("This is paid."));
    assert_eq!(page(&stripe, "/c/pay/cs_none", None).await.0, 404);
    assert_eq!(page(&stripe, &url, Some(&[("action", "dance")])).await.0, 422);
}

#[tokio::test]
async fn an_expired_session_offers_only_the_way_back() {
    let stripe = Visitor::start().await;
    let session = stripe.session(&stripe.customer().await, &[]).await;
    let url = session["url"].as_str().expect("an address").to_owned();
    stripe.post(&format!("/v1/checkout/sessions/{}/expire", id(&session)), &[]).await;
    let (status, _, text) = page(&stripe, &url, Some(&[("action", "pay")])).await;
    assert!(
        status == 200
            && text.contains("has expired")
            && text.contains("href=\"http://127.0.0.1/no\"")
            && !text.contains("<form")
    );
    assert_eq!(stripe.the("/v1/subscriptions?status=all").await["data"], json!([]));
}

#[tokio::test]
async fn somebody_looks_after_a_subscription_in_the_portal() {
    let stripe = Visitor::start().await;
    let (customer, subscription) = stripe.subscriber().await;
    let form = [("customer", customer.as_str()), ("return_url", "http://127.0.0.1/back?a=1&b=2")];
    let (_, portal) = stripe.post("/v1/billing_portal/sessions", &form).await;
    assert_eq!((&portal["object"], &portal["customer"]), (&json!("billing_portal.session"), &json!(customer)));
    let url = portal["url"].as_str().expect("an address").to_owned();
    let (_, _, text) = page(&stripe, &url, None).await;
    for part in
        ["Pro", "INR 499.00 per month", "renews on 2026-12-25", "paid", "href=\"http://127.0.0.1/back?a=1&amp;b=2\""]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let click = |action: &'static str| {
        let (stripe, url, subscription) = (&stripe, &url, &subscription);
        async move {
            let fields = [("action", action), ("subscription", subscription.as_str())];
            assert_eq!(page(stripe, url, Some(&fields)).await.0, 303, "{action}");
            stripe.the(&format!("/v1/subscriptions/{subscription}")).await
        }
    };
    assert_eq!(click("cancel_at_period_end").await["cancel_at_period_end"], true);
    assert!(page(&stripe, &url, None).await.2.contains("ends on 2026-12-25"));
    assert_eq!(click("resume").await["cancel_at_period_end"], false);
    click("declining_card").await;
    stripe.sandbox.advance_to_next_period();
    assert_eq!(stripe.status(&subscription).await, "past_due");
    assert_eq!(click("good_card").await["status"], "active", "what was owed is paid at once");
    assert_eq!(click("cancel_now").await["status"], "canceled");
    assert_eq!(page(&stripe, "/p/session/bps_none", None).await.0, 404);
}

#[tokio::test]
async fn nobody_reaches_anothers_subscription_through_their_portal() {
    let stripe = Visitor::start().await;
    let ((_, theirs), (own, _)) = (stripe.subscriber().await, stripe.subscriber().await);
    let (_, portal) = stripe.post("/v1/billing_portal/sessions", &[("customer", &own)]).await;
    let url = portal["url"].as_str().expect("an address").to_owned();
    page(&stripe, &url, Some(&[("action", "cancel_now"), ("subscription", &theirs)])).await;
    assert_eq!(stripe.status(&theirs).await, "active");
    assert!(stripe.sandbox.set_card(&own, Card::Good));
    let found: Value = stripe.the(&format!("/v1/subscriptions?customer={own}")).await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1));
}
