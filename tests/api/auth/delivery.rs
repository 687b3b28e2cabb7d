//! Delivery: codes carried by a job, to the operator's own sender, and what the log shows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use gemini_backend::config::{OtpDelivery, Settings};
use gemini_backend::fetch_all;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::{ADA, BOB};
use crate::harness::TestApp;

const SECRET: &str = "the sender's secret";

/// A sender that notes what it is given, and refuses as often as it is told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender {
    taken: Arc<Mutex<Vec<(String, String)>>>,
    refusals: Arc<Mutex<Vec<StatusCode>>>,
}

async fn take(State(sender): State<Sender>, headers: HeaderMap, body: String) -> StatusCode {
    let signature = headers["x-signature"].to_str().expect("a signature").to_owned();
    sender.taken.lock().expect("no panic").push((signature, body));
    sender.refusals.lock().expect("no panic").pop().unwrap_or(StatusCode::NO_CONTENT)
}

impl Sender {
    /// A service that delivers to this sender.
    async fn service(&self) -> TestApp {
        self.service_with(|_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn service_with(&self, change: impl FnOnce(&mut Settings)) -> TestApp {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/sms?key=1", listener.local_addr().expect("an address"));
        let router = axum::Router::new().route("/sms", post(take)).with_state(self.clone());
        let app = TestApp::with(|settings| {
            let url = url.parse().expect("a URL");
            settings.auth.otp_delivery = OtpDelivery::Webhook { url, secret: SECRET.into() };
            change(settings);
        })
        .await;
        app.app.tasks.spawn(async move { axum::serve(listener, router).await });
        app
    }

    fn refuse(&self, with: &[StatusCode]) {
        self.refusals.lock().expect("no panic").extend(with);
    }

    pub(crate) fn messages(&self) -> Vec<Value> {
        let taken = self.taken.lock().expect("no panic");
        taken.iter().map(|(_, body)| serde_json::from_str(body).expect("JSON")).collect()
    }
}

#[tokio::test]
async fn a_code_reaches_the_sender_signed_and_signs_in() {
    let sender = Sender::default();
    let app = sender.service().await;
    let sent = app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200).json();
    assert!(sent.get("otp").is_none(), "{sent}");
    app.settle().await;
    let message = sender.messages().pop().expect("a message");
    assert_eq!((&message["to"], &message["purpose"]), (&json!("+919876543210"), &json!("login")));
    let otp = message["code"].as_str().expect("a code");
    assert!(message["text"].as_str().is_some_and(|text| text.contains(otp)), "{message}");
    let (signature, body) = sender.taken.lock().expect("no panic")[0].clone();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{}.{body}", app.clock.now().seconds()).as_bytes());
    let expected = format!("t={},v1={}", app.clock.now().seconds(), hex::encode(mac.finalize().into_bytes()));
    assert_eq!(signature, expected);
    app.verify(ADA, otp).await.expect(200);
}

#[tokio::test]
async fn a_job_never_holds_the_code() {
    let sender = Sender::default();
    let app = sender.service().await;
    app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
    app.settle().await;
    let otp = sender.messages()[0]["code"].as_str().expect("a code").to_owned();
    let mut reader = app.app.store.read().await.expect("a connection");
    let jobs = fetch_all!(&mut reader, (String, String), "select kind, payload from jobs").expect("the jobs");
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].0, "send_code");
    assert!(!jobs[0].1.contains(&otp), "{jobs:?}");
}

#[tokio::test]
async fn delivery_is_tried_three_times_with_the_same_code() {
    let sender = Sender::default();
    let app = sender.service().await;
    sender.refuse(&[StatusCode::BAD_GATEWAY, StatusCode::TOO_MANY_REQUESTS]);
    app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
    for tries in 1..=3 {
        app.settle().await;
        assert_eq!(sender.messages().len(), tries);
        app.clock.advance(Duration::from_secs(5));
    }
    let messages = sender.messages();
    assert!(
        messages.iter().all(|message| message["code"] == messages[0]["code"] && message["id"] == messages[0]["id"])
    );
    app.verify(ADA, messages[0]["code"].as_str().expect("a code")).await.expect(200);
}

#[tokio::test]
async fn after_three_tries_or_a_refusal_for_good_delivery_is_given_up() {
    let sender = Sender::default();
    let app = sender.service().await;
    sender.refuse(&[StatusCode::INTERNAL_SERVER_ERROR; 5]);
    app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
    for _ in 0..5 {
        app.settle().await;
        app.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(sender.messages().len(), 3);
    *sender.refusals.lock().expect("no panic") = vec![StatusCode::FORBIDDEN];
    app.tell("/auth/send-otp", json!({"mobile": BOB})).await.expect(200);
    app.settle().await;
    app.clock.advance(Duration::from_secs(5));
    app.settle().await;
    assert_eq!(sender.messages().len(), 4);
    let mut reader = app.app.store.read().await.expect("a connection");
    let jobs = fetch_all!(&mut reader, (String, String), "select state, note from jobs").expect("the jobs");
    assert!(jobs.len() == 2 && jobs.iter().all(|(state, _)| state == "parked"), "{jobs:?}");
    assert!(jobs.iter().all(|(_, note)| !note.contains("key=1")), "{jobs:?}");
}

#[tokio::test]
async fn strangers_are_told_the_same_and_sent_no_reset() {
    let sender = Sender::default();
    let app = sender.service().await;
    let known = app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
    app.settle().await;
    let otp = sender.messages()[0]["code"].as_str().expect("a code").to_owned();
    app.verify(ADA, &otp).await.expect(200);
    let [to_known, to_stranger] = [ADA, BOB].map(|mobile| app.tell("/auth/forgot-password", json!({"mobile": mobile})));
    let (to_known, to_stranger) = (to_known.await.expect(200), to_stranger.await.expect(200));
    assert_eq!(to_known.json(), to_stranger.json());
    assert_eq!(known.json(), to_known.json());
    app.settle().await;
    let sent: Vec<_> =
        sender.messages().iter().map(|message| (message["to"].clone(), message["purpose"].clone())).collect();
    let ada = json!("+919876543210");
    assert_eq!(sent, [(ada.clone(), json!("login")), (ada, json!("reset_password"))]);
}

#[tokio::test]
async fn an_overdue_code_is_not_delivered() {
    let sender = Sender::default();
    let app = sender.service().await;
    sender.refuse(&[StatusCode::BAD_GATEWAY]);
    app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
    app.settle().await;
    app.clock.advance(Duration::from_mins(5));
    app.settle().await;
    assert_eq!(sender.messages().len(), 1);
}

/// Everything that is logged on this thread.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_hold_no_code_no_token_and_no_whole_number() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let sender = Sender::default();
    let app = sender.service().await;
    sender.refuse(&[StatusCode::FORBIDDEN]);
    app.tell("/auth/send-otp", json!({"mobile": BOB})).await.expect(200);
    app.settle().await;
    app.tell("/auth/signup", json!({"mobile": ADA, "password": "correct horse"})).await.expect(201);
    app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
    app.settle().await;
    let otp = sender.messages().last().expect("a message")["code"].as_str().expect("a code").to_owned();
    app.verify(ADA, "000000").await;
    let ada = super::Tokens::of(&app.verify(ADA, &otp).await.expect(200));
    let next = super::Tokens::of(&app.refresh(&ada.refresh).await.expect(200));
    app.me(&next).await.expect(200);
    app.obtain(ADA, "battery staple").await.expect(401);
    let text = lines.text();
    assert!(text.contains("a code was not delivered"), "{text}");
    let secrets =
        [&*otp, &ada.access, &ada.refresh, &next.access, &next.refresh, "9876543210", "9876543211", "correct horse"];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_log_may_be_the_way_codes_take() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let app = TestApp::with(|settings| settings.auth.otp_delivery = OtpDelivery::Log).await;
    app.tell("/auth/send-otp", json!({"mobile": ADA})).await.expect(200);
    app.settle().await;
    let text = lines.text();
    let code = text.split("\"code\":\"").nth(1).expect("a code in the log")[..6].to_owned();
    assert!(!text.contains("9876543210"), "{text}");
    app.verify(ADA, &code).await.expect(200);
}

/// A sender that takes every call and never says a word; the most that it has had at a time.
async fn silent() -> (String, Arc<Mutex<(usize, usize)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let calls: Arc<Mutex<(usize, usize)>> = Arc::default();
    let seen = calls.clone();
    let listen = async move {
        while let Ok((mut call, _)) = listener.accept().await {
            let seen = seen.clone();
            let change = |by: isize, (now, most): &mut (usize, usize)| {
                *now = now.saturating_add_signed(by);
                *most = (*most).max(*now);
            };
            spawn(async move {
                change(1, &mut seen.lock().expect("no panic"));
                let _ = call.read_to_end(&mut Vec::new()).await;
                change(-1, &mut seen.lock().expect("no panic"));
            });
        }
    };
    spawn(listen);
    (url, calls)
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

#[tokio::test]
async fn a_sender_that_hangs_leaves_the_replies_their_places() {
    let (url, calls) = silent().await;
    let mut app = TestApp::with(|settings| {
        settings.worker.concurrency = 12;
        let url = url.parse().expect("a URL");
        settings.auth.otp_delivery = OtpDelivery::Webhook { url, secret: SECRET.into() };
    })
    .await;
    // Codes wait for their next try.
    app.may_leave_jobs();
    for number in 0..24 {
        app.tell("/auth/send-otp", json!({"mobile": format!("+9198765{number:05}")})).await.expect(200);
    }
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let reply = ada.asks(&room, "hello").await;
    ada.watches(&room, &reply, |reply| reply["status"] == "complete").await;
    let (_, most) = *calls.lock().expect("no panic");
    // A quarter of twelve; one that was just left may be seen beside its follower.
    assert!((1..=6).contains(&most), "{most} calls at a time");
}
