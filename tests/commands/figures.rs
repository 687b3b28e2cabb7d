//! The figures of a whole process: what `/metrics` says is what happened.

use std::time::Instant;

use serde_json::Value;

use crate::beside::Beside;
use crate::client::Client;

const ADA: &str = "+919876543210";
const TOKEN: &str = "a-token-for-operators";

struct Figures(String);

impl Figures {
    async fn read(base: String) -> Self {
        let mut operator = Client::new(base);
        TOKEN.clone_into(&mut operator.token);
        Self(operator.text("/metrics").await)
    }

    /// One figure by its whole name; what was never counted is zero.
    fn get(&self, name: &str) -> f64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    fn expect(&self, figures: &[(&str, f64)]) {
        let seen: Vec<_> = figures.iter().map(|(name, _)| (*name, self.get(name))).collect();
        assert_eq!(seen, figures, "{}", self.0);
    }
}

#[tokio::test]
async fn requests_and_answers_are_counted_as_they_were() {
    let begun = Instant::now();
    let beside = Beside::with(&[("METRICS_TOKEN", TOKEN), ("REQUESTS_PER_MINUTE", "100000")]).await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    assert_eq!(ada.get("/chatroom/none").await.0, 404);
    assert_eq!(ada.get("/chatroom").await.0, 200);
    assert_eq!(ada.get("/chatroom").await.0, 200);
    let mut replies = Vec::new();
    for text in [
        "[[sandbox:wait 1s]] Hello",
        "[[sandbox:slow 250ms]][[sandbox:words 5]]",
        "[[sandbox:block]]",
        "[[sandbox:503 times=1]] Hello",
    ] {
        replies.push(ada.ended(&ada.say(text).await).await);
    }
    let spent = |kind: &str| -> f64 {
        let counts = replies.iter().filter_map(|reply: &Value| reply["usage"][kind].as_f64());
        counts.sum()
    };
    assert!(spent("prompt_tokens") > 0.0 && spent("completion_tokens") > 10.0, "{replies:?}");
    let figures = Figures::read(beside.server.base()).await;
    figures.expect(&[
        (r#"http_requests_total{route="/auth/verify-otp",method="POST",status="200"}"#, 1.0),
        (r#"http_requests_total{route="/chatroom/{id}",method="GET",status="404"}"#, 1.0),
        (r#"http_requests_total{route="/chatroom",method="GET",status="200"}"#, 2.0),
        (r#"http_requests_total{route="/chatroom",method="POST",status="201"}"#, 4.0),
        (r#"http_requests_total{route="/chatroom/{id}/message",method="POST",status="202"}"#, 4.0),
        (r#"http_request_duration_seconds_count{route="/chatroom",method="GET"}"#, 2.0),
        (r#"http_request_duration_seconds_bucket{route="/chatroom",method="POST",le="+Inf"}"#, 4.0),
        (r#"replies_total{outcome="complete"}"#, 3.0),
        (r#"replies_total{outcome="failed"}"#, 1.0),
        (r#"replies_total{outcome="retried"}"#, 1.0),
        (r#"gemini_errors_total{code="blocked_safety"}"#, 1.0),
        (r#"gemini_errors_total{code="upstream_unavailable"}"#, 1.0),
        (r#"gemini_tokens_total{kind="prompt"}"#, spent("prompt_tokens")),
        (r#"gemini_tokens_total{kind="completion"}"#, spent("completion_tokens")),
        ("gemini_first_text_seconds_count", 3.0),
        ("gemini_answer_seconds_count", 3.0),
    ]);
    let (first, whole) = (figures.get("gemini_first_text_seconds_sum"), figures.get("gemini_answer_seconds_sum"));
    let requests = figures.get(r#"http_request_duration_seconds_sum{route="/chatroom",method="POST"}"#);
    let all = begun.elapsed().as_secs_f64();
    assert!(first >= 1.0 && whole >= first + 1.0 && whole < all, "{first} s to the first text, {whole} s in all");
    assert!(requests > 0.0 && requests < all, "{requests} s for four requests");
    beside.end().await;
}

#[tokio::test]
async fn the_queue_and_the_pool_are_told_as_they_stand() {
    let settings = [
        ("METRICS_TOKEN", TOKEN),
        ("REQUESTS_PER_MINUTE", "100000"),
        ("BASIC_REPLIES_AT_ONCE", "1"),
        ("WORKER_DRAIN_SECONDS", "0"),
    ];
    let beside = Beside::with(&settings).await;
    let look = async || Figures::read(beside.server.base()).await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    let nothing =
        [(r#"jobs{state="queued"}"#, 0.0), (r#"jobs{state="running"}"#, 0.0), ("jobs_oldest_queued_seconds", 0.0)];
    look().await.expect(&nothing);
    ada.begun(&ada.say("[[sandbox:hang after=2]]").await).await;
    look().await.expect(&[(r#"jobs{state="queued"}"#, 0.0), (r#"jobs{state="running"}"#, 1.0)]);
    let asked = Instant::now();
    ada.say("behind it").await;
    let accepted = Instant::now();
    ada.say("and behind that").await;
    loop {
        let (least, figures) = (accepted.elapsed().as_secs_f64(), look().await);
        figures.expect(&[(r#"jobs{state="queued"}"#, 2.0), (r#"jobs{state="running"}"#, 1.0)]);
        let (oldest, most) = (figures.get("jobs_oldest_queued_seconds"), asked.elapsed().as_secs_f64());
        // The database's clock and this one may go apart a little.
        assert!(oldest >= least - 0.2 && oldest <= most + 0.2, "{oldest} is not from {least} to {most}");
        if oldest > 1.0 {
            break;
        }
    }
    // Between its looks the server uses no connection and keeps what it has opened.
    loop {
        let figures = look().await;
        let state = |state: &str| figures.get(&format!("database_connections{{state=\"{state}\"}}"));
        let (used, idle) = (state("used"), state("idle"));
        assert!((1.0..=17.0).contains(&(used + idle)), "{used} used, {idle} idle");
        if used == 0.0 && idle >= 1.0 {
            break;
        }
    }
    beside.end().await;
}
