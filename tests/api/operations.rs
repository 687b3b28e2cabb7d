//! What operators use: health, readiness, metrics, the OpenAPI document and its page.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{TestApp, closed, document};

const TOKEN: &str = "a-token-for-operators";

async fn with_token() -> TestApp {
    TestApp::with(|settings| settings.server.metrics_token = Some(TOKEN.to_owned().into())).await
}

#[tokio::test]
async fn readiness_shows_its_detail_to_operators_only() {
    let app = with_token().await;
    assert_eq!(app.get("/readyz").send().await.expect(200).json(), json!({"status": "ready"}));
    assert_eq!(app.get("/readyz").bearer("wrong").send().await.expect(200).json(), json!({"status": "ready"}));
    let detail = app.get("/readyz").bearer(TOKEN).send().await.expect(200).json();
    let checks = json!({"database": "ok", "migrations": "ok", "clock": "ok", "process": "ok"});
    assert_eq!(detail, json!({"status": "ready", "checks": checks}));
}

#[tokio::test]
async fn without_its_database_a_process_lives_but_is_not_ready() {
    let app = with_token().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.app.store.close().await;
    let refused = ada.get(&format!("/chatroom/{room}")).await.expect(503);
    assert_eq!(refused.code(), "database_unavailable");
    assert!(!refused.text().contains("sqlite") && !refused.text().contains("postgres"), "{}", refused.text());
    assert_eq!(app.get("/metrics").bearer(TOKEN).send().await.expect(200).content_type(), "text/plain; version=0.0.4");
    app.get("/healthz").send().await.expect(200);
    let answer = app.get("/readyz").send().await.expect(503);
    assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("not_ready", Some("2")));
    assert!(answer.json().get("checks").is_none(), "{}", answer.text());
    let detail = app.get("/readyz").bearer(TOKEN).send().await.expect(503).json();
    assert_ne!(detail["checks"]["database"], "ok");
}

#[tokio::test]
async fn readiness_waits_for_nobody_who_writes_and_sees_a_schema_that_is_behind() {
    let app = with_token().await;
    let mut writing = app.app.store.begin().await.expect("a transaction");
    app.get("/readyz").bearer(TOKEN).send().await.expect(200);
    let forget = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    gemini_backend::execute!(&mut writing, forget).expect("a migration is forgotten");
    writing.commit().await.expect("the transaction ends");
    let detail = app.get("/readyz").bearer(TOKEN).send().await.expect(503).json();
    assert_eq!(
        (&detail["checks"]["migrations"], &detail["checks"]["database"]),
        (&json!("1 have not run"), &json!("ok"))
    );
}

#[tokio::test]
async fn who_is_unsure_of_the_time_is_not_ready_and_claims_nothing() {
    let app = TestApp::unsure(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.say(&room, "What time is it?").await.expect(202);
    claims_nothing(&app, 0).await;
    app.clock.follow(Instant::now(), app.clock.now());
    app.get("/readyz").send().await.expect(200);
    app.settle().await;
    assert_eq!(app.questions().len(), 1);
}

/// It says so to whoever asks, and what waits goes on waiting; so many were asked before.
async fn claims_nothing(app: &TestApp, asked: usize) {
    for _ in 0..50 {
        assert_eq!(app.get("/readyz").send().await.expect(503).code(), "not_ready");
    }
    let waiting = app.count("select count(*) from jobs where state = 'queued'").await;
    assert_eq!((app.questions().len(), waiting), (asked, 1));
}

/// Lets the monotonic clock go on by this much, as if nothing had happened meanwhile.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_time_is_not_trusted_when_it_was_last_measured_a_minute_ago() {
    let app = TestApp::unsure(|_| {}).await;
    app.clock.follow(Instant::now(), app.clock.now());
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    // Well within the minute, however slow this machine is.
    pass(Duration::from_secs(20)).await;
    assert_eq!(ada.hears(&room, "What time is it?").await["status"], "complete");
    app.get("/readyz").send().await.expect(200);
    pass(Duration::from_secs(40)).await;
    ada.say(&room, "And now?").await.expect(202);
    claims_nothing(&app, 1).await;
    app.clock.follow(Instant::now(), app.clock.now());
    app.get("/readyz").send().await.expect(200);
    app.settle().await;
    assert_eq!(app.questions().len(), 2);
}

#[tokio::test]
async fn the_time_is_not_trusted_when_it_is_off_by_more_than_a_second() {
    let app = TestApp::unsure(|_| {}).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    // The truth lies within the time that the question took: half of it either way.
    let asked = |before: Duration| Instant::now().checked_sub(before).expect("the machine is up for longer");
    app.clock.follow(asked(Duration::from_millis(2_002)), app.clock.now());
    ada.say(&room, "What time is it?").await.expect(202);
    claims_nothing(&app, 0).await;
    app.clock.follow(asked(Duration::from_secs(1)), app.clock.now());
    app.get("/readyz").send().await.expect(200);
    app.settle().await;
    assert_eq!(app.questions().len(), 1);
}

#[tokio::test]
async fn metrics_tell_how_it_goes_with_gemini() {
    let app = with_token().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.hears(&room, "Hello").await;
    ada.hears(&room, "[[sandbox:block]]").await;
    let text = app.get("/metrics").bearer(TOKEN).send().await.expect(200).text().to_owned();
    for line in [
        r#"replies_total{outcome="complete"}"#,
        r#"replies_total{outcome="failed"}"#,
        r#"gemini_errors_total{code="blocked_"#,
        r#"gemini_tokens_total{kind="prompt"}"#,
        "gemini_first_text_seconds_count",
        "gemini_answer_seconds_count",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn metrics_are_for_operators_only() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/metrics").send().await.expect(404).code(), "not_found");
    let app = with_token().await;
    assert_eq!(app.get("/metrics").send().await.expect(401).code(), "token_missing");
    let refused = app.get("/metrics").bearer("wrong").send().await.expect(401);
    assert_eq!((refused.code().as_str(), refused.header("www-authenticate")), ("token_invalid", Some("Bearer")));
    app.get("/metrics").bearer(TOKEN).send().await.expect(200);
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_never_by_what_clients_invent() {
    let app = with_token().await;
    app.get("/docs/none.css").send().await.expect(404);
    app.get("/invented/by/a/client").send().await.expect(404);
    app.call("BREW", "/healthz").send().await.expect(405);
    let text = app.get("/metrics").bearer(TOKEN).send().await.expect(200).text().to_owned();
    for line in [
        r#"http_requests_total{route="/docs/{file}",method="GET",status="404"}"#,
        r#"http_requests_total{route="unmatched",method="GET",status="404"}"#,
        r#"method="OTHER",status="405"}"#,
        r#"http_request_duration_seconds_bucket{route="/docs/{file}",method="GET",le="0.005"}"#,
        r#"jobs{state="queued"}"#,
        r#"database_connections{state="idle"}"#,
        "jobs_oldest_queued_seconds",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("invented") && !text.contains("none.css"), "{text}");
}

#[tokio::test]
async fn the_page_of_the_documentation_needs_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let page = app.get("/docs").send().await.expect(200);
    assert_eq!(page.content_type(), "text/html");
    let text = page.text().to_owned();
    let named = text.split('"').filter(|part| part.contains("/docs/"));
    let mut files = 0;
    for file in named {
        assert!(!app.get(file).send().await.expect(200).body.is_empty(), "{file}");
        files += 1;
    }
    assert!(files >= 4, "{text}");
    assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    let script = app.get("/docs/swagger-initializer.js").send().await.expect(200);
    assert!(script.text().contains("\"/openapi.json\""), "{}", script.text());
}

#[tokio::test]
async fn the_document_is_complete() {
    let app = TestApp::start().await;
    let served = app.get("/openapi.json").send().await.expect(200).json();
    assert_eq!(served["openapi"].as_str().expect("a version").split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    assert_eq!(served["paths"], document()["paths"]);
    let mut ids = std::collections::HashSet::new();
    for (path, item) in served["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path item") {
            let name = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            assert!(ids.insert(operation["operationId"].clone()), "{name} shares its id");
            assert!(operation.get("x-problems").is_none(), "{name}");
            for (status, response) in operation["responses"].as_object().expect("responses") {
                assert!(response["headers"]["x-request-id"].is_object(), "{name} {status}");
                for (kind, media) in response["content"].as_object().into_iter().flatten() {
                    hold_examples(media, &format!("{name} {status} {kind}"));
                }
            }
            for (kind, media) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                hold_examples(media, &format!("{name} {kind}"));
            }
            for status in ["500", "503"] {
                let problem = &operation["responses"][status]["content"]["application/problem+json"];
                assert!(problem.is_object(), "{name} does not declare {status}");
            }
        }
    }
}

#[tokio::test]
async fn a_listener_for_operators_asks_for_no_token_and_has_nothing_else() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let bind = free.local_addr().expect("a bound listener");
    drop(free);
    let app = TestApp::with(|settings| settings.server.metrics_bind = Some(bind)).await;
    assert_eq!(app.get("/metrics").send().await.expect(404).code(), "not_found");
    assert!(app.get("/readyz").send().await.expect(200).json().get("checks").is_none());
    let operators = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = async |path: &str| {
        let response = operators.get(format!("http://{bind}{path}")).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    };
    assert!(ask("/metrics").await.1.contains("http_requests_total"));
    assert!(ask("/readyz/").await.1.contains("\"database\":\"ok\""));
    for path in ["/chatroom", "/docs", "/openapi.json"] {
        assert_eq!(ask(path).await.0, 404, "{path}");
    }
}

/// There is an example, and each is what the schema says.
fn hold_examples(media: &Value, name: &str) {
    let several = media["examples"].as_object().into_iter().flatten().map(|(_, example)| {
        let word = example["$ref"].as_str().and_then(|target| target.rsplit('/').next());
        &word.map_or(example, |word| &document()["components"]["examples"][word])["value"]
    });
    let examples: Vec<_> = several.chain(media.get("example")).collect();
    assert!(!examples.is_empty(), "{name} has no example");
    let schema = closed(&media["schema"], document());
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    for example in examples {
        let errors: Vec<_> = validator.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?} in {example}");
    }
}
