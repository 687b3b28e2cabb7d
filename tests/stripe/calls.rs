//! Single calls: what they make, list, change and refuse.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{NOON, Visitor, id};

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_customer_is_made_changed_and_deleted() {
    let stripe = Visitor::start().await;
    let customer = stripe.customer().await;
    assert!(customer.starts_with("cus_"));
    let path = format!("/v1/customers/{customer}");
    let found = stripe.the(&path).await;
    assert_eq!((&found["phone"], &found["created"]), (&json!("+911234567890"), &json!(NOON)));
    assert_eq!(found["metadata"], json!({"user_id": "7"}));
    let form = [("email", "ada@example.com"), ("metadata[user_id]", ""), ("metadata[room]", "Grüße 🎉")];
    let (_, changed) = stripe.post(&path, &form).await;
    assert_eq!((&changed["email"], &changed["metadata"]), (&json!("ada@example.com"), &json!({"room": "Grüße 🎉"})));
    let event = stripe.sandbox.events().pop().expect("an event");
    assert_eq!(
        event["data"]["previous_attributes"],
        json!({"email": null, "metadata": {"user_id": "7", "room": null}})
    );
    assert_eq!(stripe.the("/v1/customers?email=ada@example.com").await["data"][0]["id"], customer);
    assert_eq!(stripe.the("/v1/customers?email=bob@example.com").await["data"], json!([]));
    let (status, gone) = stripe.delete(&path).await;
    assert_eq!((status, gone), (200, json!({"id": customer, "object": "customer", "deleted": true})));
    assert_eq!(stripe.the(&path).await["deleted"], true);
    assert_eq!(stripe.post(&path, &[]).await.0, 404);
    assert_eq!(stripe.told(0), ["customer.created", "customer.updated", "customer.deleted"]);
}

#[tokio::test]
async fn errors_are_stripes_own() {
    let stripe = Visitor::start().await;
    let customer = stripe.customer().await;
    for (path, form, status, word, param) in [
        ("/v1/customers", vec![("phine", "1")], 400, "parameter_unknown", "phine"),
        ("/v1/checkout/sessions", vec![("mode", "subscription")], 400, "parameter_missing", "line_items"),
        ("/v1/customers/cus_nobody", vec![], 404, "resource_missing", "id"),
        ("/v1/subscriptions/sub_none", vec![("cancel_at_period_end", "true")], 404, "resource_missing", "id"),
        ("/v1/billing_portal/sessions", vec![("customer", "cus_nobody")], 400, "resource_missing", "customer"),
        ("/v1/billing_portal/sessions", vec![], 400, "parameter_missing", "customer"),
        ("/v1/refunds", vec![("charge", "ch_none")], 400, "resource_missing", "charge"),
        (
            "/v1/subscriptions",
            vec![("customer", &customer), ("items[0][price]", "price_x")],
            400,
            "resource_missing",
            "items[0][price]",
        ),
        (
            "/v1/subscriptions",
            vec![("customer", &customer), ("items[0][prize]", "x")],
            400,
            "parameter_unknown",
            "items[0][prize]",
        ),
    ] {
        let (got, body) = stripe.post(path, &form).await;
        assert_eq!((got, code(&body)), (status, word), "{path} {form:?}: {body}");
        assert_eq!((&body["error"]["param"], &body["error"]["type"]), (&json!(param), &json!("invalid_request_error")));
        assert!(body["error"]["message"].is_string() && body["error"]["request_log_url"].is_string());
    }
    let (status, body) = stripe.get("/v1/nonsense").await;
    assert_eq!((status, &body["error"]["type"]), (404, &json!("invalid_request_error")));
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains("GET: /v1/nonsense")));
    let (status, _) = stripe.post("/v1/customers", &[("metadata[k]", &"x".repeat(501))]).await;
    assert_eq!(status, 400);
    assert_eq!(stripe.sandbox.events().len(), 1, "what was refused told nobody");
}

#[tokio::test]
async fn only_keys_for_tests_come_in() {
    let mut stripe = Visitor::start().await;
    for (key, word) in [
        ("", "did not provide an API key"),
        ("sk_test_invalid", "Invalid API Key provided: sk_test_****alid"),
        ("pk_test_any", "Invalid API Key"),
        (concat!("sk_", "live_any"), "takes no live keys"),
    ] {
        stripe.key = key;
        let (status, body) = stripe.get("/v1/customers").await;
        assert_eq!(status, 401, "{key}");
        assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains(word)), "{key}: {body}");
    }
    let by_name =
        stripe.http.get(format!("{}/v1/account", stripe.sandbox.base_url())).basic_auth("sk_test_x", None::<&str>);
    assert_eq!(by_name.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn lists_are_walked_by_cursors_in_both_directions() {
    let stripe = Visitor::start().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(stripe.customer().await);
        stripe.advance(1);
    }
    made.reverse();
    let ids = |page: &Value| page["data"].as_array().expect("a list").iter().map(id).collect::<Vec<_>>();
    let first = stripe.the("/v1/customers?limit=3").await;
    assert_eq!((ids(&first), &first["has_more"]), (made[..3].to_vec(), &json!(true)));
    assert_eq!((&first["object"], &first["url"]), (&json!("list"), &json!("/v1/customers")));
    let second = stripe.the(&format!("/v1/customers?limit=3&starting_after={}", made[2])).await;
    assert_eq!((ids(&second), &second["has_more"]), (made[3..6].to_vec(), &json!(true)));
    let last = stripe.the(&format!("/v1/customers?limit=3&starting_after={}", made[5])).await;
    assert_eq!((ids(&last), &last["has_more"]), (made[6..].to_vec(), &json!(false)));
    let back = stripe.the(&format!("/v1/customers?limit=2&ending_before={}", made[4])).await;
    assert_eq!((ids(&back), &back["has_more"]), (made[2..4].to_vec(), &json!(true)));
    let within = stripe.the(&format!("/v1/customers?created[gte]={}&created[lt]={}", NOON + 2, NOON + 4)).await;
    assert_eq!(ids(&within), made[3..5]);
    // A cursor holds although its object no longer belongs to the list.
    stripe.delete(&format!("/v1/customers/{}", made[2])).await;
    let after = stripe.the(&format!("/v1/customers?limit=1&starting_after={}", made[2])).await;
    assert_eq!(ids(&after), made[3..4]);
    for wrong in ["limit=0", "limit=101", "limit=x", "starting_after=cus_nobody", "page=2", "created[gtx]=1"] {
        assert_eq!(stripe.get(&format!("/v1/customers?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn answers_carry_their_request_and_version() {
    let stripe = Visitor::start().await;
    let answer = stripe.send(Method::GET, "/v1/account", &[], &[("stripe-version", "2026-10-28.endive")]).await;
    assert_eq!(answer.headers()["stripe-version"], "2026-10-28.endive");
    let request = answer.headers()["request-id"].to_str().expect("text").to_owned();
    assert_eq!(stripe.sandbox.journal().pop().map(|entry| entry.request_id), Some(request));
    let wrong = stripe.send(Method::GET, "/v1/account", &[], &[("stripe-version", "latest")]).await;
    assert_eq!(wrong.status(), 400);
}

#[tokio::test]
async fn older_versions_see_the_older_shapes() {
    let stripe = Visitor::start().await;
    let (_, subscription) = stripe.subscriber().await;
    let path = format!("/v1/subscriptions/{subscription}?expand[]=latest_invoice.payment_intent");
    let item = |found: &Value| found["items"]["data"][0].clone();
    let now = stripe.the(&path).await;
    assert!(now.get("current_period_end").is_none() && item(&now)["current_period_end"].is_i64());
    assert_eq!(now["latest_invoice"]["parent"]["subscription_details"]["subscription"], subscription);
    let answer = stripe.send(Method::GET, &path, &[], &[("stripe-version", "2024-06-20")]).await;
    let then: Value = answer.json().await.expect("JSON");
    assert_eq!(then["current_period_end"], item(&now)["current_period_end"]);
    assert!(item(&then).get("current_period_end").is_none());
    let invoice = &then["latest_invoice"];
    assert_eq!((&invoice["subscription"], &invoice["paid"]), (&json!(subscription), &json!(true)));
    assert!(
        invoice.get("parent").is_none() && invoice["payment_intent"].as_str().is_some_and(|id| id.starts_with("pi_"))
    );
}

#[tokio::test]
async fn what_is_sold_is_found_and_objects_are_expanded() {
    let stripe = Visitor::start().await;
    let price = stripe.the("/v1/prices/price_sandbox_pro?expand[]=product").await;
    assert_eq!((&price["unit_amount"], &price["currency"]), (&json!(49_900), &json!("inr")));
    assert_eq!((&price["product"]["name"], &price["recurring"]["interval"]), (&json!("Pro"), &json!("month")));
    assert_eq!(stripe.the("/v1/products").await["data"][0]["default_price"], "price_sandbox_pro");
    assert_eq!(stripe.get("/v1/prices/price_x").await.0, 404);
    let (customer, subscription) = stripe.subscriber().await;
    let sessions =
        stripe.the("/v1/checkout/sessions?expand[]=data.line_items&expand[]=data.subscription.customer").await;
    let session = &sessions["data"][0];
    assert_eq!(session["line_items"]["data"][0]["price"]["id"], "price_sandbox_pro");
    assert_eq!(
        (&session["subscription"]["id"], &session["subscription"]["customer"]["id"]),
        (&json!(subscription), &json!(customer))
    );
    let found = stripe.the(&format!("/v1/customers/{customer}?expand[]=subscriptions")).await;
    assert_eq!(found["subscriptions"]["data"][0]["id"], subscription);
    let (status, _) = stripe.post("/v1/customers", &[("expand[]", "nonsense")]).await;
    assert_eq!((status, stripe.the("/v1/customers").await["data"].as_array().map(Vec::len)), (400, Some(1)));
}

#[tokio::test]
async fn an_invoice_leads_to_its_charge_and_the_charge_back_to_the_money() {
    let stripe = Visitor::start().await;
    let (customer, subscription) = stripe.subscriber().await;
    let invoice = stripe.the(&format!("/v1/invoices?subscription={subscription}")).await["data"][0].clone();
    assert_eq!(
        (&invoice["status"], &invoice["amount_paid"], &invoice["amount_remaining"]),
        (&json!("paid"), &json!(49_900), &json!(0))
    );
    let payments = stripe.the(&format!("/v1/invoice_payments?invoice={}", id(&invoice))).await;
    let intent = payments["data"][0]["payment"]["payment_intent"].as_str().expect("an intent").to_owned();
    let intent = stripe.the(&format!("/v1/payment_intents/{intent}?expand[]=latest_charge")).await;
    assert_eq!((&intent["status"], &intent["latest_charge"]["paid"]), (&json!("succeeded"), &json!(true)));
    let charge = id(&intent["latest_charge"]);
    let seen = stripe.told(0).len();
    let (status, refund) = stripe.post("/v1/refunds", &[("payment_intent", &id(&intent)), ("amount", "9900")]).await;
    assert_eq!((status, &refund["charge"], &refund["status"]), (200, &json!(charge), &json!("succeeded")));
    let (status, body) = stripe.post("/v1/refunds", &[("charge", &charge), ("amount", "40001")]).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("amount")));
    let (status, refund) = stripe.post("/v1/refunds", &[("charge", &charge), ("reason", "duplicate")]).await;
    assert_eq!((status, &refund["amount"]), (200, &json!(40_000)));
    let (status, body) = stripe.post("/v1/refunds", &[("charge", &charge)]).await;
    assert_eq!((status, code(&body)), (400, "charge_already_refunded"));
    let found = stripe.the(&format!("/v1/charges/{charge}?expand[]=refunds")).await;
    assert_eq!((&found["refunded"], &found["amount_refunded"]), (&json!(true), &json!(49_900)));
    assert_eq!(found["refunds"]["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(stripe.the(&format!("/v1/charges?customer={customer}")).await["data"][0]["id"], charge);
    assert_eq!(stripe.told(seen), ["refund.created", "charge.refunded", "refund.created", "charge.refunded"]);
    assert_eq!(stripe.status(&subscription).await, "active", "a refund ends nothing");
}

#[tokio::test]
async fn a_refund_that_the_bank_does_not_take_comes_back() {
    let stripe = Visitor::start().await;
    let (customer, _) = stripe.subscriber().await;
    let charge = id(&stripe.the(&format!("/v1/charges?customer={customer}")).await["data"][0]);
    let (_, refund) = stripe.post("/v1/refunds", &[("charge", &charge)]).await;
    let seen = stripe.told(0).len();
    let path = format!("/sandbox/refunds/{}/fail", id(&refund));
    let (status, failed) = stripe.control(&path, &json!({})).await;
    assert_eq!(
        (status, &failed["status"], &failed["failure_reason"]),
        (200, &json!("failed"), &json!("expired_or_canceled_card"))
    );
    assert_eq!(stripe.told(seen), ["charge.refund.updated", "refund.failed"]);
    let found = stripe.the(&format!("/v1/charges/{charge}")).await;
    assert_eq!((&found["refunded"], &found["amount_refunded"]), (&json!(false), &json!(0)));
    assert_eq!(stripe.control(&path, &json!({})).await.0, 400, "once");
    assert!(!stripe.sandbox.fail_refund("re_none"));
    assert_eq!(stripe.post("/v1/refunds", &[("charge", &charge)]).await.0, 200, "it can be made again");
}

#[tokio::test]
async fn a_bank_disputes_a_charge_once() {
    let stripe = Visitor::start().await;
    let (customer, _) = stripe.subscriber().await;
    let charge = id(&stripe.the(&format!("/v1/charges?customer={customer}")).await["data"][0]);
    let (status, dispute) = stripe.control("/sandbox/disputes", &json!({"charge": charge})).await;
    assert_eq!((status, &dispute["status"], &dispute["amount"]), (200, &json!("needs_response"), &json!(49_900)));
    assert!(!stripe.sandbox.dispute(&charge));
    assert_eq!(stripe.told(0).pop().as_deref(), Some("charge.dispute.created"));
    assert_eq!(stripe.the(&format!("/v1/disputes?charge={charge}")).await["data"][0]["id"], dispute["id"]);
    assert_eq!(stripe.the(&format!("/v1/charges/{charge}")).await["disputed"], true);
    assert_eq!(stripe.post("/v1/refunds", &[("charge", &charge)]).await.0, 400);
    let (_, closed) = stripe.control(&format!("/sandbox/disputes/{}", id(&dispute)), &json!({"won": false})).await;
    assert_eq!(
        (closed["status"].as_str(), stripe.told(0).pop().as_deref()),
        (Some("lost"), Some("charge.dispute.closed"))
    );
}
