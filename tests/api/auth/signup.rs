//! Signing up: whose password counts.

use std::time::Duration;

use gemini_backend::config::Proxies;
use gemini_backend::fetch_one;
use serde_json::{Value, json};

use super::{ADA, BOB, Tokens, at_once, count, other_than};
use crate::harness::TestApp;

const PASSWORD: &str = "correct horse";

async fn strict() -> TestApp {
    TestApp::with(|settings| settings.auth.legacy_signup = false).await
}

/// Signs up and verifies, with more members in the verification.
async fn verified(app: &TestApp, more: impl FnOnce(&Value) -> Value) -> Tokens {
    let wish = json!({"mobile": ADA, "password": PASSWORD, "username": "Ada"});
    let signup = app.tell("/auth/signup", wish).await.expect(201).json();
    let mut body = json!({"mobile": ADA, "otp": app.code(ADA, "signup").await});
    for (name, value) in more(&signup).as_object().expect("members") {
        body[name] = value.clone();
    }
    Tokens::of(&app.tell("/auth/verify-otp", body).await.expect(200))
}

#[tokio::test]
async fn a_signup_with_its_token_becomes_the_user() {
    let app = strict().await;
    let wish = json!({"mobile": ADA, "password": PASSWORD, "username": " Ada "});
    let signup = app.tell("/auth/signup", wish).await.expect(201).json();
    assert_eq!((&signup["user"]["mobile_verified"], &signup["user"]["username"]), (&json!(false), &json!("Ada")));
    let body = json!({"mobile": ADA, "otp": app.code(ADA, "login").await, "signup_token": signup["signup_token"]});
    let pair = app.tell("/auth/verify-otp", body).await.expect(200).json();
    let user = &pair["user"];
    assert_eq!((&user["id"], &user["username"]), (&signup["user"]["id"], &json!("Ada")));
    assert_eq!((&user["mobile_verified"], &user["password_set"]), (&json!(true), &json!(true)));
    assert_eq!((&user["role"], &user["plan"]), (&json!("user"), &json!("basic")));
    app.obtain(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_new_user_has_a_place_in_the_queue() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let mut reader = app.app.store.read().await.expect("a connection");
    let id: uuid::Uuid = ada.user["id"].as_str().expect("an id").parse().expect("an id");
    let sql = "select weight, at_once, vtime, in_flight from queue_users where user_id = $1";
    let row = fetch_one!(&mut reader, (i64, i64, i64, i64), sql, id).expect("a place");
    assert_eq!(row, (1, 2, 0, 0));
}

#[tokio::test]
async fn a_password_that_somebody_else_chose_counts_nothing() {
    let app = strict().await;
    // Somebody signs up another's number and waits for its person to verify it.
    let ada = verified(&app, |_| json!({})).await;
    assert_eq!((&ada.user["password_set"], &ada.user["username"]), (&json!(false), &Value::Null));
    assert_eq!(app.obtain(ADA, PASSWORD).await.expect(401).code(), "bad_credentials");
}

#[tokio::test]
async fn the_password_again_proves_the_signup() {
    let app = strict().await;
    let ada = verified(&app, |_| json!({"password": PASSWORD})).await;
    assert_eq!(ada.user["username"], "Ada");
    app.obtain(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn another_password_or_a_foreign_token_proves_nothing() {
    let app = TestApp::start().await;
    let ada = verified(&app, |_| json!({"password": "battery staple"})).await;
    assert_eq!(ada.user["password_set"], false);
    let app = strict().await;
    let bobs = app.tell("/auth/signup", json!({"mobile": BOB, "password": "bobs password"})).await.expect(201).json();
    let ada = verified(&app, |_| json!({"signup_token": bobs["signup_token"]})).await;
    assert_eq!(ada.user["password_set"], false);
    let app = strict().await;
    let ada = verified(&app, |signup| json!({"signup_token": format!("{}A", signup["signup_token"])})).await;
    assert_eq!(ada.user["password_set"], false);
}

#[tokio::test]
async fn the_older_clients_prove_it_by_coming_soon_from_the_same_address() {
    let app = TestApp::start().await;
    assert_eq!(verified(&app, |_| json!({})).await.user["password_set"], true);

    let app = TestApp::start().await;
    app.tell("/auth/signup", json!({"mobile": ADA, "password": PASSWORD})).await.expect(201);
    app.clock.advance(Duration::from_millis(600_001));
    assert_eq!(app.sign_in(ADA).await.user["password_set"], false);

    let app = TestApp::with(|settings| settings.server.trusted_proxies = Proxies::Hops(1)).await;
    let elsewhere = app.post("/auth/signup").header("x-forwarded-for", "203.0.113.9");
    elsewhere.json(&json!({"mobile": ADA, "password": PASSWORD})).send().await.expect(201);
    assert_eq!(app.sign_in(ADA).await.user["password_set"], false);
}

#[tokio::test]
async fn strangers_cannot_crowd_out_a_signup_that_is_proven() {
    for proof in ["password", "signup_token", ""] {
        let app = TestApp::with(|settings| {
            settings.server.trusted_proxies = Proxies::Hops(1);
            settings.auth.legacy_signup = proof.is_empty();
        })
        .await;
        let own = |path: &str| app.post(path).header("x-forwarded-for", "198.51.100.7");
        let wish = json!({"mobile": ADA, "password": PASSWORD});
        let signup = own("/auth/signup").json(&wish).send().await.expect(201).json();
        for n in 0..21 {
            let foreign = app.post("/auth/signup").header("x-forwarded-for", &format!("203.0.113.{n}"));
            foreign.json(&json!({"mobile": ADA, "password": format!("stranger {n}")})).send().await.expect(201);
        }
        let mut body = json!({"mobile": ADA, "otp": app.code(ADA, "signup").await});
        match proof {
            "password" => body["password"] = json!(PASSWORD),
            "signup_token" => body["signup_token"] = signup["signup_token"].clone(),
            _ => {}
        }
        let pair = own("/auth/verify-otp").json(&body).send().await.expect(200).json();
        assert_eq!(pair["user"]["id"], signup["user"]["id"], "by {proof:?}");
    }
}

#[tokio::test]
async fn who_has_not_the_code_makes_nobody_compare_passwords() {
    let app = strict().await;
    for n in 0..8 {
        let wish = json!({"mobile": ADA, "password": format!("password {n}")});
        app.tell("/auth/signup", wish).await.expect(201);
    }
    let otp = app.code(ADA, "signup").await;
    for (otp, status, hashes) in [(other_than(&otp), 401, 0..1), (otp, 200, 8..100)] {
        let before = app.app.keys.passwords.hashed();
        let body = json!({"mobile": ADA, "otp": otp, "password": "none of these"});
        app.tell("/auth/verify-otp", body).await.expect(status);
        let made = app.app.keys.passwords.hashed() - before;
        assert!(hashes.contains(&made), "{made} hashes for a {status}");
    }
}

#[tokio::test]
async fn a_code_with_a_password_beside_it_is_used_once_too() {
    let app = TestApp::with(|settings| {
        settings.auth.legacy_signup = false;
        settings.throttles.failed_verifications_by_address = 1000;
    })
    .await;
    app.tell("/auth/signup", json!({"mobile": ADA, "password": PASSWORD})).await.expect(201);
    let otp = app.code(ADA, "signup").await;
    let body = json!({"mobile": ADA, "otp": otp, "password": PASSWORD});
    let answers = at_once(20, |_| app.tell("/auth/verify-otp", body.clone())).await;
    assert_eq!((count(&answers, ""), count(&answers, "otp_invalid")), (1, 19));
    app.obtain(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_number_is_taken_once_it_is_verified() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        app.tell("/auth/signup", json!({"mobile": ADA})).await.expect(201);
    }
    app.sign_in(ADA).await;
    let taken = app.tell("/auth/signup", json!({"mobile": "+91 98765 43210"})).await.expect(409);
    assert_eq!(taken.code(), "mobile_taken");
}

#[tokio::test]
async fn a_number_alone_is_sent_its_code_where_older_clients_sign_up() {
    let app = TestApp::start().await;
    let signup = app.tell("/auth/signup", json!({"mobile": ADA})).await.expect(201).json();
    let otp = signup["otp"].as_str().expect("a code");
    // Who asks for one as well is told the same.
    assert_eq!(app.code(ADA, "login").await, otp);
    let pair = app.verify(ADA, otp).await.expect(200).json();
    assert_eq!(pair["user"]["id"], signup["user"]["id"]);
    for more in [json!({"password": PASSWORD}), json!({"username": "Bob"})] {
        let mut wish = json!({"mobile": BOB});
        wish.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        let answer = app.tell("/auth/signup", wish).await.expect(201).json();
        assert!(answer.get("otp").is_none(), "{answer}");
    }
    assert_eq!(app.count("select count(*) from codes").await, 1);
    let forwarded = app.post("/auth/signup").header("x-forwarded-for", "203.0.113.9").json(&json!({"mobile": BOB}));
    let answer = forwarded.send().await.expect(201).json();
    assert!(answer.get("otp").is_none(), "it is for this machine only: {answer}");
    assert_eq!(app.count("select count(*) from codes").await, 2);
}

#[tokio::test]
async fn the_codes_of_sign_ups_are_counted_like_all_others() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        app.tell("/auth/signup", json!({"mobile": ADA})).await.expect(201);
    }
    let refused = app.tell("/auth/signup", json!({"mobile": ADA})).await.expect(429);
    assert_eq!(refused.code(), "rate_limited");
    assert_eq!(app.count("select count(*) from signups").await, 5, "what is refused is not kept");
    assert_eq!(app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(429).code(), "rate_limited");
    let app = app.reset(|settings| settings.auth.legacy_signup = false).await;
    let answer = app.tell("/auth/signup", json!({"mobile": ADA})).await.expect(201).json();
    assert!(answer.get("otp").is_none(), "{answer}");
}

#[tokio::test]
async fn where_signing_up_is_closed_only_who_signed_up_comes_in() {
    let app = TestApp::with(|settings| settings.auth.auto_signup = false).await;
    let otp = app.code(BOB, "login").await;
    assert_eq!(app.verify(BOB, &otp).await.expect(403).code(), "signup_closed");
    let ada = app.sign_up_with(ADA, PASSWORD).await;
    assert_eq!(app.sign_in(ADA).await.user["id"], ada.user["id"]);
}

#[tokio::test]
async fn signing_up_is_throttled_by_address() {
    let app = TestApp::with(|settings| settings.throttles.signups_by_address = 2).await;
    app.sign_up_with(ADA, PASSWORD).await;
    assert_eq!(app.tell("/auth/signup", json!({"mobile": ADA})).await.expect(409).code(), "mobile_taken");
    let refused = app.tell("/auth/signup", json!({"mobile": ADA})).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("300")));
}

#[tokio::test]
async fn what_is_no_signup_is_refused_by_field() {
    let app = TestApp::start().await;
    let long = "x".repeat(129);
    let cases = [
        (json!({"mobile": ADA, "password": "1234567"}), "password"),
        (json!({"mobile": ADA, "password": long}), "password"),
        (json!({"mobile": ADA, "password": 12_345_678}), "password"),
        (json!({"mobile": ADA, "username": "x".repeat(81)}), "username"),
        (json!({"mobile": ADA, "username": "a\u{7}b"}), "username"),
        (json!({"mobile": [ADA]}), "mobile"),
    ];
    for (body, field) in cases {
        let refused = app.tell("/auth/signup", body.clone()).await.expect(422);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    for password in ["12345678", "पासवर्ड१", &"é".repeat(128)] {
        app.tell("/auth/signup", json!({"mobile": ADA, "password": password})).await.expect(201);
    }
}
