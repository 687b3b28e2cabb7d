//! Access tokens: what is in them, and which are refused.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gemini_backend::config::Settings;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::{ADA, Tokens};
use crate::harness::TestApp;

/// Made by `openssl genpkey -algorithm ed25519`.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFx0dkxr5z6wZ2F2dUFqQ1h5b2p6cG9xd2VydHl1aW9w
-----END PRIVATE KEY-----
";
const OTHER_ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIGFub3RoZXIga2V5IG9mIHRoaXJ0eS10d28gYnl0ZXMh
-----END PRIVATE KEY-----
";
const SECRET: &str = "a secret of at least thirty-two bytes";

fn part(token: &str, n: usize) -> Value {
    let part = token.split('.').nth(n).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("a token")
}

async fn code_of(app: &TestApp, token: &str) -> String {
    app.get("/user/me").bearer(token).send().await.expect(401).code()
}

fn with_secrets(secrets: &[&str]) -> impl FnOnce(&mut Settings) {
    let secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    move |settings| settings.auth.secret_keys = secrets
}

#[tokio::test]
async fn a_token_says_who_which_session_and_until_when() {
    let app = TestApp::start().await;
    let otp = app.code(ADA, "login").await;
    let pair = app.verify(ADA, &otp).await.expect(200).json();
    assert_eq!((&pair["token_type"], &pair["expires_in"]), (&json!("Bearer"), &json!(900)));
    let access = pair["access_token"].as_str().expect("a token");
    let (header, claims) = (part(access, 0), part(access, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("HS256"), &json!("JWT")));
    assert!(header["kid"].is_string());
    assert_eq!((&claims["sub"], &claims["sid"]), (&pair["user"]["id"], &pair["session_id"]));
    let now = app.clock.now().seconds();
    assert_eq!((&claims["iat"], &claims["nbf"], &claims["exp"]), (&json!(now), &json!(now), &json!(now + 900)));
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["gen"]),
        (&json!("gemini-backend"), &json!("gemini-backend"), &json!(1))
    );
    let next = app.refresh(pair["refresh"].as_str().expect("a token")).await.expect(200).json();
    assert_eq!(part(next["access"].as_str().expect("a token"), 1)["gen"], 2);
}

#[tokio::test]
async fn each_way_to_be_nobody_has_its_word() {
    let app = TestApp::start().await;
    let ada = app.sign_in(ADA).await;
    let missing = app.get("/user/me").send().await.expect(401);
    assert_eq!((missing.code().as_str(), missing.header("www-authenticate")), ("token_missing", Some("Bearer")));
    for value in
        ["Bearer", "Bearer ", "Basic YTpi", &format!("Token {}", ada.access), &format!("Bearer {}", ada.refresh)]
    {
        let refused = app.get("/user/me").header("authorization", value).send().await.expect(401);
        assert_eq!(refused.code(), "token_invalid", "{value}");
    }
    let twice = app.get("/user/me").bearer(&ada.access).bearer(&ada.access).send().await.expect(401);
    assert_eq!(twice.code(), "token_invalid");
    app.get("/user/me").header("authorization", &format!("bearer {}", ada.access)).send().await.expect(200);
    app.clock.advance(Duration::from_millis(899_999));
    app.me(&ada).await.expect(200);
    app.clock.advance(Duration::from_millis(1));
    assert_eq!(app.me(&ada).await.expect(401).code(), "token_expired");
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let app = TestApp::with(with_secrets(&[SECRET])).await;
    let ada = app.sign_in(ADA).await;
    let (header, claims) = (Header::new(Algorithm::HS256), part(&ada.access, 1));
    let (ours, theirs) = (EncodingKey::from_secret(SECRET.as_bytes()), EncodingKey::from_secret(b"another secret"));
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        signed(&header, &changed, &ours)
    };
    app.get("/user/me").bearer(&signed(&header, &claims, &ours)).send().await.expect(200);
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
        ada.access.split('.').nth(1).expect("claims")
    );
    let (head, signature) = ada.access.rsplit_once('.').expect("three parts");
    let unsigned = format!("{head}.");
    let swapped = {
        let mut changed = claims.clone();
        changed["sub"] = json!("0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11");
        let body = URL_SAFE_NO_PAD.encode(changed.to_string());
        format!("{}.{body}.{signature}", head.split('.').next().expect("a header"))
    };
    let lying = {
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","typ":"JWT"}"#);
        let message = format!("{head}.{}", ada.access.split('.').nth(1).expect("claims"));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &ours, Algorithm::HS256).expect("a signature");
        format!("{message}.{signature}")
    };
    let refused = [
        ("alg none", none),
        ("a signature that is not what the header says", lying),
        ("no signature", unsigned),
        ("changed claims", swapped),
        ("another secret", signed(&header, &claims, &theirs)),
        ("HS512", signed(&Header::new(Algorithm::HS512), &claims, &ours)),
        ("another issuer", with("iss", json!("https://elsewhere.example"))),
        ("another audience", with("aud", json!("elsewhere"))),
        ("not yet", with("nbf", json!(app.clock.now().seconds() + 61))),
        ("no session", with("sid", Value::Null)),
        ("an unknown key", signed(&Header { kid: Some("other".into()), ..header.clone() }, &claims, &ours)),
        ("nonsense", "a.b.c".to_owned()),
        ("long", "x".repeat(6000)),
    ];
    for (what, token) in &refused {
        assert_eq!(code_of(&app, token).await, "token_invalid", "{what}");
    }
    assert_eq!(code_of(&app, &with("exp", json!(app.clock.now().seconds()))).await, "token_expired");
    assert_eq!(code_of(&app, &with("sid", json!("0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11"))).await, "session_ended");
    assert_eq!(code_of(&app, &with("sub", json!("0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11"))).await, "session_ended");
    assert_eq!(app.get("/.well-known/jwks.json").send().await.expect(200).json(), json!({"keys": []}));
}

#[tokio::test]
async fn a_new_secret_signs_and_the_old_one_still_verifies() {
    let app = TestApp::with(with_secrets(&[SECRET])).await;
    let ada = app.sign_in(ADA).await;
    let rotated = app.reset(with_secrets(&["a newer secret of more than thirty-two bytes", SECRET])).await;
    rotated.me(&ada).await.expect(200);
    let next = Tokens::of(&rotated.refresh(&ada.refresh).await.expect(200));
    rotated.me(&next).await.expect(200);
    assert_eq!(code_of(&app, &next.access).await, "token_invalid");
    let done = app.reset(with_secrets(&["a newer secret of more than thirty-two bytes"])).await;
    assert_eq!(code_of(&done, &ada.access).await, "token_invalid");
    done.me(&next).await.expect(200);
    assert_eq!(done.refresh(&ada.refresh).await.expect(401).code(), "token_invalid");
}

fn with_private_keys(keys: &[&str]) -> impl FnOnce(&mut Settings) {
    let keys = keys.iter().map(|key| (*key).into()).collect();
    move |settings| {
        settings.auth.secret_keys = vec![SECRET.into()];
        settings.auth.jwt_private_keys = keys;
    }
}

#[tokio::test]
async fn others_can_verify_tokens_that_a_private_key_signed() {
    let app = TestApp::with(with_private_keys(&[ED25519, OTHER_ED25519])).await;
    let ada = app.sign_in(ADA).await;
    app.me(&ada).await.expect(200);
    let keys = app.get("/.well-known/jwks.json").send().await.expect(200).json();
    let header = part(&ada.access, 0);
    assert_eq!((header["alg"].as_str(), keys["keys"].as_array().map(Vec::len)), (Some("EdDSA"), Some(2)));
    assert_eq!(header["kid"], keys["keys"][0]["kid"]);
    let key = DecodingKey::from_ed_components(keys["keys"][0]["x"].as_str().expect("a key")).expect("a key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["gemini-backend"]);
    validation.validate_exp = false;
    let read = jsonwebtoken::decode::<Value>(&ada.access, &key, &validation).expect("a token that verifies");
    assert_eq!(read.claims["sub"], ada.user["id"]);
}

#[tokio::test]
async fn with_a_private_key_no_shared_secret_signs() {
    let app = TestApp::with(with_private_keys(&[ED25519])).await;
    let ada = app.sign_in(ADA).await;
    let keys = app.get("/.well-known/jwks.json").send().await.expect(200).json();
    let public = keys["keys"][0]["x"].as_str().expect("a key");
    let (header, claims) = (Header::new(Algorithm::HS256), part(&ada.access, 1));
    for secret in [public.as_bytes(), &URL_SAFE_NO_PAD.decode(public).expect("base64"), SECRET.as_bytes()] {
        assert_eq!(code_of(&app, &signed(&header, &claims, &EncodingKey::from_secret(secret))).await, "token_invalid");
    }
    let foreign = EncodingKey::from_ed_pem(OTHER_ED25519.as_bytes()).expect("a key");
    assert_eq!(code_of(&app, &signed(&Header::new(Algorithm::EdDSA), &claims, &foreign)).await, "token_invalid");
    let rotated = app.reset(with_private_keys(&[OTHER_ED25519, ED25519])).await;
    rotated.me(&ada).await.expect(200);
}

#[tokio::test]
async fn every_signed_in_user_has_a_limit_of_requests() {
    let app = TestApp::with(|settings| settings.server.requests_per_minute = 3).await;
    let (ada, bob) = (app.sign_in(ADA).await, app.sign_in(super::BOB).await);
    for left in ["2", "1", "0"] {
        let answer = app.me(&ada).await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=3;w=60"));
        assert!(answer.header("ratelimit").is_some_and(|standing| standing.contains(&format!("r={left};"))));
    }
    let refused = app.me(&ada).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("20")));
    app.me(&bob).await.expect(200);
    app.clock.advance(Duration::from_secs(20));
    app.me(&ada).await.expect(200);
}
