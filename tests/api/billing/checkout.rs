//! Subscribing.

use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::auth::Plan;
use gemini_backend::sandbox::stripe::{Action, Ended, Entry, Fault, Rule};
use serde_json::{Value, json};

use crate::harness::TestApp;

#[tokio::test]
async fn paying_makes_pro_and_the_next_request_has_it() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let standing = ada.standing().await;
    assert_eq!((&standing["plan"], &standing["status"]), (&json!("basic"), &json!("none")));
    assert_eq!(standing["cancel_at_period_end"], false);
    let answer = ada.post("/subscribe/pro", json!({})).await.expect(200).json();
    assert!(answer["checkout_url"].as_str().expect("an address").starts_with(&app.shop().base_url()));
    assert_eq!(answer["expires_at"], "2026-11-22T10:00:00.000Z");
    let session = answer["session_id"].as_str().expect("an id").to_owned();
    let back = app.shop().checkout(&session, Action::Pay).expect("the browser leaves");
    assert!(back.ends_with(&format!("/billing/return?session_id={session}")), "{back}");
    app.hear().await;
    let standing = ada.standing().await;
    assert_eq!((&standing["plan"], &standing["status"]), (&json!("pro"), &json!("active")));
    assert_eq!(standing["current_period_end"], "2026-12-21T10:00:00.000Z");
    assert_eq!(standing["prompts"]["limit"], Value::Null);
    assert_eq!(ada.get("/user/me").await.json()["plan"], "pro");
    let history = ada.history().await;
    let said: Vec<_> = history.iter().map(|line| line["what"].as_str().expect("a word")).collect();
    assert!(said.contains(&"subscription_started") && said.contains(&"plan_changed"), "{history:#?}");
    for line in &history {
        assert_eq!(line["cause"]["kind"], "event", "{line}");
        assert!(line["cause"]["id"].as_str().is_some_and(|id| id.starts_with("evt_")), "{line}");
    }
    let started = history.iter().find(|line| line["what"] == "subscription_started").expect("a line");
    assert_eq!((&started["amount"], &started["currency"]), (&json!(49900), &json!("inr")));
}

#[tokio::test]
async fn stripe_is_asked_in_its_own_words() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.opens_checkout().await;
    let journal = app.shop().journal();
    let asked = |path: &str| journal.iter().find(|entry| entry.path == path && entry.method == "POST").expect(path);
    let (customer, session) = (asked("/v1/customers"), asked("/v1/checkout/sessions"));
    assert_eq!(customer.form["metadata"]["user_id"], ada.id);
    assert!(customer.form["phone"].as_str().is_some_and(|phone| phone.starts_with('+')));
    assert_eq!(session.form["mode"], "subscription");
    assert_eq!(session.form["client_reference_id"], ada.id);
    assert_eq!(session.form["metadata"]["user_id"], ada.id);
    assert_eq!(session.form["subscription_data"]["metadata"]["user_id"], ada.id);
    assert!(session.form["success_url"].as_str().is_some_and(|url| url.contains("{CHECKOUT_SESSION_ID}")));
    assert!(session.form.get("payment_method_types").is_none());
    for entry in &journal {
        assert_eq!(entry.api_version.as_deref(), Some("2026-10-28.endive"));
        assert_eq!(entry.idempotency_key.is_some(), entry.method != "GET", "{} {}", entry.method, entry.path);
    }
}

#[tokio::test]
async fn twenty_at_once_make_one_customer_and_one_session() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let sessions = join_all((0..20).map(|_| ada.opens_checkout())).await;
    assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
    assert_eq!(app.executed("POST", "/v1/customers"), 1);
    assert_eq!(app.executed("POST", "/v1/checkout/sessions"), 1);
    assert_eq!(app.count("select count(*) from checkouts").await, 1);
}

#[tokio::test]
async fn an_open_session_is_given_again_and_another_way_back_makes_another() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let first = ada.opens_checkout().await;
    app.clock.advance(Duration::from_hours(2));
    let ada = ada.at(&app);
    assert_eq!(ada.opens_checkout().await, first);
    let elsewhere = json!({"success_url": "http://localhost:3000/paid", "cancel_url": "http://localhost:3000/plans"});
    let second = ada.post("/subscribe/pro", elsewhere.clone()).await.expect(200).json();
    assert_ne!(second["session_id"], json!(first));
    let old = app.stripe("GET", &format!("checkout/sessions/{first}"), &[]).await;
    assert_eq!(old["status"], "expired", "two open pages would be two ways to pay");
    let again = ada.post("/subscribe/pro", elsewhere).await.expect(200).json();
    assert_eq!(again["session_id"], second["session_id"]);
    app.clock.advance(Duration::from_hours(25));
    let third = ada.at(&app).opens_checkout().await;
    assert_ne!(json!(third), second["session_id"], "a session lives for a day");
}

#[tokio::test]
async fn whoever_has_a_subscription_needs_none() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    assert_eq!(ada.post("/subscribe/pro", json!({})).await.expect(409).code(), "already_subscribed");
}

#[tokio::test]
async fn whoever_is_pro_by_an_operators_word_is_sold_nothing() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.set_plan(Plan::Pro).await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "none".to_owned()));
    assert_eq!(ada.post("/subscribe/pro", json!({})).await.expect(409).code(), "already_subscribed");
    assert_eq!(app.executed("POST", "/v1/checkout/sessions"), 0);
    ada.set_plan(Plan::Basic).await;
    ada.buys().await;
}

#[tokio::test]
async fn who_has_paid_and_asks_again_before_the_news_is_told_so() {
    let app = TestApp::selling().await;
    app.block_webhooks();
    let ada = app.sign_up().await;
    ada.pays().await;
    assert_eq!(ada.post("/subscribe/pro", json!({})).await.expect(409).code(), "already_subscribed");
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn a_key_gives_the_first_answer_again() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let ask = |body: Value| {
        let call = ada.call("POST", "/subscribe/pro").header("idempotency-key", "buy-1").json(&body);
        async move { call.send().await }
    };
    let first = ask(json!({})).await.expect(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    let answers = join_all((0..5).map(|_| ask(json!({})))).await;
    for answer in answers {
        let answer = answer.expect(200);
        assert_eq!(answer.header("idempotency-replayed"), Some("true"));
        assert_eq!(answer.json(), first.json());
    }
    let other = ask(json!({"success_url": "http://localhost/other"})).await.expect(422);
    assert_eq!(other.code(), "idempotency_mismatch");
}

#[tokio::test]
async fn a_repeated_key_shows_what_became_of_the_checkout() {
    let app = TestApp::selling().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    // Nobody tells: the answer does not wait for that.
    app.block_webhooks();
    for (person, action, status) in [(&ada, Action::Pay, "complete"), (&bob, Action::Expire, "expired")] {
        let ask = || person.call("POST", "/subscribe/pro").header("idempotency-key", "buy-1").json(&json!({})).send();
        let first = ask().await.expect(200).json();
        assert_eq!(first["status"], "open");
        let session = first["session_id"].as_str().expect("an id");
        let _ = app.shop().checkout(session, action);
        for _ in 0..2 {
            let again = ask().await.expect(200);
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
            let shown = json!({"status": status, "checkout_url": null, "session_id": session,
                "expires_at": first["expires_at"]});
            assert_eq!(again.json(), shown);
        }
    }
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()), "what was seen holds");
    assert_eq!(bob.stands().await.0, "basic");
    assert_eq!(app.executed("POST", "/v1/checkout/sessions"), 2);
}

#[tokio::test]
async fn a_page_that_cannot_be_closed_at_once_is_closed_by_the_next_request() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let session = ada.opens_checkout().await;
    let expire = format!("/v1/checkout/sessions/{session}/expire");
    // Stripe remembers its failure for whoever asks under the same key.
    app.shop().script(Rule { remember: true, ..Rule::on("POST", &expire).refuse(Fault::of(500)).after() });
    let elsewhere = json!({"success_url": "http://localhost:3000/paid"});
    assert_eq!(ada.post("/subscribe/pro", elsewhere.clone()).await.expect(503).code(), "billing_unavailable");
    let opened = ada.post("/subscribe/pro", elsewhere).await.expect(200).json();
    assert_ne!(opened["session_id"], json!(session));
}

#[tokio::test]
async fn stripe_away_is_a_503_that_leaves_nothing_half_made() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    for path in ["/v1/customers", "/v1/checkout/sessions"] {
        app.shop().script(Rule::on("POST", path).times(3).refuse(Fault::of(503).with_retry_after("1")));
        let answer = ada.post("/subscribe/pro", json!({})).await.expect(503);
        assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("billing_unavailable", Some("1")));
    }
    assert_eq!(app.executed("POST", "/v1/checkout/sessions"), 0);
    ada.opens_checkout().await;
    assert_eq!((app.executed("POST", "/v1/customers"), app.executed("POST", "/v1/checkout/sessions")), (1, 1));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_and_done_once() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    for path in ["/v1/customers", "/v1/checkout/sessions"] {
        // Carried out, and the connection breaks before the answer.
        app.shop().script(Rule::on("POST", path).cut().after());
    }
    ada.opens_checkout().await;
    assert_eq!((app.executed("POST", "/v1/customers"), app.executed("POST", "/v1/checkout/sessions")), (1, 1));
    assert!(app.shop().journal().iter().any(|entry| entry.is_replayed), "the same key was sent again");
}

#[tokio::test]
async fn an_attempt_whose_outcome_is_not_known_is_taken_up_by_the_next_request() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    // Every answer is late: this request gives up, and its session is made all the same.
    app.shop().script(Rule::on("POST", "/v1/checkout/sessions").hold());
    let request = {
        let call = ada.call("POST", "/subscribe/pro").json(&json!({}));
        app.app.tasks.spawn(async move { call.send().await })
    };
    let held = |entries: &[Entry]| entries.iter().any(|entry| entry.end == Ended::Held);
    app.shop().wait_until(held).await;
    // The process dies here, and another one takes over.
    request.abort();
    let later = app.reset(|_| {}).await;
    let session = ada.at(&later).opens_checkout().await;
    app.shop().release();
    assert_eq!(app.executed("POST", "/v1/checkout/sessions"), 1);
    assert_eq!(ada.at(&later).opens_checkout().await, session);
}

#[tokio::test]
async fn an_attempt_that_stripe_refuses_for_good_is_not_repeated() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    // A price that is archived, say; then the operator has mended it.
    app.shop().script(Rule::on("POST", "/v1/checkout/sessions").refuse(Fault::of(400).with_message("No such price")));
    assert_eq!(ada.post("/subscribe/pro", json!({})).await.expect(503).code(), "billing_unavailable");
    ada.opens_checkout().await;
    let journal = app.shop().journal().into_iter();
    let keys: Vec<_> =
        journal.filter(|entry| entry.path == "/v1/checkout/sessions").map(|entry| entry.idempotency_key).collect();
    assert!(keys.len() == 2 && keys[0] != keys[1], "another call has another key: {keys:?}");
}

#[tokio::test]
async fn a_failure_that_stripe_keeps_under_the_key_is_left_behind() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    for path in ["/v1/customers", "/v1/checkout/sessions"] {
        // Carried out, and answered by an error that every repetition gets.
        let kept = Rule { remember: true, ..Rule::on("POST", path).refuse(Fault::of(500)).after() };
        app.shop().script(kept);
    }
    let mut tries = 0;
    while ada.post("/subscribe/pro", json!({})).await.status != 200 {
        tries += 1;
        assert!(tries < 5, "it never gets past it");
    }
    let customer = ada.customer().await;
    let open = app.stripe("GET", &format!("checkout/sessions?customer={customer}&status=open"), &[]).await;
    assert_eq!(open["data"].as_array().map(Vec::len), Some(1), "the page of the lost answer is closed: {open}");
}

#[tokio::test]
async fn who_opens_one_checkout_after_the_other_has_to_wait() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    for number in 0..20 {
        let there = json!({"success_url": format!("http://localhost/{number}")});
        ada.post("/subscribe/pro", there).await.expect(200);
    }
    let refusal = ada.post("/subscribe/pro", json!({"success_url": "http://localhost/20"})).await.expect(429);
    assert_eq!((refusal.code().as_str(), refusal.header("retry-after")), ("rate_limited", Some("3601")));
    // What was open stays so.
    ada.post("/subscribe/pro", json!({"success_url": "http://localhost/19"})).await.expect(200);
    app.clock.advance(Duration::from_secs(3601));
    ada.at(&app).post("/subscribe/pro", json!({"success_url": "http://localhost/20"})).await.expect(200);
}

#[tokio::test]
async fn a_card_that_is_declined_buys_nothing_and_the_session_stays_open() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let session = ada.opens_checkout().await;
    assert_eq!(app.shop().checkout(&session, Action::Decline), None);
    app.hear().await;
    assert_eq!(ada.stands().await.0, "basic");
    assert_eq!(ada.opens_checkout().await, session);
    app.shop().checkout(&session, Action::Pay).expect("the browser leaves");
    app.hear().await;
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn a_payment_that_takes_its_time_is_pro_when_it_arrives() {
    let app = TestApp::selling().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    for (person, action) in [(&ada, Action::Delayed), (&bob, Action::DelayedFailure)] {
        let session = person.opens_checkout().await;
        app.shop().checkout(&session, action).expect("the browser leaves");
    }
    app.hear().await;
    assert_eq!(ada.stands().await.0, "basic");
    app.live(Duration::from_hours(2)).await;
    assert_eq!(ada.at(&app).stands().await, ("pro".to_owned(), "active".to_owned()));
    assert_eq!(bob.at(&app).stands().await.0, "basic");
}

#[tokio::test]
async fn a_second_subscription_is_ended_refunded_and_said() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.opens_checkout().await;
    let customer = ada.customer().await;
    app.stripe("POST", &format!("customers/{customer}"), &[]).await;
    let first = ada.buys().await;
    app.clock.advance(Duration::from_mins(1));
    // Another page that was open beside ours.
    let form = [
        ("mode", "subscription"),
        ("customer", customer.as_str()),
        ("success_url", "http://localhost/paid"),
        ("line_items[0][price]", "price_sandbox_pro"),
        ("line_items[0][quantity]", "1"),
        ("subscription_data[metadata][user_id]", ada.id.as_str()),
    ];
    let session = app.stripe("POST", "checkout/sessions", &form).await;
    app.shop().checkout(session["id"].as_str().expect("an id"), Action::Pay).expect("the browser leaves");
    app.hear().await;
    app.hear().await;
    let subs = ada.subscriptions().await;
    assert_eq!(subs[0], first);
    let status = |id: &str| app.shop().subscription(id).expect("it is there")["status"].clone();
    assert_eq!((status(&subs[0]), status(&subs[1])), (json!("active"), json!("canceled")));
    let refunds = app.stripe("GET", "refunds", &[]).await;
    assert_eq!(refunds["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(refunds["data"][0]["amount"], 49900);
    let ended: Vec<_> = ada.history().await.into_iter().filter(|line| line["what"] == "duplicate_ended").collect();
    assert_eq!(ended.len(), 1);
    assert_eq!((&ended[0]["amount"], &ended[0]["currency"]), (&json!(49900), &json!("inr")));
    assert_eq!((&ended[0]["subscription_id"], &ended[0]["plan"]), (&json!(subs[1]), &json!("pro")));
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn a_subscription_that_is_not_of_our_checkout_is_left_alone() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    let first = ada.buys().await;
    let customer = ada.customer().await;
    app.clock.advance(Duration::from_secs(1));
    let form = [("customer", customer.as_str()), ("items[0][price]", "price_sandbox_pro")];
    let other = app.stripe("POST", "subscriptions", &form).await;
    app.hear().await;
    let other = other["id"].as_str().expect("an id");
    for id in [first.as_str(), other] {
        assert_eq!(app.shop().subscription(id).expect("it is there")["status"], "active");
    }
    ada.post("/subscription/cancel", json!({})).await.expect(200);
    let cancels = |id: &str| app.shop().subscription(id).expect("it is there")["cancel_at_period_end"].clone();
    assert_eq!(cancels(&first), true);
    // It was bought a moment later, so ours is the one that counts.
    assert_eq!(cancels(other), false);
}

#[tokio::test]
async fn where_nothing_is_sold_that_is_said() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    for path in ["/subscribe/pro", "/subscription/cancel", "/subscription/resume", "/subscription/portal"] {
        assert_eq!(ada.post(path, json!({})).await.expect(503).code(), "billing_not_configured", "{path}");
    }
    assert_eq!(app.post("/webhook/stripe").json(&json!({})).send().await.expect(503).code(), "billing_not_configured");
    let back = app.get("/billing/return?session_id=cs_1").send().await.expect(503);
    assert_eq!(back.code(), "billing_not_configured");
    assert_eq!(ada.stands().await, ("basic".to_owned(), "none".to_owned()));
}

#[tokio::test]
async fn a_customer_that_is_gone_at_stripe_is_made_again() {
    let app = TestApp::selling().await;
    let ada = app.sign_up().await;
    ada.buys().await;
    let customer = ada.customer().await;
    app.stripe("DELETE", &format!("customers/{customer}"), &[]).await;
    app.hear().await;
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    ada.buys().await;
    assert_ne!(ada.customer().await, customer);
    assert_eq!(ada.stands().await, ("pro".to_owned(), "active".to_owned()));
}

#[tokio::test]
async fn only_allowed_addresses_are_led_back_to() {
    let app = TestApp::selling_with(|settings| {
        settings.stripe.return_urls = ["https://app.example.com/billing", "chat-app://"]
            .iter()
            .filter_map(|url| gemini_backend::config::ReturnUrl::new(url))
            .collect();
    })
    .await;
    let ada = app.sign_up().await;
    for allowed in ["https://app.example.com/billing/done?a=1", "chat-app://paid", "http://127.0.0.1:5173/x"] {
        ada.post("/subscribe/pro", json!({"success_url": allowed, "cancel_url": allowed})).await.expect(200);
    }
    for foreign in [
        "https://evil.example/billing",
        "https://app.example.com/other",
        "javascript:alert(1)",
        "/paid",
        "",
        "http://local\thost/",
    ] {
        for field in ["success_url", "cancel_url"] {
            let refusal = ada.post("/subscribe/pro", json!({(field): foreign})).await.expect(422).json();
            assert_eq!(refusal["errors"][0]["field"], field, "{foreign}");
        }
        let refusal = ada.post("/subscription/portal", json!({"return_url": foreign})).await.expect(422).json();
        assert_eq!(refusal["errors"][0]["field"], "return_url", "{foreign}");
    }
}
