//! What holds for every operation: slashes, request ids, problems, methods, hosts, origins, compression.

use std::time::Duration;

use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn every_path_answers_with_and_without_a_slash_at_its_end() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/healthz/", "/healthz//", "/openapi.json/", "/docs/"] {
        app.get(path).send().await.expect(200);
    }
}

#[tokio::test]
async fn the_base_path_of_the_public_url_answers_too() {
    let app = TestApp::with(|settings| {
        settings.server.public_url = Some("https://example.com/chat/v1".parse().expect("a URL"));
    })
    .await;
    for path in ["/chat/v1/healthz", "/chat/v1/healthz/", "/healthz"] {
        app.get(path).send().await.expect(200);
    }
    let docs = app.get("/chat/v1/docs/").send().await.expect(200);
    assert!(docs.text().contains("\"/chat/v1/docs/swagger-ui.css\""), "{}", docs.text());
    let document = app.get("/openapi.json").send().await.expect(200);
    assert_eq!(document.json()["servers"], json!([{"url": "https://example.com/chat/v1"}]));
    let ada = app.sign_up().await;
    let room = ada.post("/chat/v1/chatroom", json!({})).await.expect(201);
    let id = room.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(room.header("location"), Some(format!("/chat/v1/chatroom/{id}").as_str()));
    assert_eq!(app.get("/chat/v1x/healthz").send().await.expect(404).code(), "not_found");
}

#[tokio::test]
async fn a_sane_request_id_comes_back_and_any_other_is_replaced() {
    let app = TestApp::start().await;
    let answer = app.get("/nowhere").header("x-request-id", "trace-1.2_3").send().await.expect(404);
    assert_eq!(answer.header("x-request-id"), Some("trace-1.2_3"));
    for odd in ["a b", "{}", &"x".repeat(129)] {
        let answer = app.get("/healthz").header("x-request-id", odd).send().await.expect(200);
        let id = answer.header("x-request-id").expect("an id");
        assert_eq!(id.parse::<uuid::Uuid>().expect("a UUID").get_version_num(), 7);
    }
}

#[tokio::test]
async fn an_unknown_route_is_a_problem_document() {
    let app = TestApp::start().await;
    let answer = app.get("/nowhere").header("x-request-id", "r-1").send().await.expect(404);
    assert_eq!(answer.content_type(), "application/problem+json");
    let problem = json!({"type": "urn:problem:not_found", "title": "There is nothing here", "status": 404,
        "detail": "There is nothing here", "code": "not_found", "request_id": "r-1"});
    assert_eq!(answer.json(), problem);
    for path in ["/%", "/%ff", "/..%2f..%2fetc/passwd", "/healthz/x", "/docs/none.js", "/docs/..%2Fmain.rs"] {
        assert_eq!(app.get(path).send().await.status / 100, 4, "{path}");
    }
}

#[tokio::test]
async fn another_method_is_405_and_says_which_are_allowed() {
    let app = TestApp::start().await;
    let answer = app.call("DELETE", "/healthz").send().await.expect(405);
    assert_eq!((answer.code().as_str(), answer.header("allow")), ("method_not_allowed", Some("GET,HEAD")));
    assert_eq!(app.call("BREW", "/healthz").send().await.expect(405).code(), "method_not_allowed");
    assert_eq!(app.call("OPTIONS", "/healthz").send().await.expect(204).header("allow"), Some("GET,HEAD"));
    assert_eq!(app.call("OPTIONS", "/nowhere").send().await.expect(404).code(), "not_found");
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let app = TestApp::start().await;
    let got = app.get("/openapi.json").send().await.expect(200);
    let head = app.call("HEAD", "/openapi.json").send().await.expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), Some(got.body.len().to_string().as_str()));
    assert!(app.call("HEAD", "/nowhere").send().await.expect(404).body.is_empty());
}

#[tokio::test]
async fn only_configured_origins_are_told_anything() {
    let app = TestApp::with(|settings| {
        settings.server.cors_allowed_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    let preflight = |origin: &'static str| {
        let call = app.call("OPTIONS", "/healthz").header("origin", origin);
        call.header("access-control-request-method", "POST").header("access-control-request-headers", "prefer").send()
    };
    let answer = preflight("https://app.example.com").await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    let allowed = answer.header("access-control-allow-headers").expect("allowed headers").to_ascii_lowercase();
    for name in ["authorization", "content-type", "idempotency-key", "last-event-id", "prefer", "if-none-match"] {
        assert!(allowed.contains(name), "{name} in {allowed}");
    }
    assert!(answer.header("access-control-allow-methods").expect("methods").contains("PATCH"));
    assert_eq!(preflight("https://evil.example.com").await.header("access-control-allow-origin"), None);

    let answer = app.get("/nowhere").header("origin", "https://app.example.com").send().await.expect(404);
    let exposed = answer.header("access-control-expose-headers").expect("exposed headers").to_ascii_lowercase();
    for name in
        ["location", "etag", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "idempotency-replayed"]
    {
        assert!(exposed.split(',').any(|exposed| exposed == name), "{name} in {exposed}");
    }
    let other = TestApp::start().await;
    let answer = other.get("/healthz").header("origin", "https://app.example.com").send().await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_host_that_is_not_served_is_refused_but_for_health() {
    let app = TestApp::with(|settings| {
        settings.server.allowed_hosts = vec!["api.example.com".to_owned(), ".example.org".to_owned()];
    })
    .await;
    for path in ["/openapi.json", "/nowhere"] {
        assert_eq!(app.get(path).header("host", "evil.example.com").send().await.expect(400).code(), "bad_host");
    }
    app.get("/openapi.json").header("host", "API.example.com:8080").send().await.expect(200);
    app.get("/openapi.json").header("host", "a.b.example.org").send().await.expect(200);
    app.get("/healthz").header("host", "10.1.2.3").send().await.expect(200);
    app.get("/readyz").header("host", "10.1.2.3").send().await.expect(200);
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let app = TestApp::start().await;
    let plain = app.get("/openapi.json").send().await.expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    let response = raw_get(&app, "/openapi.json", "accept-encoding: gzip\r\n").await;
    let head = String::from_utf8_lossy(&response[..600]).to_ascii_lowercase();
    assert!(head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"), "{head}");
    assert!(response.len() < plain.body.len() / 2);
}

/// One request over a bare connection, for what clients hide.
async fn raw_get(app: &TestApp, path: &str, headers: &str) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(app.address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request is written");
    let mut response = Vec::new();
    // A server that refuses before it has read everything may break the connection behind its answer.
    let _ = stream.read_to_end(&mut response).await;
    response
}

#[tokio::test]
async fn a_head_too_large_or_none_at_all_is_refused_and_nobody_else_is_hurt() {
    let app = TestApp::start().await;
    let huge = format!("x-huge: {}\r\n", "x".repeat(300_000));
    let response = raw_get(&app, "/healthz", &huge).await;
    assert!(!response.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&response));
    let response = raw_get(&app, "/health z", "").await;
    assert!(response.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&response));
    app.get("/healthz").send().await.expect(200);
}

#[tokio::test]
async fn a_persons_requests_are_limited_by_the_minute_and_say_how_they_stand() {
    let app = TestApp::with(|settings| settings.server.requests_per_minute = 3).await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    for remaining in [2, 1, 0] {
        let answer = ada.get("/chatroom").await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=3;w=60"));
        let standing = format!("\"requests\";r={remaining};t={}", 20 * (3 - remaining));
        assert_eq!(answer.header("ratelimit"), Some(standing.as_str()));
    }
    let refused = ada.get("/chatroom").await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("20")));
    assert_eq!(refused.header("ratelimit"), Some("\"requests\";r=0;t=60"));
    bob.get("/chatroom").await.expect(200);
    app.clock.advance(Duration::from_secs(20));
    ada.get("/chatroom").await.expect(200);
    ada.get("/chatroom").await.expect(429);
}
