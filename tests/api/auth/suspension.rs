//! What an operator does about users, from a process beside the server.

use gemini_backend::auth::operate::{self, Deed};
use gemini_backend::auth::{Mobile, Role};
use gemini_backend::ids::UserId;

use super::{ADA, Tokens};
use crate::harness::TestApp;

fn id(tokens: &Tokens) -> UserId {
    tokens.user["id"].as_str().expect("an id").parse().expect("an id")
}

#[tokio::test]
async fn a_suspension_holds_on_the_next_request_of_a_server_beside() {
    let app = TestApp::start().await;
    let ada = app.sign_up_with(ADA, "correct horse").await;
    let command = app.command().await;
    app.me(&ada).await.expect(200);
    operate::act(&command, id(&ada), Deed::Suspend).await.expect("a suspension");
    assert_eq!(app.me(&ada).await.expect(401).code(), "account_suspended");
    assert_eq!(app.refresh(&ada.refresh).await.expect(401).code(), "account_suspended");
    assert_eq!(app.obtain(ADA, "correct horse").await.expect(401).code(), "account_suspended");
    assert_eq!(app.obtain(ADA, "battery staple").await.expect(401).code(), "bad_credentials");
    let otp = app.code(ADA, "login").await;
    assert_eq!(app.verify(ADA, &otp).await.expect(401).code(), "account_suspended");
    operate::act(&command, id(&ada), Deed::Restore).await.expect("an end of it");
    app.me(&ada).await.expect(200);
    app.refresh(&ada.refresh).await.expect(200);
}

#[tokio::test]
async fn an_operator_signs_somebody_out_at_once() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let command = app.command().await;
    app.me(&ada).await.expect(200);
    operate::act(&command, id(&ada), Deed::SignOut).await.expect("signed out");
    assert_eq!(app.me(&ada).await.expect(401).code(), "session_ended");
}

#[tokio::test]
async fn an_operator_gives_roles_at_once() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let command = app.command().await;
    assert_eq!(app.me(&ada).await.expect(200).json()["role"], "user");
    operate::act(&command, id(&ada), Deed::SetRole(Role::Admin)).await.expect("a role");
    assert_eq!(app.me(&ada).await.expect(200).json()["role"], "admin");
}

#[tokio::test]
async fn an_operator_adds_people_who_come_in_by_password() {
    let app = TestApp::with(|settings| settings.auth.auto_signup = false).await;
    let command = app.command().await;
    let mobile = Mobile::parse(ADA, &command.settings.auth).expect("a number");
    let added = operate::add(&command, mobile.clone(), Some("correct horse".into())).await.expect("a user");
    let ada = Tokens::of(&app.obtain(ADA, "correct horse").await.expect(200));
    assert_eq!(id(&ada), added.id);
    app.as_user(&ada, "POST", "/chatroom").send().await.expect(201);
    let short = operate::add(&command, mobile.clone(), Some("short".into())).await;
    assert!(matches!(short, Err(operate::AddError::Password(_))), "{short:?}");
    let again = operate::add(&command, mobile.clone(), None).await;
    assert!(matches!(again, Err(operate::AddError::MobileTaken)), "{again:?}");
    let found = operate::find_by_mobile(&command, &mobile).await.expect("a read").expect("a user");
    let listed = operate::list(&command, None, 10).await.expect("a list");
    assert_eq!((found.id, listed.len(), listed[0].id), (added.id, 1, added.id));
}
