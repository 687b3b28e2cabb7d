//! What codes may cost, where they may go, and which countries are held: counted in the database, for all nodes.

use std::time::Duration;

use gemini_backend::config::{Environment, Settings, Sms};
use gemini_backend::retention;
use gemini_backend::sandbox::sms::{End, Fault, Rule};
use serde_json::json;

use super::texts::Post;
use super::{ADA, BOB, Tokens, at_once, count};
use crate::harness::{Answer, TestApp};

const EXHAUSTED: &str = "sms_budget_exhausted";

/// The SMS settings that these variables give.
fn sms(pairs: &[(&'static str, &'static str)]) -> Sms {
    let loaded = Settings::load(&Environment::new(pairs.iter().copied(), "")).expect("valid settings");
    loaded.settings.sms
}

async fn capped(cap: &'static str) -> Post {
    let pairs = [("SMS_PRICES", "IN=0.0042,+1=0.0079,*=0.05"), ("SMS_DAILY_CAP", cap)];
    Post::by_twilio(|settings| settings.sms = sms(&pairs)).await
}

fn indian(at: usize) -> String {
    format!("+9198765{at:05}")
}

async fn ask(app: &TestApp, mobile: &str) -> Answer {
    app.tell("/auth/send-otp", json!({"mobile": mobile})).await
}

#[tokio::test]
async fn the_cap_is_exact_however_many_ask_at_once_on_however_many_nodes() {
    // Ten of 0.0042 and not eleven.
    let post = capped("0.0461").await;
    let beside = post.app.beside().await;
    let answers = at_once(30, |at| {
        let app = if at % 2 == 0 { &post.app } else { &beside };
        async move { ask(app, &indian(at)).await }
    })
    .await;
    assert_eq!((count(&answers, ""), count(&answers, EXHAUSTED)), (10, 20));
    // The other process rang its own bell.
    post.app.app.live.ring_for_jobs();
    post.app.settle().await;
    assert_eq!(post.sms.messages().len(), 10);
    assert_eq!(post.app.count("select spent from sms_days").await, 42_000);
    assert_eq!(post.app.count("select sends from sms_days").await, 10);
    let refused = ask(&post.app, BOB).await.expect(503);
    assert_eq!(refused.header("retry-after"), Some("50400"), "fourteen hours to midnight");
    post.app.advance_to_midnight();
    ask(&post.app, BOB).await.expect(200);
    post.app.settle().await;
    assert_eq!(post.app.count("select count(*) from sms_days").await, 2);
}

#[tokio::test]
async fn over_the_cap_nothing_is_sent_and_no_code_is_voided() {
    let post = capped("0.0042").await;
    let otp = post.code(ADA).await;
    // A code that is asked for now would be a new one.
    post.app.clock.advance(Duration::from_mins(2));
    let traces = ["select count(*) from codes", "select count(*) from jobs", "select count(*) from number_marks"];
    let mut before = Vec::new();
    for sql in traces {
        before.push(post.app.count(sql).await);
    }
    let known = ask(&post.app, ADA).await.expect(503);
    let unknown = ask(&post.app, BOB).await.expect(503);
    let forgotten = |mobile| post.app.tell("/auth/forgot-password", json!({"mobile": mobile}));
    let (known_forgot, unknown_forgot) = (forgotten(ADA).await.expect(503), forgotten(BOB).await.expect(503));
    let signup = json!({"mobile": BOB, "purpose": "signup"});
    let signing_up = post.app.tell("/auth/send-otp", signup).await.expect(503);
    let shown = |answer: &Answer| {
        let mut problem = answer.json();
        problem["request_id"] = json!(null);
        (problem, answer.header("retry-after").map(str::to_owned))
    };
    for other in [&unknown, &known_forgot, &unknown_forgot, &signing_up] {
        assert_eq!(shown(other), shown(&known));
    }
    post.app.settle().await;
    assert_eq!(post.sms.messages().len(), 1);
    for (sql, before) in traces.into_iter().zip(before) {
        assert_eq!(post.app.count(sql).await, before, "{sql}");
    }
    post.app.verify(ADA, &otp).await.expect(200);
}

#[tokio::test]
async fn a_message_that_may_have_gone_out_is_paid_for_again() {
    let post = capped("1").await;
    // Taken, and the connection breaks before the answer; then the sender says that it took nothing.
    post.sms.script(Rule::end(End::Cut));
    post.sms.script(Rule::refuse(Fault::bare(503)));
    ask(&post.app, ADA).await.expect(200);
    post.app.settle().await;
    for (seconds, messages, spent) in [(1, 2, 8_400), (2, 3, 8_400), (60, 3, 8_400)] {
        post.app.clock.advance(Duration::from_secs(seconds));
        post.app.settle().await;
        assert_eq!(post.sms.messages().len(), messages);
        assert_eq!(post.app.count("select spent from sms_days").await, spent, "after {messages}");
    }
    let codes = post.app.count("select sends from sms_minutes").await;
    assert_eq!(codes, 1, "for its country it is one code");
}

#[tokio::test]
async fn a_message_is_not_sent_again_beyond_the_cap() {
    let post = capped("0.0083").await;
    post.sms.script(Rule::end(End::Cut));
    ask(&post.app, ADA).await.expect(200);
    post.app.settle().await;
    post.app.clock.advance(Duration::from_secs(5));
    post.app.settle().await;
    assert_eq!(post.sms.messages().len(), 1);
    assert_eq!(post.app.count("select spent from sms_days").await, 4_200);
    assert_eq!(post.app.count("select count(*) from jobs where state = 'parked'").await, 1);
}

#[tokio::test]
async fn each_country_costs_its_own_price() {
    let post = capped("1").await;
    for (mobile, spent) in [(ADA, 4_200), ("+12025550143", 12_100), ("+447400123456", 62_100), ("1234567890", 112_100)]
    {
        ask(&post.app, mobile).await.expect(200);
        assert_eq!(post.app.count("select spent from sms_days").await, spent, "{mobile}");
    }
    post.app.settle().await;
}

#[tokio::test]
async fn codes_that_go_nowhere_cost_nothing() {
    let app = TestApp::with(|settings| settings.sms = sms(&[("SMS_PRICES", "*=1"), ("SMS_DAILY_CAP", "0")])).await;
    app.sign_in(ADA).await;
    assert_eq!(app.count("select count(*) from sms_days").await, 0);
    assert_eq!(app.count("select count(*) from sms_countries").await, 0);
}

#[tokio::test]
async fn a_country_that_is_not_named_is_refused_known_or_not_and_its_people_stay() {
    const KNOWN: &str = "+12025550143";
    let app = TestApp::start().await;
    let tokens = app.sign_up_with(KNOWN, "correct horse battery").await;
    let app = app.reset(|settings| settings.sms = sms(&[("SMS_COUNTRIES", "IN,GB")])).await;
    for path in ["/auth/send-otp", "/auth/forgot-password", "/auth/signup"] {
        let mut seen = Vec::new();
        for mobile in [KNOWN, "+12025550144", "+7975553034"] {
            let refused = app.tell(path, json!({"mobile": mobile})).await.expect(422);
            seen.push(refused.json()["errors"].clone());
        }
        let told = json!([{"field": "mobile", "message": "must be a number of a country that codes are sent to"}]);
        assert!(seen.iter().all(|errors| *errors == told), "{path}: {seen:?}");
    }
    app.tell("/auth/signup", json!({"mobile": "+447400123456"})).await.expect(201);
    // Of no country, and let in as it is.
    app.sign_in("1234567890").await;
    app.sign_in(ADA).await;
    stays_signed_in(&app, &tokens, KNOWN).await;
}

async fn stays_signed_in(app: &TestApp, tokens: &Tokens, mobile: &str) {
    app.me(tokens).await.expect(200);
    let next = Tokens::of(&app.refresh(&tokens.refresh).await.expect(200));
    app.me(&next).await.expect(200);
    let by_password = Tokens::of(&app.obtain(mobile, "correct horse battery").await.expect(200));
    app.me(&by_password).await.expect(200);
}

async fn pumped(app: &TestApp, numbers: std::ops::Range<usize>) -> Vec<Answer> {
    let first = numbers.start;
    at_once(numbers.len(), async |at| ask(app, &indian(first + at)).await).await
}

#[tokio::test]
async fn a_country_whose_codes_nobody_uses_gets_five_an_hour() {
    let post = Post::by_twilio(|_| {}).await;
    let beside = post.app.beside().await;
    let answers = at_once(40, |at| {
        let app = if at % 2 == 0 { &post.app } else { &beside };
        async move { ask(app, &indian(at)).await }
    })
    .await;
    assert_eq!((count(&answers, ""), count(&answers, "rate_limited")), (25, 15));
    let refused = ask(&post.app, ADA).await.expect(429);
    assert_eq!(refused.header("retry-after"), Some("3600"));
    assert!(refused.header("ratelimit-policy").is_some_and(|it| it.contains("\"codes-to-country\";q=5;w=3600")));
    assert!(refused.header("ratelimit").is_some_and(|it| it.contains("\"codes-to-country\";r=0;t=3600")));
    assert_eq!(refused.json()["detail"], "Too many codes for this country");
    let elsewhere = ask(&post.app, "+12025550143").await.expect(200);
    assert!(!elsewhere.header("ratelimit").is_some_and(|it| it.contains("codes-to-country")));
    post.app.settle().await;
    assert_eq!(post.sms.messages().len(), 26);
    post.app.clock.advance(Duration::from_mins(59));
    assert_eq!(count(&pumped(&post.app, 100..101).await, "rate_limited"), 1);
    // It stays held though the hour's codes are few, and from hour to hour.
    for hour in 2..5 {
        post.app.clock.advance(Duration::from_mins(if hour == 2 { 1 } else { 60 }));
        let answers = pumped(&post.app, hour * 100..hour * 100 + 10).await;
        assert_eq!((count(&answers, ""), count(&answers, "rate_limited")), (5, 5), "hour {hour}");
    }
    post.app.clock.advance(Duration::from_hours(25));
    let answers = pumped(&post.app, 600..640).await;
    assert_eq!(count(&answers, ""), 25, "after a day without any it is free, and held again");
    post.app.settle().await;
}

#[tokio::test]
async fn codes_that_are_used_set_their_country_free() {
    let post = Post::by_twilio(|_| {}).await;
    let mut codes = Vec::new();
    for at in 0..25 {
        codes.push(post.code(&indian(at)).await);
    }
    ask(&post.app, ADA).await.expect(429);
    for (at, code) in codes.iter().enumerate().take(4) {
        post.app.verify(&indian(at), code).await.expect(200);
    }
    post.app.verify(&indian(5), "000000").await.expect(401);
    ask(&post.app, ADA).await.expect(429);
    post.app.verify(&indian(4), &codes[4]).await.expect(200);
    // Five of 25 are a fifth: this one is free. Of 26 they are less.
    let free = ask(&post.app, ADA).await.expect(200);
    assert!(!free.header("ratelimit").is_some_and(|it| it.contains("codes-to-country")), "{free:?}");
    post.app.settle().await;
}

#[tokio::test]
async fn a_country_whose_codes_are_used_is_not_held() {
    let post = Post::by_twilio(|_| {}).await;
    for at in 0..40 {
        let code = post.code(&indian(at)).await;
        if at % 4 == 0 {
            post.app.verify(&indian(at), &code).await.expect(200);
        }
    }
    assert_eq!(post.app.count("select count(*) from sms_countries where held_at is not null").await, 0);
}

/// Ada, signed in by a code and with a password.
async fn with_password(post: &Post) -> Tokens {
    let signup = json!({"mobile": ADA, "password": "correct horse battery"});
    let signup = post.app.tell("/auth/signup", signup).await.expect(201).json();
    let otp = post.code(ADA).await;
    let body = json!({"mobile": ADA, "otp": otp, "signup_token": signup["signup_token"]});
    Tokens::of(&post.app.tell("/auth/verify-otp", body).await.expect(200))
}

#[tokio::test]
async fn who_is_signed_in_stays_so_when_nothing_can_be_sent() {
    let post = capped("0.0084").await;
    let tokens = with_password(&post).await;
    post.code(BOB).await;
    ask(&post.app, ADA).await.expect(503);
    stays_signed_in(&post.app, &tokens, ADA).await;
    let post = Post::by_twilio(|_| {}).await;
    let tokens = with_password(&post).await;
    pumped(&post.app, 0..30).await;
    ask(&post.app, ADA).await.expect(429);
    stays_signed_in(&post.app, &tokens, ADA).await;
    post.app.settle().await;
}

#[tokio::test]
async fn minutes_and_days_of_sending_go_in_time() {
    let post = Post::by_twilio(|_| {}).await;
    post.code(ADA).await;
    let left = async || {
        let minutes = post.app.count("select count(*) from sms_minutes").await;
        (minutes, post.app.count("select count(*) from sms_days").await)
    };
    post.app.clock.advance(Duration::from_hours(24));
    retention::sweep(&post.app.app).await.expect("a sweep");
    assert_eq!(left().await, (1, 1));
    post.app.clock.advance(Duration::from_mins(1));
    retention::sweep(&post.app.app).await.expect("a sweep");
    assert_eq!(left().await, (0, 1));
    post.app.clock.advance(Duration::from_hours(24 * 401));
    retention::sweep(&post.app.app).await.expect("a sweep");
    assert_eq!(left().await, (0, 0));
}

#[tokio::test]
async fn figures_tell_what_went_and_what_it_cost() {
    let pairs = [("SMS_PRICES", "*=0.05")];
    let post = Post::by_twilio(|settings| {
        settings.sms = sms(&pairs);
        settings.server.metrics_token = Some("a-token".to_owned().into());
    })
    .await;
    // No other test sends to Iceland: the figures are the whole process's.
    post.code("+3546110000").await;
    let figures = post.app.get("/metrics").bearer("a-token").send().await.expect(200);
    let text = figures.text();
    assert!(text.contains("sms_spent_micros_total{country=\"IS\"} 50000"), "{text}");
    assert!(text.contains("sms_sent_total{outcome=\"sent\",country=\"IS\"} 1"), "{text}");
}
