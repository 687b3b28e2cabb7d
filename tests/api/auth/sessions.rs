//! Sessions: where somebody is signed in, and signing out.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::{ADA, BOB, Tokens};
use crate::harness::TestApp;

const PASSWORD: &str = "correct horse";

async fn again(app: &TestApp) -> Tokens {
    Tokens::of(&app.obtain(ADA, PASSWORD).await.expect(200))
}

#[tokio::test]
async fn logging_out_holds_on_the_next_request() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    app.me(&ada).await.expect(200);
    app.as_user(&ada, "POST", "/auth/logout").send().await.expect(204);
    assert_eq!(app.me(&ada).await.expect(401).code(), "session_ended");
    assert_eq!(app.refresh(&ada.refresh).await.expect(401).code(), "session_ended");
    assert_eq!(app.as_user(&ada, "POST", "/auth/logout").send().await.expect(401).code(), "session_ended");
}

#[tokio::test]
async fn the_refresh_token_logs_out_when_the_access_token_has_run_out() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let next = Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    app.clock.advance(Duration::from_hours(1));
    let out = app.as_user(&ada, "POST", "/auth/logout").json(&json!({"refresh_token": ada.refresh}));
    out.send().await.expect(204);
    assert_eq!(app.refresh(&next.refresh).await.expect(401).code(), "session_ended");
    app.tell("/auth/logout", json!({"refresh": next.refresh})).await.expect(204);
    assert_eq!(app.tell("/auth/logout", json!({"refresh_token": "x"})).await.expect(401).code(), "token_invalid");
    assert_eq!(app.tell("/auth/logout", json!({})).await.expect(401).code(), "token_missing");
}

#[tokio::test]
async fn sessions_are_listed_newest_first_with_the_asking_one_marked() {
    let app = TestApp::start().await;
    app.sign_up_with(ADA, PASSWORD).await;
    app.sign_in(BOB).await;
    for _ in 0..2 {
        app.clock.advance(Duration::from_secs(1));
        again(&app).await;
    }
    app.clock.advance(Duration::from_secs(1));
    let phone = app.post("/auth/token/obtain").header("user-agent", "Phone/1.0");
    let ada = Tokens::of(&phone.json(&json!({"mobile": ADA, "password": PASSWORD})).send().await.expect(200));
    let first = app.as_user(&ada, "GET", "/auth/sessions?limit=3").send().await.expect(200).json();
    let shown = &first["data"][0];
    assert_eq!((&shown["id"], &shown["current"]), (&json!(ada.session), &json!(true)));
    assert_eq!((&shown["user_agent"], &shown["address"]), (&json!("Phone/1.0"), &json!("127.0.0.1")));
    assert_eq!(shown["created_at"], json!(app.clock.now()));
    assert_eq!((first["data"].as_array().map(Vec::len), &first["data"][1]["current"]), (Some(3), &json!(false)));
    let rest = format!("/auth/sessions?limit=3&cursor={}", first["next_cursor"].as_str().expect("more"));
    let rest = app.as_user(&ada, "GET", &rest).send().await.expect(200).json();
    assert_eq!((rest["data"].as_array().map(Vec::len), &rest["next_cursor"]), (Some(1), &json!(null)));
}

#[tokio::test]
async fn a_session_tells_when_it_was_last_seen() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    app.clock.advance(Duration::from_mins(6));
    app.me(&ada).await.expect(200);
    let seen = app.clock.now();
    app.clock.advance(Duration::from_mins(4));
    let listed = app.as_user(&ada, "GET", "/auth/sessions").send().await.expect(200).json();
    assert_eq!(listed["data"][0]["last_seen_at"], json!(seen));
}

#[tokio::test]
async fn ending_a_session_holds_on_the_next_request() {
    let app = TestApp::start().await;
    let first = app.sign_up_with(ADA, PASSWORD).await;
    let (second, third, fourth) = (again(&app).await, again(&app).await, again(&app).await);
    let bob = app.sign_in(BOB).await;
    for tokens in [&first, &second, &third, &fourth, &bob] {
        app.me(tokens).await.expect(200);
    }
    let end = |path: String| app.as_user(&fourth, "DELETE", &path).send();
    end(format!("/auth/sessions/{}", first.session)).await.expect(204);
    assert_eq!(app.me(&first).await.expect(401).code(), "session_ended");
    for gone in [&first.session, &bob.session, "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11", "x"] {
        assert_eq!(end(format!("/auth/sessions/{gone}")).await.expect(404).code(), "session_not_found");
    }
    app.me(&second).await.expect(200);
    end("/auth/sessions?scope=others".into()).await.expect(204);
    assert_eq!(app.me(&second).await.expect(401).code(), "session_ended");
    assert_eq!(app.me(&third).await.expect(401).code(), "session_ended");
    app.me(&fourth).await.expect(200);
    for bad in ["/auth/sessions", "/auth/sessions?scope=none"] {
        assert_eq!(end(bad.into()).await.expect(422).json()["errors"][0]["field"], "scope");
    }
    end("/auth/sessions?scope=all".into()).await.expect(204);
    assert_eq!(app.me(&fourth).await.expect(401).code(), "session_ended");
    app.me(&bob).await.expect(200);
}

#[tokio::test]
async fn of_many_who_ask_at_once_each_is_told_of_their_own_session() {
    let app = TestApp::start().await;
    let people = join_all((0..60).map(|_| app.sign_up())).await;
    for person in people.iter().step_by(3) {
        person.post("/auth/logout", json!({})).await.expect(204);
    }
    let answers = join_all(people.iter().map(|person| person.get("/user/me"))).await;
    for (number, (person, answer)) in people.iter().zip(answers).enumerate() {
        if number % 3 == 0 {
            assert_eq!(answer.expect(401).code(), "session_ended");
        } else {
            assert_eq!(answer.expect(200).json()["id"], json!(person.id));
        }
    }
}
