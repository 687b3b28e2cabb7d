//! Text messages: codes that go by Twilio or by the signed webhook, to the sandbox that stands for both.

use std::time::Duration;

use gemini_backend::clock::Clock;
use gemini_backend::config::{OtpDelivery, Settings, Twilio, TwilioFrom};
use gemini_backend::fetch_all;
use gemini_backend::sandbox::sms::{self, End, Fault, Kept, Options, Rule, Running, Way};
use gemini_backend::sandbox::stripe;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::delivery::Lines;
use super::{ADA, BOB};
use crate::harness::shop::event;
use crate::harness::{START, TestApp, until};

const TOKEN: &str = "9f2c4be1d07a6358";
const SECRET: &str = "c1f0-9a2b-77de";

/// A service that sends real messages, and the sandbox that gets them.
pub(super) struct Post {
    pub(super) app: TestApp,
    pub(super) sms: Running,
    _stop: DropGuard,
}

impl Post {
    async fn start(delivery: impl FnOnce(&Running) -> OtpDelivery, change: impl FnOnce(&mut Settings)) -> Self {
        let (sms, stop) = open().await;
        let app = TestApp::with(|settings| {
            settings.auth.otp_delivery = delivery(&sms);
            change(settings);
        });
        Self { app: app.await, sms, _stop: stop }
    }

    /// A service that also sells.
    async fn selling(change: impl FnOnce(&mut Settings)) -> Self {
        let (sms, stop) = open().await;
        let app = TestApp::selling_with(|settings| {
            settings.auth.otp_delivery = twilio(&sms, TOKEN, TwilioFrom::Number("+15005550006".to_owned()));
            change(settings);
        });
        Self { app: app.await, sms, _stop: stop }
    }

    pub(super) async fn by_twilio(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start(|sms| twilio(sms, TOKEN, TwilioFrom::Number("+15005550006".to_owned())), change).await
    }

    async fn by_webhook(secret: &str) -> Self {
        let delivery = |sms: &Running| {
            let url = sms.webhook_url().parse().expect("an address");
            OtpDelivery::Webhook { url, secret: secret.into() }
        };
        Self::start(delivery, |_| {}).await
    }

    /// Asks for a code and reads it from the message.
    pub(super) async fn code(&self, mobile: &str) -> String {
        self.app.tell("/auth/send-otp", json!({"mobile": mobile})).await.expect(200);
        self.app.settle().await;
        digits(self.sms.messages().last().expect("a message"))
    }

    /// Lets so much time go by, and what is due happen.
    async fn wait(&self, span: Duration) {
        self.app.clock.advance(span);
        self.app.settle().await;
    }

    async fn jobs(&self) -> Vec<(String, Option<String>)> {
        let mut reader = self.app.app.store.read().await.expect("a connection");
        fetch_all!(&mut reader, (String, Option<String>), "select state, note from jobs order by id").expect("the jobs")
    }
}

async fn open() -> (Running, DropGuard) {
    let stop = CancellationToken::new();
    let account = Some(("AC1".to_owned(), TOKEN.to_owned()));
    let (webhook_secret, clock) = (SECRET.to_owned(), Clock::held(START));
    let options = Options { account, webhook_secret, clock, messages: 1000 };
    let sms = sms::start(([127, 0, 0, 1], 0).into(), options, stop.clone()).await.expect("a free port");
    (sms, stop.drop_guard())
}

fn twilio(sms: &Running, token: &str, from: TwilioFrom) -> OtpDelivery {
    let (base_url, account_sid) = (sms.base_url(), "AC1".to_owned());
    OtpDelivery::Twilio(Twilio { base_url, account_sid, auth_token: token.into(), from })
}

fn digits(message: &Kept) -> String {
    message.text.chars().take_while(char::is_ascii_digit).collect()
}

#[tokio::test]
async fn a_code_goes_by_twilio_and_signs_in() {
    let post = Post::by_twilio(|_| {}).await;
    let sent = post.app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200).json();
    assert!(sent.get("otp").is_none(), "{sent}");
    post.app.settle().await;
    let message = post.sms.messages().pop().expect("a message");
    assert_eq!((message.way, message.status, &*message.to), (Way::Twilio, 201, "+919876543210"));
    assert_eq!(message.from.as_deref(), Some("+15005550006"));
    post.app.verify(ADA, &digits(&message)).await.expect(200);
}

#[tokio::test]
async fn a_messaging_service_may_choose_the_sender() {
    let service = |sms: &Running| twilio(sms, TOKEN, TwilioFrom::MessagingService("MG7".to_owned()));
    let post = Post::start(service, |_| {}).await;
    let otp = post.code(ADA).await;
    let message = post.sms.messages().remove(0);
    assert_eq!((message.from, message.service.as_deref()), (None, Some("MG7")));
    post.app.verify(ADA, &otp).await.expect(200);
}

#[tokio::test]
async fn trouble_is_waited_out_with_the_same_code() {
    let post = Post::by_twilio(|_| {}).await;
    for fault in [Fault::of(429, 20429), Fault::bare(503), Fault::of(500, 20500)] {
        post.sms.script(Rule::refuse(fault));
    }
    post.sms.script(Rule::end(End::Cut));
    let first = post.code(ADA).await;
    for seconds in [1, 2, 4, 8] {
        post.wait(Duration::from_secs(seconds)).await;
    }
    let messages = post.sms.messages();
    let statuses: Vec<_> = messages.iter().map(|message| message.status).collect();
    assert_eq!(statuses, [429, 503, 500, 0, 201]);
    assert!(messages.iter().all(|message| digits(message) == first), "{messages:?}");
    post.app.verify(ADA, &first).await.expect(200);
}

#[tokio::test]
async fn a_stripe_that_hangs_holds_up_no_code() {
    let post = Post::selling(|settings| settings.worker.concurrency = 4).await;
    let app = &post.app;
    app.block_webhooks();
    let ada = app.sign_up().await;
    ada.opens_checkout().await;
    let customer = ada.customer().await;
    app.shop().script(stripe::Rule::on("GET", "/v1/subscriptions").always().hold());
    for at in 0..8 {
        let about = json!({"id": "sub_1", "object": "subscription", "customer": customer});
        app.webhook(&event(&format!("evt_{at}"), "customer.subscription.updated", about)).await.expect(200);
    }
    let is_held = |entry: &stripe::Entry| entry.end == stripe::Ended::Held;
    app.shop().wait_until(|entries| entries.iter().any(is_held)).await;
    app.tell("/auth/send-otp", json!({"mobile": BOB})).await.expect(200);
    until("the code arrives", async || post.sms.messages().first().map(|_| ())).await;
    assert!(app.shop().journal().iter().any(is_held), "Stripe still says nothing");
    assert!(app.count("select count(*) from stripe_events where outcome = 'waiting'").await > 0);
    app.shop().clear_script();
    app.shop().release();
    app.live(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn the_pause_that_twilio_wants_is_kept() {
    let post = Post::by_twilio(|_| {}).await;
    post.sms.script(Rule::refuse(Fault::of(429, 20429).retry_after(40)));
    post.code(ADA).await;
    post.wait(Duration::from_secs(39)).await;
    assert_eq!(post.sms.messages().len(), 1);
    post.wait(Duration::from_secs(1)).await;
    assert_eq!(post.sms.messages().len(), 2);
}

#[tokio::test]
async fn twilio_is_tried_seven_times_and_only_while_the_code_lives() {
    let post = Post::by_twilio(|_| {}).await;
    post.sms.script(Rule::refuse(Fault::bare(503)).always());
    post.code(ADA).await;
    for seconds in [1, 2, 4, 8, 16, 32, 64, 64] {
        post.wait(Duration::from_secs(seconds)).await;
    }
    assert_eq!(post.sms.messages().len(), 7);
    post.code(BOB).await;
    // The third try comes two seconds before the code's end, and a fourth would come four seconds later.
    for seconds in [290, 8] {
        post.wait(Duration::from_secs(seconds)).await;
    }
    assert_eq!(post.sms.messages().len(), 7 + 3);
    let jobs = post.jobs().await;
    assert!(jobs.len() == 2 && jobs.iter().all(|(state, _)| state == "parked"), "{jobs:?}");
}

#[tokio::test]
async fn what_no_further_try_can_change_is_not_tried_again() {
    let post = Post::by_twilio(|_| {}).await;
    let faults = [(400, 21211), (400, 21614), (400, 21610), (401, 20003), (400, 21606), (404, 20404)];
    for (at, (status, code)) in faults.into_iter().enumerate() {
        post.sms.script(Rule::refuse(Fault::of(status, code).message("The 'To' number +919876543210 is no good")));
        post.code(&format!("987654321{at}")).await;
        post.wait(Duration::from_secs(5)).await;
        assert_eq!(post.sms.messages().len(), at + 1, "{code}");
    }
    let jobs = post.jobs().await;
    assert!(jobs.len() == faults.len() && jobs.iter().all(|(state, _)| state == "parked"), "{jobs:?}");
    assert!(!format!("{jobs:?}").contains("98765"), "{jobs:?}");
}

#[tokio::test]
async fn a_wrong_token_is_the_operators_fault_and_told_without_it() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let wrong = |sms: &Running| twilio(sms, "another-0d11", TwilioFrom::Number("+15005550006".to_owned()));
    let post = Post::start(wrong, |_| {}).await;
    let otp = post.code(ADA).await;
    assert_eq!(post.sms.messages()[0].error, Some(20003));
    // Twilio's own words hold the number.
    post.sms.script(Rule::refuse(Fault::of(400, 21211).message("The 'To' number +919876543211 is not valid")));
    post.code(BOB).await;
    let text = lines.text();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let level = |words: &str| {
        let line = told.iter().find(|line| line["fields"]["why"].as_str().is_some_and(|why| why.contains(words)));
        line.unwrap_or_else(|| panic!("no line says {words}: {text}"))["level"].clone()
    };
    assert_eq!(level("TWILIO_AUTH_TOKEN"), "ERROR");
    assert_eq!(level("21211"), "INFO");
    for secret in [&*otp, "another-0d11", "YW5vdGhlci", "9876543210", "9876543211"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn the_sandbox_takes_a_webhook_with_the_right_signature_only() {
    let post = Post::by_webhook(SECRET).await;
    let otp = post.code(ADA).await;
    let message = post.sms.messages().pop().expect("a message");
    assert_eq!((message.way, message.status), (Way::Webhook, 204));
    assert_eq!((&message.webhook["code"], &message.webhook["purpose"]), (&json!(otp), &json!("login")));
    post.app.verify(ADA, &otp).await.expect(200);
    let post = Post::by_webhook("another secret").await;
    post.code(ADA).await;
    let statuses: Vec<_> = post.sms.messages().iter().map(|message| message.status).collect();
    assert_eq!(statuses, [401], "a signature that is not right will never be");
}

#[tokio::test]
async fn a_webhook_is_tried_three_times() {
    let post = Post::by_webhook(SECRET).await;
    post.sms.script(Rule::end(End::Cut));
    post.sms.script(Rule::refuse(Fault::bare(502)).always());
    post.code(ADA).await;
    for _ in 0..5 {
        post.wait(Duration::from_secs(5)).await;
    }
    let statuses: Vec<_> = post.sms.messages().iter().map(|message| message.status).collect();
    assert_eq!(statuses, [0, 502, 502]);
}
