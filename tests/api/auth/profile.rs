//! The profile.

use serde_json::json;

use super::ADA;
use crate::harness::TestApp;

#[tokio::test]
async fn the_profile_shows_the_person_and_todays_prompts() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let mut me = app.me(&ada).await.expect(200).json();
    let prompts = me["prompts"].take();
    assert_eq!(prompts, json!({"limit": 5, "used": 0, "remaining": 5, "resets_at": "2026-11-22T00:00:00.000Z"}));
    let members: Vec<_> = me.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut known =
        ["id", "mobile", "mobile_verified", "username", "role", "plan", "prompts", "created_at", "password_set"];
    known.sort_unstable();
    assert_eq!(members, known);
    assert_eq!((&me["username"], &me["password_set"], &me["plan"]), (&json!(null), &json!(false), &json!("basic")));
}

#[tokio::test]
async fn a_name_is_given_kept_and_taken_away() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let patch = |body: serde_json::Value| app.as_user(&ada, "PATCH", "/user/me").json(&body).send();
    assert_eq!(patch(json!({"username": " Ada Lovelace "})).await.expect(200).json()["username"], "Ada Lovelace");
    assert_eq!(patch(json!({})).await.expect(200).json()["username"], "Ada Lovelace");
    assert_eq!(app.me(&ada).await.expect(200).json()["username"], "Ada Lovelace");
    assert_eq!(patch(json!({"username": "x".repeat(81)})).await.expect(422).json()["errors"][0]["field"], "username");
    assert_eq!(patch(json!({"username": null})).await.expect(200).json()["username"], json!(null));
}
