//! What the log says, and what it must never say.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::TestApp;

/// What was logged in this test's thread, which the service shares.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody died writing").clone()).expect("a log of UTF-8")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody died writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_request_is_one_line_and_nothing_private_is_in_any() {
    let log = Log::default();
    let filter = tracing_subscriber::EnvFilter::new("gemini_backend=trace,warn");
    let writes = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(log.clone()).finish();
    let _listening = tracing::subscriber::set_default(writes);
    let app = TestApp::start().await;

    let mobile = "+919876543210";
    let sent = app.post("/auth/send-otp").json(&json!({"mobile": mobile})).send().await.expect(200).json();
    let otp = sent["otp"].as_str().expect("a code for someone on this machine").to_owned();
    let wrong = if otp == "000000" { "111111" } else { "000000" };
    app.post("/auth/verify-otp").json(&json!({"mobile": mobile, "otp": wrong})).send().await.expect(401);
    let pair =
        app.post("/auth/verify-otp").json(&json!({"mobile": mobile, "otp": otp})).send().await.expect(200).json();
    let token = pair["access_token"].as_str().expect("a token").to_owned();
    let refresh = pair["refresh_token"].as_str().expect("a token").to_owned();
    let call = |method: &str, path: &str| app.call(method, path).bearer(&token);
    let room = call("POST", "/chatroom").json(&json!({"name": "Surgery"})).send().await.expect(201).json();
    let path = format!("/chatroom/{}/message", room["id"].as_str().expect("an id"));
    let marked = call("POST", &path).header("x-request-id", "find-me").json(&json!({"content": "My knee hurts"}));
    marked.send().await.expect(202);
    app.settle().await;
    app.get("/nowhere/My%20knee?token=abc").send().await.expect(404);
    call("POST", &path).json(&json!({"content": 5, "password": "hunter22"})).send().await.expect(422);

    let text = log.text();
    let private = ["knee", "Surgery", "9876543210", &otp, wrong, &token, &refresh, "hunter22", "token=abc"];
    for secret in private {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let found: Vec<_> = lines.iter().filter(|line| line["span"]["request_id"] == "find-me").collect();
    let line = found.iter().find(|line| line["fields"]["message"] == "answered").expect("the request's line");
    assert_eq!(line["fields"]["route"], "/chatroom/{id}/message");
    assert_eq!((&line["fields"]["method"], &line["fields"]["status"]), (&json!("POST"), &json!(202)));
    assert_eq!(line["span"]["user_id"], pair["user"]["id"], "{line}");
    assert!(line["fields"]["millis"].is_number() && line["fields"]["client"] == "127.0.0.1", "{line}");
}
