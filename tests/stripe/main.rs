//! The Stripe sandbox over real HTTP, as other programs see it.

mod calls;
mod checkout;
mod faults;
mod keys;
mod lifecycle;
mod pages;
mod receiver;
mod webhooks;

use std::time::Duration;

use gemini_backend::sandbox::stripe::{self, Action, Clock, Options, PRICE, Running};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// 2026-11-25T12:00:00Z.
const NOON: i64 = 1_795_608_000;
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// A sandbox whose clock only moves when it is told to, and somebody who speaks to it.
struct Visitor {
    sandbox: Running,
    http: reqwest::Client,
    key: &'static str,
}

impl Visitor {
    async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    async fn start_with(options: Options) -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        let options = options.with_clock(Clock::held(NOON));
        let sandbox = stripe::start(any, options, CancellationToken::new()).await.expect("a free port");
        let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1));
        let http = builder.redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { sandbox, http, key: "sk_test_any" }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.sandbox.base_url())).bearer_auth(self.key)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&'static str, &str)],
    ) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request =
            self.request(method, path).header("content-type", "application/x-www-form-urlencoded").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        parts(self.send(Method::GET, path, &[], &[]).await).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        parts(self.send(Method::POST, path, form, &[]).await).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        parts(self.send(Method::DELETE, path, &[], &[]).await).await
    }

    /// One of the sandbox's own addresses.
    async fn control(&self, path: &str, body: &Value) -> (u16, Value) {
        parts(self.request(Method::POST, path).json(body).send().await.expect("an answer")).await
    }

    /// What must be there.
    async fn the(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn customer(&self) -> String {
        let (status, body) =
            self.post("/v1/customers", &[("phone", "+911234567890"), ("metadata[user_id]", "7")]).await;
        assert_eq!(status, 200, "{body}");
        id(&body)
    }

    /// A session for the customer with more parameters.
    async fn session(&self, customer: &str, more: &[(&str, &str)]) -> Value {
        let mut form = vec![
            ("mode", "subscription"),
            ("customer", customer),
            ("success_url", "http://127.0.0.1/ok?session={CHECKOUT_SESSION_ID}"),
            ("cancel_url", "http://127.0.0.1/no"),
            ("line_items[0][price]", PRICE),
            ("line_items[0][quantity]", "1"),
            ("metadata[user_id]", "7"),
            ("subscription_data[metadata][user_id]", "7"),
        ];
        form.extend(more);
        let (status, body) = self.post("/v1/checkout/sessions", &form).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Somebody who has paid: customer and subscription.
    async fn subscriber(&self) -> (String, String) {
        self.subscriber_by(Action::Pay, &[]).await
    }

    async fn subscriber_by(&self, action: Action, more: &[(&str, &str)]) -> (String, String) {
        let customer = self.customer().await;
        let session = id(&self.session(&customer, more).await);
        self.sandbox.checkout(&session, action).expect("the browser goes on");
        let session = self.the(&format!("/v1/checkout/sessions/{session}")).await;
        (customer, session["subscription"].as_str().expect("a subscription").to_owned())
    }

    async fn status(&self, subscription: &str) -> String {
        let found = self.the(&format!("/v1/subscriptions/{subscription}")).await;
        found["status"].as_str().expect("a status").to_owned()
    }

    fn advance(&self, seconds: u64) {
        self.sandbox.advance(Duration::from_secs(seconds));
    }

    /// The types of all events after the first `seen`, oldest first.
    fn told(&self, seen: usize) -> Vec<String> {
        let events = self.sandbox.events();
        events.iter().skip(seen).map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

async fn parts(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}
