//! Passwords: coming in with one, and setting another.

use std::time::Duration;

use serde_json::json;

use super::{ADA, BOB, Tokens, at_once, count, other_than};
use crate::harness::{Answer, TestApp};

const OLD: &str = "correct horse";
const NEW: &str = "battery staple";

async fn change(app: &TestApp, tokens: &Tokens, body: serde_json::Value) -> Answer {
    app.as_user(tokens, "POST", "/auth/change-password").json(&body).send().await
}

#[tokio::test]
async fn the_password_opens_a_session_and_nothing_else_does() {
    let app = TestApp::start().await;
    app.sign_up_with(ADA, OLD).await;
    let pair = app.obtain("+91 98765-43210", OLD).await.expect(200).json();
    assert_eq!((&pair["access"], &pair["token"]), (&pair["access_token"], &pair["access_token"]));
    assert_eq!(pair["refresh"], pair["refresh_token"]);
    app.sign_in(BOB).await;
    let known = app.obtain(ADA, NEW).await.expect(401).json();
    let without = app.obtain(BOB, NEW).await.expect(401).json();
    let unknown = app.obtain("9876543212", NEW).await.expect(401).json();
    for other in [&without, &unknown] {
        let told =
            |answer: &serde_json::Value| (answer["code"].clone(), answer["title"].clone(), answer["detail"].clone());
        assert_eq!(told(&known), told(other));
    }
    assert_eq!(known["code"], "bad_credentials");
}

#[tokio::test]
async fn an_unknown_number_is_refused_as_slowly_as_a_known_one() {
    let app = TestApp::with(|settings| settings.throttles.wrong_passwords_by_address = 1000).await;
    app.sign_up_with(ADA, OLD).await;
    // What takes the time is the hash; that refusing nobody's costs as much as somebody's is tested where they are made.
    for number in [ADA, BOB] {
        let before = app.app.keys.passwords.hashed();
        app.obtain(number, NEW).await.expect(401);
        assert_eq!(app.app.keys.passwords.hashed() - before, 1, "{number}");
    }
}

#[tokio::test]
async fn of_a_hundred_parallel_wrong_passwords_ten_are_looked_at() {
    let app = TestApp::with(|settings| settings.throttles.wrong_passwords_by_address = 1000).await;
    app.sign_up_with(ADA, OLD).await;
    let answers = at_once(100, |_| app.obtain(ADA, NEW)).await;
    assert_eq!((count(&answers, "bad_credentials"), count(&answers, "rate_limited")), (10, 90));
    let refused = app.obtain(ADA, OLD).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("900")));
    app.clock.advance(Duration::from_mins(15));
    app.obtain(ADA, OLD).await.expect(200);
}

#[tokio::test]
async fn right_passwords_are_not_counted() {
    let app = TestApp::start().await;
    app.sign_up_with(ADA, OLD).await;
    for _ in 0..12 {
        app.obtain(ADA, OLD).await.expect(200);
    }
}

#[tokio::test]
async fn thirty_right_passwords_at_once_all_come_in() {
    for by_address in [3, 1000] {
        let app = TestApp::with(|settings| settings.throttles.wrong_passwords_by_address = by_address).await;
        app.sign_up_with(ADA, OLD).await;
        let answers = at_once(30, |_| app.obtain(ADA, OLD)).await;
        assert_eq!(count(&answers, ""), 30, "{:?}", answers.iter().find(|answer| answer.status != 200));
        assert_eq!(app.count("select count(*) from number_marks where what = 'wrong_password'").await, 0);
    }
}

#[tokio::test]
async fn right_ones_among_wrong_ones_are_refused_only_for_the_wrong_ones() {
    let app = TestApp::with(|settings| settings.throttles.wrong_passwords_by_address = 1000).await;
    app.sign_up_with(ADA, OLD).await;
    let answers = at_once(39, |n| app.obtain(ADA, if n % 4 == 0 { NEW } else { OLD })).await;
    let (right, wrong) = (count(&answers, ""), count(&answers, "bad_credentials"));
    assert_eq!(wrong, 10, "right ones: {right}");
    assert!(right >= 10, "a right one behind nine wrong ones comes in: {right}");
}

#[tokio::test]
async fn a_right_password_counts_nothing_whatever_else_is_wrong() {
    let app = TestApp::with(|settings| settings.throttles.failed_verifications_by_address = 1000).await;
    let ada = app.sign_up_with(ADA, OLD).await;
    let body = json!({"mobile": BOB, "otp": "000000", "password": OLD});
    for _ in 0..11 {
        let call = app.as_user(&ada, "POST", "/auth/change-mobile").json(&body);
        assert_eq!(call.send().await.expect(401).code(), "otp_invalid");
    }
    app.obtain(ADA, OLD).await.expect(200);
}

#[tokio::test]
async fn wrong_passwords_from_an_address_are_counted_over_all_numbers() {
    let app = TestApp::with(|settings| settings.throttles.wrong_passwords_by_address = 3).await;
    app.sign_up_with(ADA, OLD).await;
    for n in 0..3 {
        app.obtain(&format!("987654330{n}"), NEW).await.expect(401);
    }
    let refused = app.obtain(ADA, OLD).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("300")));
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_a_code_and_ends_every_session() {
    let app = TestApp::start().await;
    let ada = app.sign_up_with(ADA, OLD).await;
    let sent = app.tell("/auth/forgot-password", json!({"mobile": ADA})).await.expect(200).json();
    let otp = sent["otp"].as_str().expect("a code");
    let wrong = json!({"mobile": ADA, "otp": other_than(otp), "new_password": NEW});
    let refused = app.tell("/auth/reset-password", wrong).await.expect(401);
    assert_eq!((refused.code().as_str(), &refused.json()["attempts_left"]), ("otp_invalid", &json!(4)));
    app.me(&ada).await.expect(200);
    let short = json!({"mobile": ADA, "otp": otp, "new_password": "short"});
    assert_eq!(app.tell("/auth/reset-password", short).await.expect(422).json()["errors"][0]["field"], "new_password");
    let right = json!({"mobile": ADA, "otp": otp, "new_password": NEW});
    app.tell("/auth/reset-password", right.clone()).await.expect(204);
    assert_eq!(app.me(&ada).await.expect(401).code(), "session_ended");
    assert_eq!(app.refresh(&ada.refresh).await.expect(401).code(), "session_ended");
    assert_eq!(app.tell("/auth/reset-password", right).await.expect(401).code(), "otp_invalid");
    app.obtain(ADA, OLD).await.expect(401);
    app.obtain(ADA, NEW).await.expect(200);
}

#[tokio::test]
async fn an_unknown_number_can_forget_its_password_like_any_other() {
    let app = TestApp::start().await;
    app.sign_in(ADA).await;
    let known = app.tell("/auth/forgot-password", json!({"mobile": ADA})).await.expect(200).json();
    let unknown = app.tell("/auth/forgot-password", json!({"mobile": BOB})).await.expect(200).json();
    for member in ["message", "expires_in", "resend_in"] {
        assert_eq!(known[member], unknown[member]);
    }
    let body = json!({"mobile": BOB, "otp": unknown["otp"], "new_password": NEW});
    assert_eq!(app.tell("/auth/reset-password", body).await.expect(401).code(), "otp_invalid");
    let same = json!({"mobile": ADA, "otp": app.code(ADA, "reset").await, "new_password": NEW});
    app.tell("/auth/reset-password", same).await.expect(204);
}

#[tokio::test]
async fn the_old_password_sets_a_new_one_and_ends_every_other_session() {
    let app = TestApp::start().await;
    let other = app.sign_up_with(ADA, OLD).await;
    let ada = Tokens::of(&app.obtain(ADA, OLD).await.expect(200));
    let wrong = json!({"old_password": NEW, "new_password": NEW});
    assert_eq!(change(&app, &ada, wrong).await.expect(401).code(), "bad_credentials");
    change(&app, &ada, json!({"old_password": OLD, "new_password": NEW})).await.expect(204);
    assert_eq!(app.me(&other).await.expect(401).code(), "session_ended");
    app.me(&ada).await.expect(200);
    app.obtain(ADA, OLD).await.expect(401);
    app.obtain(ADA, NEW).await.expect(200);
    for (name, old, new) in [("oldPassword", NEW, OLD), ("current_password", OLD, NEW)] {
        change(&app, &ada, json!({name: old, "newPassword": new})).await.expect(204);
    }
}

#[tokio::test]
async fn a_code_sets_a_first_password() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let nothing = change(&app, &ada, json!({"new_password": NEW})).await.expect(422);
    assert_eq!(nothing.json()["errors"][0]["field"], "old_password");
    assert_eq!(
        change(&app, &ada, json!({"old_password": NEW, "new_password": NEW})).await.expect(401).code(),
        "bad_credentials"
    );
    let login = app.code(ADA, "login").await;
    assert_eq!(change(&app, &ada, json!({"otp": login, "new_password": NEW})).await.expect(401).code(), "otp_invalid");
    let confirm = app.code(ADA, "confirm").await;
    change(&app, &ada, json!({"otp": confirm, "new_password": NEW})).await.expect(204);
    app.obtain(ADA, NEW).await.expect(200);
    let reset = app.code(ADA, "reset_password").await;
    change(&app, &ada, json!({"otp": reset, "newPassword": OLD})).await.expect(204);
    app.obtain(ADA, OLD).await.expect(200);
}

#[tokio::test]
async fn nobody_changes_a_password_without_a_token() {
    let app = TestApp::start().await;
    app.sign_up_with(ADA, OLD).await;
    let otp = app.code(ADA, "reset_password").await;
    let body = json!({"otp": otp, "newPassword": NEW, "mobile": ADA});
    assert_eq!(app.tell("/auth/change-password", body).await.expect(401).code(), "token_missing");
    app.obtain(ADA, OLD).await.expect(200);
}

#[tokio::test]
async fn a_stolen_session_cannot_try_passwords_without_end() {
    let app = TestApp::start().await;
    let ada = app.sign_up_with(ADA, OLD).await;
    for _ in 0..10 {
        change(&app, &ada, json!({"old_password": NEW, "new_password": NEW})).await.expect(401);
    }
    assert_eq!(
        change(&app, &ada, json!({"old_password": OLD, "new_password": NEW})).await.expect(429).code(),
        "rate_limited"
    );
    app.me(&ada).await.expect(200);
}

#[tokio::test]
async fn the_number_moves_with_codes_to_both_or_the_password() {
    let app = TestApp::start().await;
    let ada = app.sign_up_with(ADA, OLD).await;
    let call = |body: serde_json::Value| app.as_user(&ada, "POST", "/auth/change-mobile").json(&body).send();
    let to_new = app.code(BOB, "change_mobile").await;
    assert_eq!(call(json!({"mobile": BOB, "otp": to_new})).await.expect(422).json()["errors"][0]["field"], "password");
    let wrong = json!({"mobile": BOB, "otp": other_than(&to_new), "password": OLD});
    assert_eq!(call(wrong).await.expect(401).code(), "otp_invalid");
    let wrong = json!({"mobile": BOB, "otp": to_new, "password": NEW});
    assert_eq!(call(wrong).await.expect(401).code(), "bad_credentials");
    let moved = call(json!({"mobile": BOB, "otp": to_new, "password": OLD})).await.expect(200).json();
    assert_eq!((&moved["user"]["id"], &moved["user"]["mobile"]), (&ada.user["id"], &json!("+919876543211")));
    assert_eq!(app.me(&ada).await.expect(200).json()["mobile"], "+919876543211");

    let (to_new, to_old) = (app.code(ADA, "change_mobile").await, app.code(BOB, "confirm").await);
    let wrong = json!({"mobile": ADA, "otp": to_new, "confirm_otp": other_than(&to_old)});
    assert_eq!(call(wrong).await.expect(401).code(), "otp_invalid");
    call(json!({"mobile": ADA, "otp": to_new, "confirm_otp": to_old})).await.expect(200);
    app.obtain(ADA, OLD).await.expect(200);
}

#[tokio::test]
async fn nobody_moves_to_a_number_that_is_taken() {
    let app = TestApp::start().await;
    let ada = app.sign_up_with(ADA, OLD).await;
    app.sign_in(BOB).await;
    let otp = app.code(BOB, "change_mobile").await;
    let body = json!({"mobile": BOB, "otp": otp, "password": OLD});
    let taken = app.as_user(&ada, "POST", "/auth/change-mobile").json(&body).send().await.expect(409);
    assert_eq!(taken.code(), "mobile_taken");
    assert_eq!(app.me(&ada).await.expect(200).json()["mobile"], "+919876543210");
}

#[tokio::test]
async fn a_change_by_two_codes_is_one_verification() {
    let app = TestApp::with(|settings| settings.throttles.failed_verifications_by_address = 1).await;
    let ada = app.sign_up_with(ADA, OLD).await;
    let (to_new, to_old) = (app.code(BOB, "change_mobile").await, app.code(ADA, "confirm").await);
    let body = json!({"mobile": BOB, "otp": to_new, "confirm_otp": to_old});
    app.as_user(&ada, "POST", "/auth/change-mobile").json(&body).send().await.expect(200);
}
