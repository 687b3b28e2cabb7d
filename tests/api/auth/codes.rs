//! Codes: bound, counted, used once.

use std::time::Duration;

use gemini_backend::fetch_one;
use serde_json::json;

use super::{ADA, BOB, at_once, count, other_than};
use crate::harness::TestApp;

async fn rows(app: &TestApp, sql: &'static str) -> i64 {
    let mut reader = app.app.store.read().await.expect("a connection");
    fetch_one!(&mut reader, (i64,), sql).expect("a count").0
}

/// A service where addresses do not matter, for what is counted per number.
async fn numbers_only() -> TestApp {
    TestApp::with(|settings| settings.throttles.failed_verifications_by_address = 100_000).await
}

#[tokio::test]
async fn a_code_signs_in_once() {
    let app = TestApp::start().await;
    let sent = app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200).json();
    assert_eq!((&sent["expires_in"], &sent["resend_in"]), (&json!(300), &json!(60)));
    let otp = sent["otp"].as_str().expect("a code");
    assert!(otp.len() == 6 && otp.bytes().all(|digit| digit.is_ascii_digit()), "{otp}");
    let pair = app.verify(ADA, otp).await.expect(200).json();
    assert_eq!(pair["user"]["mobile"], "+919876543210");
    let again = app.verify(ADA, otp).await.expect(401);
    assert_eq!((again.code().as_str(), &again.json()["attempts_left"]), ("otp_invalid", &json!(0)));
}

#[tokio::test]
async fn a_code_is_good_for_its_number_and_its_purpose_alone() {
    let app = TestApp::start().await;
    let (login, confirm) = (app.code(ADA, "login").await, app.code(ADA, "confirm").await);
    let bobs = app.code(BOB, "login").await;
    if login != bobs {
        assert_eq!(app.verify(BOB, &login).await.expect(401).code(), "otp_invalid");
    }
    if login != confirm {
        assert_eq!(app.verify(ADA, &confirm).await.expect(401).code(), "otp_invalid");
    }
    let as_signup = json!({"mobile": ADA, "otp": login, "purpose": "signup"});
    assert_eq!(app.tell("/auth/verify-otp", as_signup).await.expect(401).code(), "otp_invalid");
    let as_confirm = json!({"mobile": ADA, "otp": confirm, "purpose": "confirm"});
    assert_eq!(app.tell("/auth/verify-otp", as_confirm).await.expect(422).code(), "invalid");
    let as_login = json!({"mobile": ADA, "code": login, "purpose": "login"});
    app.tell("/auth/verify-otp", as_login).await.expect(200);
}

#[tokio::test]
async fn without_a_purpose_the_living_login_or_signup_code_is_meant() {
    let app = TestApp::start().await;
    let otp = app.code(ADA, "signup").await;
    app.verify(ADA, &otp).await.expect(200);
    let (signup, login) = (app.code(BOB, "signup").await, app.code(BOB, "login").await);
    app.verify(BOB, &login).await.expect(200);
    app.verify(BOB, &signup).await.expect(200);
}

#[tokio::test]
async fn a_code_lasts_300_seconds() {
    let app = TestApp::start().await;
    let otp = app.code(ADA, "login").await;
    app.clock.advance(Duration::from_millis(299_999));
    app.verify(ADA, &otp).await.expect(200);
    let otp = app.code(ADA, "login").await;
    app.clock.advance(Duration::from_mins(5));
    assert_eq!(app.verify(ADA, &otp).await.expect(401).code(), "otp_expired");
}

#[tokio::test]
async fn of_a_hundred_parallel_right_codes_one_opens_a_session() {
    let app = TestApp::with(|settings| settings.throttles.failed_verifications_by_address = 100_000).await;
    let otp = app.code(ADA, "login").await;
    let answers = at_once(100, |_| app.verify(ADA, &otp)).await;
    assert_eq!((count(&answers, ""), count(&answers, "otp_invalid")), (1, 99));
    assert_eq!(rows(&app, "select count(*) from sessions").await, 1);
    assert_eq!(rows(&app, "select count(*) from users").await, 1);
}

#[tokio::test]
async fn of_a_hundred_parallel_wrong_codes_five_are_looked_at() {
    let app = numbers_only().await;
    let otp = app.code(ADA, "login").await;
    let wrong = other_than(&otp);
    let answers = at_once(100, |_| app.verify(ADA, &wrong)).await;
    assert_eq!((count(&answers, "otp_invalid"), count(&answers, "otp_attempts_exhausted")), (5, 95));
    assert_eq!(rows(&app, "select count(*) from number_marks where what = 'wrong_code'").await, 5);
    let mut left: Vec<_> = answers.iter().filter_map(|answer| answer.json()["attempts_left"].as_i64()).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4]);
    let refused = app.verify(ADA, &otp).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("otp_attempts_exhausted", Some("300")));
    let fresh = app.code(ADA, "login").await;
    assert_ne!(fresh, otp, "an exhausted code is not repeated");
    app.verify(ADA, &fresh).await.expect(200);
}

#[tokio::test]
async fn after_twenty_wrong_codes_in_a_day_each_costs_a_growing_delay() {
    let app = numbers_only().await;
    let ada = app.sign_in(ADA).await;
    for _ in 0..4 {
        app.clock.advance(Duration::from_mins(11));
        let wrong = other_than(&app.code(ADA, "login").await);
        for _ in 0..5 {
            assert_eq!(app.verify(ADA, &wrong).await.expect(401).code(), "otp_invalid");
        }
    }
    let mut otp = app.code(ADA, "login").await;
    for minutes in [1, 2, 4, 8] {
        let refused = app.verify(ADA, &otp).await.expect(429);
        assert_eq!(refused.code(), "otp_attempts_exhausted");
        assert_eq!(refused.header("retry-after"), Some(&*(minutes * 60).to_string()));
        app.clock.advance(Duration::from_mins(minutes));
        otp = app.code(ADA, "login").await;
        assert_eq!(app.verify(ADA, &other_than(&otp)).await.expect(401).code(), "otp_invalid");
    }
    let ada = app.refresh(&ada.refresh).await.expect(200);
    app.get("/user/me").bearer(ada.json()["token"].as_str().expect("a token")).send().await.expect(200);
    app.clock.advance(Duration::from_hours(24));
    otp = app.code(ADA, "login").await;
    app.verify(ADA, &otp).await.expect(200);
}

#[tokio::test]
async fn a_number_gets_five_codes_in_ten_minutes_and_ten_a_day() {
    let app = TestApp::start().await;
    for round in [1, 2] {
        for left in (0..5).rev() {
            let sent = app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
            let standing = format!("\"codes\";r={left};t=600, \"codes-a-day\";r={}", left + 10 - round * 5);
            let shown = sent.header("ratelimit").expect("a standing");
            assert!(shown.contains(&standing), "{shown} lacks {standing}");
        }
        if round == 1 {
            let refused = app.tell("/auth/send-otp", json!({"mobile": ADA, "purpose": "signup"})).await.expect(429);
            assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("600")));
            app.clock.advance(Duration::from_mins(10));
        }
    }
    app.clock.advance(Duration::from_mins(10));
    let refused = app.tell("/auth/forgot-password", json!({"mobile": ADA})).await.expect(429);
    assert_eq!(refused.header("retry-after"), Some(&*(24 * 3600 - 1200).to_string()));
    app.code(BOB, "login").await;
    app.clock.advance(Duration::from_mins(24 * 60 - 20));
    app.code(ADA, "login").await;
}

#[tokio::test]
async fn parallel_requests_send_one_code_and_no_more_than_five() {
    let app = TestApp::start().await;
    let answers = at_once(50, |_| app.tell("/auth/send-otp", json!({"mobile": ADA}))).await;
    assert_eq!((count(&answers, ""), count(&answers, "rate_limited")), (5, 45));
    let mut codes: Vec<_> =
        answers.iter().filter_map(|answer| answer.json()["otp"].as_str().map(str::to_owned)).collect();
    codes.dedup();
    assert_eq!(codes.len(), 1, "{codes:?}");
}

#[tokio::test]
async fn within_a_minute_the_living_code_is_repeated_later_it_is_replaced() {
    let app = TestApp::start().await;
    let first = app.code(ADA, "login").await;
    app.clock.advance(Duration::from_secs(59));
    let again = app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200).json();
    assert_eq!(again["otp"], *first);
    assert_eq!((&again["expires_in"], &again["resend_in"]), (&json!(241), &json!(1)));
    app.clock.advance(Duration::from_secs(1));
    let second = app.code(ADA, "login").await;
    assert_ne!(second, first);
    assert_eq!(app.verify(ADA, &first).await.expect(401).code(), "otp_invalid");
    app.verify(ADA, &second).await.expect(200);
}

#[tokio::test]
async fn failures_from_an_address_are_counted_successes_are_not() {
    let app = TestApp::with(|settings| settings.throttles.codes_a_day = 100_000).await;
    for n in 0..35 {
        app.sign_in(&format!("98765432{n:02}")).await;
    }
    for n in 0..30 {
        let answer = app.verify(&format!("98765433{n:02}"), "000000").await.expect(401);
        assert_eq!(answer.code(), "otp_invalid");
    }
    let otp = app.code(ADA, "login").await;
    let refused = app.verify(ADA, &otp).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("10")));
    app.clock.advance(Duration::from_secs(10));
    app.verify(ADA, &otp).await.expect(200);
}

#[tokio::test]
async fn a_right_code_is_no_failure_whatever_comes_of_it() {
    let app = TestApp::with(|settings| {
        settings.throttles.failed_verifications_by_address = 1;
        settings.auth.auto_signup = false;
    })
    .await;
    let ada = app.sign_up_with(ADA, "correct horse").await;
    for number in ["9876543212", "9876543213"] {
        let otp = app.code(number, "login").await;
        assert_eq!(app.verify(number, &otp).await.expect(403).code(), "signup_closed");
    }
    app.sign_up_with(BOB, "battery staple").await;
    let otp = app.code(BOB, "change_mobile").await;
    let body = json!({"mobile": BOB, "otp": otp, "password": "correct horse"});
    let taken = app.as_user(&ada, "POST", "/auth/change-mobile").json(&body).send().await.expect(409);
    assert_eq!(taken.code(), "mobile_taken");
    app.sign_in(ADA).await;
}

#[tokio::test]
async fn asking_for_codes_and_forgetting_passwords_are_throttled_by_address() {
    let app = TestApp::with(|settings| {
        settings.throttles.codes_by_address = 2;
        settings.throttles.forgotten_passwords_by_address = 1;
    })
    .await;
    app.code(ADA, "login").await;
    app.code(BOB, "login").await;
    let refused = app.tell("/auth/send-otp", json!({"mobile": "9876543212"})).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("300")));
    app.tell("/auth/forgot-password", json!({"mobile": ADA})).await.expect(200);
    app.tell("/auth/forgot-password", json!({"mobile": BOB})).await.expect(429);
}

#[tokio::test]
async fn nothing_that_is_stored_tells_the_code() {
    let app = TestApp::start().await;
    let otp = app.code(ADA, "login").await;
    let mut reader = app.app.store.read().await.expect("a connection");
    let sql = "select id, mobile, purpose, nonce from codes";
    let (id, mobile, purpose, nonce) =
        fetch_one!(&mut reader, (uuid::Uuid, String, String, String), sql).expect("the code's row");
    let stored = format!("{id} {mobile} {purpose}");
    assert!(!stored.contains(&otp), "{stored}");
    assert_eq!(nonce.len(), 64);
    let other = TestApp::start().await;
    let guess = other.app.keys.codes.code(&nonce, &mobile, &purpose);
    assert_ne!(guess, otp, "another key makes another code of the same nonce");
}

#[tokio::test]
async fn a_code_is_shown_to_this_machine_alone() {
    let app = TestApp::start().await;
    let ask = |mobile: &str| app.post("/auth/send-otp").json(&json!({"mobile": mobile}));
    for (name, value) in [("x-forwarded-for", "127.0.0.1"), ("host", "api.example.com"), ("forwarded", "for=127.0.0.1")]
    {
        let answer = ask(BOB).header(name, value).send().await.expect(200).json();
        assert!(answer.get("otp").is_none(), "{name}: {answer}");
    }
    assert!(ask(ADA).send().await.expect(200).json()["otp"].is_string());
    let app = TestApp::with(|settings| settings.auth.allow_otp_in_response = true).await;
    let answer = app.post("/auth/send-otp").json(&json!({"mobile": ADA})).header("x-forwarded-for", "1.2.3.4");
    assert!(answer.send().await.expect(200).json()["otp"].is_string());
}

#[tokio::test]
async fn what_is_no_code_request_is_refused_by_field() {
    let app = TestApp::start().await;
    let cases = [
        ("/auth/send-otp", json!({}), "mobile"),
        ("/auth/send-otp", json!({"mobile": 9_876_543_210_u64}), "mobile"),
        ("/auth/send-otp", json!({"mobile": ADA, "purpose": "fun"}), "purpose"),
        ("/auth/verify-otp", json!({"mobile": ADA}), "otp"),
        ("/auth/verify-otp", json!({"mobile": ADA, "otp": 123_456}), "otp"),
        ("/auth/verify-otp", json!({"mobile": ADA, "otp": " "}), "otp"),
        ("/auth/verify-otp", json!({"mobile": "nobody", "otp": "123456"}), "mobile"),
        ("/auth/forgot-password", json!({"mobile": null}), "mobile"),
    ];
    for (path, body, field) in cases {
        let refused = app.tell(path, body.clone()).await.expect(422);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{path} {body}");
    }
}
