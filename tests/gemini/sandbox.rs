//! The sandbox as any other client sees it.

use std::time::Duration;

use gemini_backend::sandbox::gemini::{Card, Ended, Entry, Options, Running};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{MODEL, start, start_with};

struct Visitor {
    http: reqwest::Client,
    base: String,
    key: Option<&'static str>,
}

impl Visitor {
    fn of(sandbox: &Running) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(2)).build().expect("a client");
        Self { http, base: sandbox.base_url(), key: Some("k") }
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).body(body.to_owned());
        request = request.header("content-type", "application/json");
        if let Some(key) = self.key {
            request = request.header("x-goog-api-key", key);
        }
        request.send().await.expect("an answer")
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.send(Method::POST, path, &body.to_string()).await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.send(Method::GET, path, "").await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }
}

fn says(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

#[tokio::test]
async fn both_versions_answer_alike() {
    let sandbox = start().await;
    let visitor = Visitor::of(&sandbox);
    for version in ["v1", "v1beta"] {
        let path = format!("/{version}/models/{MODEL}");
        let (status, body) = visitor.post(&format!("{path}:generateContent"), &says("What is 2 + 2?")).await;
        assert_eq!((status, &body["candidates"][0]["content"]["parts"][0]["text"]), (200, &json!("2 + 2 = 4.")));
        assert_eq!((&body["candidates"][0]["finishReason"], &body["modelVersion"]), (&json!("STOP"), &json!(MODEL)));
        let (_, counted) = visitor.post(&format!("{path}:countTokens"), &says("hello world")).await;
        assert_eq!(counted["totalTokens"], 5);
        assert_eq!(visitor.get(&path).await.1["inputTokenLimit"], 1_048_576);
        assert_eq!(visitor.get(&format!("/{version}/models?pageSize=1")).await.1["nextPageToken"], "p1");
    }
}

#[tokio::test]
async fn a_stream_is_events_or_one_growing_array() {
    let sandbox = start().await;
    let visitor = Visitor::of(&sandbox);
    let path = format!("/v1beta/models/{MODEL}:streamGenerateContent");
    let body = says("Say one two").to_string();
    let events = visitor.send(Method::POST, &format!("{path}?alt=sse"), &body).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let events = events.text().await.expect("a body");
    let frames: Vec<Value> = events
        .split_terminator("\r\n\r\n")
        .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").expect("data")).expect("JSON"))
        .collect();
    assert_eq!(frames.len(), 3, "{events}");
    assert_eq!(frames[1]["candidates"][0]["content"]["parts"][0]["text"], "two");
    assert_eq!(frames[2]["candidates"][0]["finishReason"], "STOP");
    assert!(frames[2]["candidates"][0]["content"].get("parts").is_none());
    let array = visitor.send(Method::POST, &path, &body).await;
    assert_eq!(array.headers()["content-type"], "application/json; charset=UTF-8");
    let array: Value = array.json().await.expect("JSON");
    assert_eq!(array.as_array().map(Vec::len), Some(3));
    assert_eq!(array[0]["candidates"][0]["content"]["parts"][0]["text"], "one ");
}

#[tokio::test]
async fn bad_requests_are_refused_as_google_refuses_them() {
    let mut options = Options::default();
    options.models.push(Card::new("small", 5, 7));
    let sandbox = start_with(options).await;
    let mut visitor = Visitor::of(&sandbox);
    let path = format!("/v1beta/models/{MODEL}:generateContent");
    let hi = says("hi");
    for (path, body, status, word) in [
        (path.as_str(), json!({"contents": []}).to_string(), 400, "INVALID_ARGUMENT"),
        (&path, json!({"contents": [{"role": "bot", "parts": [{"text": "x"}]}]}).to_string(), 400, "INVALID_ARGUMENT"),
        (&path, "{\"contents\":".to_owned(), 400, "INVALID_ARGUMENT"),
        ("/v1beta/models/gemini-1.5-flash:generateContent", hi.to_string(), 404, "NOT_FOUND"),
        ("/v1beta/models/gemini-embedding-001:generateContent", hi.to_string(), 404, "NOT_FOUND"),
        ("/v1beta/models/gemini-3.8-flash:dance", hi.to_string(), 404, "NOT_FOUND"),
        ("/v1beta/models/small:generateContent", says("a b c d e f").to_string(), 400, "INVALID_ARGUMENT"),
        ("/v2/models", hi.to_string(), 404, "NOT_FOUND"),
    ] {
        let response = visitor.send(Method::POST, path, &body).await;
        assert_eq!(response.status(), status, "{path} {body}");
        let error: Value = response.json().await.expect("JSON");
        assert_eq!(
            (&error["error"]["code"], &error["error"]["status"]),
            (&json!(status), &json!(word)),
            "{path} {body}"
        );
    }
    // Streams without alt=sse are arrays, in error as well.
    let (_, error) = visitor.post(&path.replace("generateContent", "streamGenerateContent"), &json!({})).await;
    assert_eq!(error[0]["error"]["code"], 400);
    visitor.key = Some("invalid-key");
    let (status, error) = visitor.post(&path, &hi).await;
    assert_eq!((status, &error["error"]["details"][0]["reason"]), (400, &json!("API_KEY_INVALID")));
    visitor.key = None;
    assert_eq!(visitor.post(&path, &hi).await.0, 403);
    assert_eq!(visitor.get("/v1beta/models").await.1["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(visitor.get("/v1beta/models?key=abc").await.0, 200);
    let last = sandbox.journal().pop().expect("an entry");
    assert_eq!(last.path, "/v1beta/models?key=…");
    assert!(
        sandbox.journal().iter().filter(|entry| entry.end != Ended::Finished).all(|entry| entry.end == Ended::Refused)
    );
}

#[tokio::test]
async fn texts_are_embedded_alone_and_in_batches() {
    let sandbox = start().await;
    let visitor = Visitor::of(&sandbox);
    let path = "/v1beta/models/gemini-embedding-001";
    let content = |text: &str| json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}});
    let (_, one) = visitor.post(&format!("{path}:embedContent"), &content("hello")).await;
    let values = one["embedding"]["values"].as_array().expect("values");
    let length: f64 = values.iter().filter_map(Value::as_f64).map(|value| value * value).sum();
    assert_eq!(values.len(), 3_072);
    assert!((length - 1.0).abs() < 1e-4, "{length}");
    let mut short = content("hello");
    short["outputDimensionality"] = json!(64);
    let (_, batch) =
        visitor.post(&format!("{path}:batchEmbedContents"), &json!({"requests": [content("hello"), short]})).await;
    assert_eq!(batch["embeddings"][0]["values"], one["embedding"]["values"]);
    assert_eq!(batch["embeddings"][1]["values"].as_array().map(Vec::len), Some(64));
    for bad in [
        json!({}),
        json!({"requests": [{"content": {"parts": [{"text": "x"}]}}]}),
        json!({"requests": [{"model": "models/other"}]}),
    ] {
        assert_eq!(visitor.post(&format!("{path}:batchEmbedContents"), &bad).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn it_is_scripted_and_read_over_http() {
    let sandbox = start().await;
    let visitor = Visitor::of(&sandbox);
    let path = format!("/v1/models/{MODEL}:generateContent");
    let rules = json!([
        {"when": "nowhere", "text": "not this"},
        {"when": "hel", "times": 2, "text": "scripted"},
        {"call": "countTokens", "refuse": {"status": 503}},
        {"refuse": {"status": 429, "retry": "38s", "quota": "PerDay"}},
    ]);
    assert_eq!(visitor.post("/sandbox/script", &rules).await.0, 204);
    assert_eq!(visitor.post("/sandbox/script", &json!({"txt": "typo"})).await.0, 422);
    for _ in 0..2 {
        let (_, body) = visitor.post(&path, &says("hello")).await;
        assert_eq!(body["candidates"][0]["content"]["parts"][0]["text"], "scripted");
    }
    let (status, error) = visitor.post(&path, &says("hello")).await;
    assert_eq!(status, 429);
    assert_eq!(error["error"]["details"][0]["violations"][0]["quotaId"], "GenerateRequestsPerDayPerProjectPerModel");
    assert_eq!(error["error"]["details"][1]["retryDelay"], "38s");
    assert_eq!(visitor.post(&path.replace("generateContent", "countTokens"), &says("hello")).await.0, 503);
    assert_eq!(visitor.get("/sandbox/script").await.1["rules"].as_array().map(Vec::len), Some(1));
    assert_eq!(visitor.send(Method::DELETE, "/sandbox/script", "").await.status(), 204);
    let (_, journal) = visitor.get("/sandbox/journal?after=2").await;
    let entries: Vec<Entry> = serde_json::from_value(journal["entries"].clone()).expect("entries");
    assert_eq!(entries, sandbox.journal()[2..]);
    assert_eq!((entries[0].id, entries[0].status, entries[0].end), (3, 429, Ended::Refused));
    assert_eq!(visitor.send(Method::DELETE, "/sandbox/journal", "").await.status(), 204);
    assert!(sandbox.journal().is_empty());
}

#[tokio::test]
async fn the_journal_forgets_the_oldest_and_its_file_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("journal.jsonl");
    let sandbox = start_with(Options { journal: 2, journal_file: Some(file.clone()), ..Options::default() }).await;
    let visitor = Visitor::of(&sandbox);
    for at in 1..=3 {
        visitor.post(&format!("/v1/models/{MODEL}:generateContent"), &says(&format!("say {at}"))).await;
    }
    let kept: Vec<(u64, String)> = sandbox.journal().into_iter().map(|entry| (entry.id, entry.text)).collect();
    assert_eq!(kept, [(2, "2".to_owned()), (3, "3".to_owned())]);
    let lines = std::fs::read_to_string(file).expect("the file");
    let texts: Vec<String> =
        lines.lines().map(|line| serde_json::from_str::<Entry>(line).expect("an entry").text).collect();
    assert_eq!(texts, ["1", "2", "3"]);
}

#[tokio::test]
async fn two_thousand_streams_at_once() {
    gemini_backend::cli::allow_many_connections();
    let sandbox = start().await;
    let visitor = Visitor::of(&sandbox);
    visitor.post("/sandbox/script", &json!({"times": null, "words": 20, "hold": 10})).await;
    let path = format!("/v1beta/models/{MODEL}:streamGenerateContent?alt=sse");
    let body = says("hi").to_string();
    let all = futures_util::future::join_all(
        (0..2_000).map(|_| async { visitor.send(Method::POST, &path, &body).await.text().await.expect("a body") }),
    );
    let release = async {
        sandbox
            .wait_until(|entries| entries.len() == 2_000 && entries.iter().all(|entry| entry.end == Ended::Held))
            .await;
        sandbox.release();
    };
    let (bodies, ()) = tokio::join!(all, release);
    assert!(bodies.iter().all(|body| body.contains("word20 ") && body.contains("STOP")));
}

#[tokio::test]
async fn the_documented_words_and_rules_are_understood() {
    let document = include_str!("../../docs/SANDBOX.md");
    let sandbox = start().await;
    let visitor = Visitor::of(&sandbox);
    let words: Vec<&str> = document.split('`').filter(|code| code.starts_with("[[sandbox:")).collect();
    assert!(words.len() > 10, "{words:?}");
    for word in words.into_iter().filter(|word| !word.contains("hang")) {
        let word = word.replace("wait 3s", "wait 3ms").replace("slow 200ms", "slow 2ms");
        let (_, answer) = visitor.post(&format!("/v1/models/{MODEL}:generateContent"), &says(&word)).await;
        assert!(!answer.to_string().contains("sandbox does not know"), "{word}: {answer}");
    }
    let rules = document.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("rules");
    let rules: Value = serde_json::from_str(rules).expect("JSON");
    assert_eq!(visitor.post("/sandbox/script", &rules).await.0, 204);
    assert_eq!(
        visitor.get("/sandbox/script").await.1["rules"].as_array().map(Vec::len),
        rules.as_array().map(Vec::len)
    );
}
