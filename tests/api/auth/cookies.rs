//! `X-Token-Delivery: cookie`: the refresh token where no script can read it.

use serde_json::{Value, json};

use super::ADA;
use crate::harness::{Answer, Call, TestApp};

fn by_cookie(app: &TestApp, path: &str, origin: &str) -> Call {
    app.post(path).header("x-token-delivery", "cookie").header("origin", origin)
}

fn own(app: &TestApp) -> String {
    format!("http://{}", app.address)
}

/// `name=value` and the attributes of the cookie that was set.
fn cookie(answer: &Answer) -> (String, String) {
    let set = answer.header("set-cookie").expect("a cookie");
    let (pair, attributes) = set.split_once("; ").expect("attributes");
    (pair.to_owned(), attributes.to_owned())
}

fn hides_refresh(pair: &Value) -> bool {
    pair["access_token"].is_string() && pair.get("refresh_token").is_none() && pair.get("refresh").is_none()
}

#[tokio::test]
async fn the_refresh_token_is_in_the_cookie_and_in_no_body() {
    let app = TestApp::start().await;
    let origin = own(&app);
    let otp = app.code(ADA, "login").await;
    let verified = by_cookie(&app, "/auth/verify-otp", &origin).json(&json!({"mobile": ADA, "otp": otp}));
    let verified = verified.send().await.expect(200);
    assert!(hides_refresh(&verified.json()), "{}", verified.text());
    assert_eq!(verified.header("cache-control"), Some("no-store"));
    let (first, attributes) = cookie(&verified);
    assert!(first.starts_with("__Host-refresh="), "{first}");
    assert_eq!(attributes, "Max-Age=2592000; Path=/; Secure; HttpOnly; SameSite=Strict");

    let refresh = || by_cookie(&app, "/auth/token/refresh", &origin).header("cookie", &format!("theme=dark; {first}"));
    let refreshed = refresh().send().await.expect(200);
    assert!(hides_refresh(&refreshed.json()), "{}", refreshed.text());
    let (second, _) = cookie(&refreshed);
    assert_ne!(second, first);

    let out = by_cookie(&app, "/auth/logout", &origin).header("cookie", &second).send().await.expect(204);
    assert_eq!(
        cookie(&out),
        ("__Host-refresh=".to_owned(), "Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict".to_owned())
    );
    assert_eq!(refresh().send().await.expect(401).code(), "session_ended");
    let bare = by_cookie(&app, "/auth/token/refresh", &origin).send().await.expect(401);
    assert_eq!(bare.code(), "token_missing");
}

#[tokio::test]
async fn a_password_can_be_traded_for_a_cookie_too() {
    let app = TestApp::start().await;
    app.sign_up_with(ADA, "correct horse").await;
    let body = json!({"mobile": ADA, "password": "correct horse"});
    let obtained = by_cookie(&app, "/auth/token/obtain", &own(&app)).json(&body).send().await.expect(200);
    assert!(hides_refresh(&obtained.json()) && obtained.header("set-cookie").is_some());
    let plain = app.post("/auth/token/obtain").header("x-token-delivery", "body").json(&body).send().await.expect(200);
    assert!(plain.json()["refresh"].is_string() && plain.header("set-cookie").is_none());
    let odd = app.post("/auth/token/obtain").header("x-token-delivery", "pigeon").json(&body).send().await.expect(422);
    assert_eq!(odd.json()["errors"][0]["field"], "X-Token-Delivery");
}

#[tokio::test]
async fn a_page_of_another_origin_gets_no_cookie_and_spends_none() {
    let app = TestApp::with(|settings| settings.server.cors_allowed_origins = vec!["https://app.example".into()]).await;
    let ada = app.sign_in(ADA).await;
    let refresh = |origin: &str| {
        let call = app.post("/auth/token/refresh").header("x-token-delivery", "cookie");
        let call = if origin.is_empty() { call } else { call.header("origin", origin) };
        call.header("cookie", &format!("__Host-refresh={}", ada.refresh)).send()
    };
    let port = app.address.port();
    for origin in ["", "null", "https://evil.example", &format!("http://127.0.0.1:{}", port - 1), "file:///tmp/page"] {
        assert_eq!(refresh(origin).await.expect(403).code(), "origin_refused", "{origin}");
    }
    let without = app.post("/auth/token/refresh").header("cookie", &format!("__Host-refresh={}", ada.refresh));
    without.send().await.expect(422);
    refresh("https://app.example").await.expect(200);
    refresh(&own(&app)).await.expect(200);
}

#[tokio::test]
async fn with_a_public_url_its_origin_is_ours_and_any_origin_is_none() {
    let app = TestApp::with(|settings| {
        settings.server.public_url = Some("https://chat.example/base".parse().expect("a URL"));
        settings.server.cors_allowed_origins = vec!["*".into()];
    })
    .await;
    let ada = app.sign_in_under("/base", ADA).await;
    let refresh = |origin: &str| {
        let cookie = format!("__Host-refresh={}", ada.refresh);
        by_cookie(&app, "/base/auth/token/refresh", origin).header("cookie", &cookie).send()
    };
    assert_eq!(refresh("https://evil.example").await.expect(403).code(), "origin_refused");
    assert_eq!(refresh(&own(&app)).await.expect(403).code(), "origin_refused");
    refresh("https://chat.example").await.expect(200);
}

const CLEARED: (&str, &str) = ("__Host-refresh=", "Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict");

fn is_cleared(answer: &Answer) -> bool {
    answer.header("set-cookie") == Some(&*format!("{}; {}", CLEARED.0, CLEARED.1))
}

#[tokio::test]
async fn the_cookie_alone_signs_out_and_for_a_page_of_ours_only() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let carried = format!("__Host-refresh={}", ada.refresh);
    let out = |origin: &str| by_cookie(&app, "/auth/logout", origin).header("cookie", &carried).send();
    assert_eq!(out("https://evil.example").await.expect(403).code(), "origin_refused");
    // Without the header that pages of another origin cannot set, the cookie is looked at by nobody.
    let plain = app.post("/auth/logout").header("cookie", &carried).send().await.expect(401);
    assert_eq!((plain.code().as_str(), plain.header("set-cookie")), ("token_missing", None));
    app.me(&ada).await.expect(200);
    assert!(is_cleared(&out(&own(&app)).await.expect(204)));
    assert_eq!(app.me(&ada).await.expect(401).code(), "session_ended");
    assert!(is_cleared(&out(&own(&app)).await.expect(204)), "safe to repeat");
}

#[tokio::test]
async fn whoever_ends_their_own_session_loses_the_cookie_they_sent() {
    let app = TestApp::start().await;
    let other = app.sign_in(ADA).await;
    let ways = |session: &str| {
        [
            ("POST", "/auth/logout".to_owned()),
            ("DELETE", format!("/auth/sessions/{session}")),
            ("DELETE", "/auth/sessions?scope=all".to_owned()),
        ]
    };
    for at in 0..3 {
        app.clock.advance(std::time::Duration::from_mins(11));
        let ada = app.sign_in(ADA).await;
        let (method, path) = &ways(&ada.session)[at];
        let carried = format!("theme=dark; __Host-refresh={}", ada.refresh);
        let call = |path: &str, method: &str| app.as_user(&ada, method, path).header("cookie", &carried).send();
        for another in ["/auth/sessions?scope=others", &format!("/auth/sessions/{}", other.session)] {
            let answer = call(another, "DELETE").await;
            assert!(answer.header("set-cookie").is_none(), "{another}");
        }
        assert!(is_cleared(&call(path, method).await.expect(204)), "{method} {path}");
    }
    let ada = app.sign_in(ADA).await;
    let out = app.as_user(&ada, "POST", "/auth/logout").send().await.expect(204);
    assert!(out.header("set-cookie").is_none(), "there was none to take away");
}

#[tokio::test]
async fn a_cookie_that_is_worth_nothing_any_more_is_taken_away() {
    let app = TestApp::start().await;
    let origin = own(&app);
    let ada = app.sign_in(ADA).await;
    let send = |path: &str, token: &str| {
        by_cookie(&app, path, &origin).header("cookie", &format!("__Host-refresh={token}")).send()
    };
    for path in ["/auth/token/refresh", "/auth/logout"] {
        let garbage = send(path, "garbage").await.expect(401);
        assert!(garbage.code() == "token_invalid" && is_cleared(&garbage), "{path}");
    }
    let next = app.refresh(&ada.refresh).await.expect(200);
    let next = super::Tokens::of(&next);
    app.me(&next).await.expect(200);
    // What stands in the body is another's affair than what stands in the cookie.
    let given = by_cookie(&app, "/auth/token/refresh", &origin).header("cookie", "__Host-refresh=x");
    let given = given.json(&json!({"refresh_token": "garbage"})).send().await.expect(401);
    assert!(given.header("set-cookie").is_none());
    let reused = send("/auth/token/refresh", &ada.refresh).await.expect(401);
    assert!(reused.code() == "refresh_reused" && is_cleared(&reused));
    let ended = send("/auth/token/refresh", &next.refresh).await.expect(401);
    assert!(ended.code() == "session_ended" && is_cleared(&ended));
}
