//! Refreshing: one successor for each token, and a spent one that comes back late.

use std::time::Duration;

use serde_json::json;

use super::{ADA, Tokens, at_once, count};
use crate::harness::TestApp;

#[tokio::test]
async fn fifty_parallel_refreshes_give_one_successor_fifty_times() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let answers = at_once(50, |_| app.refresh(&ada.refresh)).await;
    assert_eq!(count(&answers, ""), 50);
    let mut successors: Vec<_> = answers.iter().map(|answer| Tokens::of(answer).refresh).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_ne!(successors[0], ada.refresh);
    let next = app.refresh(&successors[0]).await.expect(200);
    app.me(&Tokens::of(&next)).await.expect(200);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_hours_later() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let lost = Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    app.clock.advance(Duration::from_hours(5));
    // The access token of before was used meanwhile: it is no part of the successor.
    assert_eq!(app.me(&ada).await.expect(401).code(), "token_expired");
    let again = Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    assert_eq!(again.refresh, lost.refresh);
    app.me(&again).await.expect(200);
}

#[tokio::test]
async fn a_spent_token_ends_the_session_once_its_successor_was_used() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let next = Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    app.me(&ada).await.expect(200);
    app.refresh(&ada.refresh).await.expect(200);
    app.me(&next).await.expect(200);
    assert_eq!(app.refresh(&ada.refresh).await.expect(401).code(), "refresh_reused");
    assert_eq!(app.me(&next).await.expect(401).code(), "session_ended");
    assert_eq!(app.refresh(&next.refresh).await.expect(401).code(), "session_ended");
}

#[tokio::test]
async fn a_spent_token_ends_the_session_once_its_successor_was_refreshed() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let next = Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    let last = Tokens::of(&app.refresh(&next.refresh).await.expect(200));
    assert_eq!(app.refresh(&ada.refresh).await.expect(401).code(), "refresh_reused");
    assert_eq!(app.me(&last).await.expect(401).code(), "session_ended");
}

#[tokio::test]
async fn the_older_client_sends_refresh_and_reads_access() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let pair = app.tell("/auth/token/refresh", json!({"refresh": ada.refresh})).await.expect(200).json();
    assert_eq!((&pair["access"], &pair["refresh"]), (&pair["access_token"], &pair["refresh_token"]));
}

#[tokio::test]
async fn a_session_lives_thirty_days_from_its_last_refresh() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    app.clock.advance(Duration::from_hours(29 * 24));
    let ada = Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    app.clock.advance(Duration::from_hours(29 * 24));
    let ada = Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    app.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(app.refresh(&ada.refresh).await.expect(401).code(), "session_ended");
}

#[tokio::test]
async fn what_is_no_refresh_token_of_ours_is_refused() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let bobs = TestApp::start().await.sign_in(ADA).await;
    let mut forged = ada.refresh.clone().into_bytes();
    forged[40] ^= 1;
    let forged = String::from_utf8(forged).expect("letters");
    for token in [&*ada.access, "", "x", &*bobs.refresh, &*forged] {
        assert_eq!(app.refresh(token).await.expect(401).code(), "token_invalid", "{token}");
    }
    app.tell("/auth/token/refresh", json!({})).await.expect(422);
    app.refresh(&ada.refresh).await.expect(200);
}

#[tokio::test]
async fn refreshing_is_throttled_by_address() {
    let app = TestApp::with(|settings| settings.throttles.refreshes_by_address = 1).await;
    let ada = app.sign_in(ADA).await;
    app.refresh(&ada.refresh).await.expect(200);
    let refused = app.refresh(&ada.refresh).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("600")));
}
