//! Numbers: one form for each person.

use gemini_backend::config::MobileNumbers;
use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn one_person_is_one_user_however_the_number_is_typed() {
    let app = TestApp::start().await;
    let first = app.sign_in("9876543210").await;
    for typed in ["+91 98765-43210", "(0)9876543210", "919876543210", "00 91 98765 43210"] {
        app.clock.advance(std::time::Duration::from_mins(5));
        assert_eq!(app.sign_in(typed).await.user["id"], first.user["id"], "{typed}");
    }
}

#[tokio::test]
async fn lenient_takes_the_older_clients_numbers_as_they_are_strict_refuses_them() {
    let numbers = ["1234567890", "12345678900", "909090901"];
    let app = TestApp::start().await;
    for number in numbers {
        assert_eq!(app.sign_in(number).await.user["mobile"], number);
    }
    let app = TestApp::with(|settings| settings.auth.mobile_numbers = MobileNumbers::Strict).await;
    for number in numbers {
        let refused = app.tell("/auth/send-otp", json!({"mobile": number})).await.expect(422);
        assert_eq!(refused.json()["errors"][0]["field"], "mobile");
    }
    assert_eq!(app.sign_in("98765 43210").await.user["mobile"], "+919876543210");
}

#[tokio::test]
async fn what_is_typed_with_a_plus_is_never_a_number_at_home() {
    let app = TestApp::start().await;
    let at_home = app.sign_in("7975553034").await;
    assert_eq!(at_home.user["mobile"], "+917975553034");
    let abroad = app.sign_in("+7975553034").await;
    assert_ne!(abroad.user["id"], at_home.user["id"]);
    let shown = abroad.user["mobile"].as_str().expect("a number").to_owned();
    assert_eq!(app.sign_in(&shown).await.user["id"], abroad.user["id"], "what is shown reads as itself");
    let app = TestApp::with(|settings| settings.auth.mobile_numbers = MobileNumbers::Strict).await;
    let refused = app.tell("/auth/send-otp", json!({"mobile": "+7975553034"})).await.expect(422);
    assert_eq!(refused.json()["errors"][0]["field"], "mobile");
}

#[tokio::test]
async fn what_is_no_number_is_refused() {
    let app = TestApp::start().await;
    for number in ["", "123456", "1234567890123456", "98765x43210", "98765+43210", "٩٨٧٦٥٤٣٢١٠"] {
        app.tell("/auth/signup", json!({"mobile": number})).await.expect(422);
    }
}
