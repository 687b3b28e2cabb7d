//! The five older systems' clients, unchanged: each sends its own fields to its own paths, and reads its own words.
//!
//! Each is run as it is, with a slash at the end of every path and without one, in development and in production.

use gemini_backend::config::{AppEnv, Environment, Settings};
use gemini_backend::sandbox::stripe::Action;
use serde_json::{Value, json};

use crate::auth::delivery::Sender;
use crate::harness::shop::event;
use crate::harness::{Answer, TestApp, WEBHOOK_SECRET};

/// How a client writes its paths.
#[derive(Clone, Copy, Debug)]
enum Slash {
    With,
    Without,
}

/// Where the older clients have to work.
struct Place {
    app: TestApp,
    /// In production codes go to a phone; on a laptop they are in the answer.
    phone: Option<Sender>,
}

/// One of the older clients: a token and a way with slashes.
struct Client<'a> {
    place: &'a Place,
    slash: Slash,
    token: String,
}

impl<'a> Client<'a> {
    fn new(place: &'a Place, slash: Slash) -> Self {
        Self { place, slash, token: String::new() }
    }

    /// Asks for a code and reads it where it arrives.
    async fn code(&self, path: &str, body: Value) -> Value {
        let sent = self.post(path, body).await;
        let Some(phone) = &self.place.phone else { return sent["otp"].clone() };
        assert!(sent.get("otp").is_none(), "{sent}");
        self.place.app.settle().await;
        phone.messages().pop().expect("a message")["code"].clone()
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let path = path.trim_end_matches('/');
        let slash = match self.slash {
            Slash::With => "/",
            Slash::Without => "",
        };
        let mut call = self.place.app.call(method, &format!("{path}{slash}"));
        if !self.token.is_empty() {
            call = call.bearer(&self.token);
        }
        if let Some(body) = body {
            call = call.json(&body);
        }
        call.send().await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.call("POST", path, Some(body)).await;
        assert!(answer.status / 100 == 2, "{path} → {} {}", answer.status, answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    async fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).await.expect(200).json()
    }

    fn carry(&mut self, token: &Value) {
        token.as_str().expect("a token").clone_into(&mut self.token);
    }
}

/// A laptop, and production that takes the older clients' numbers.
async fn places() -> [Place; 2] {
    let phone = Sender::default();
    let production = phone.service_with(|settings| {
        // What every place has of its own, in what production makes of its settings.
        let mut loaded = in_production();
        loaded.server.requests_per_minute = settings.server.requests_per_minute;
        loaded.auth.otp_delivery = settings.auth.otp_delivery.clone();
        loaded.database = settings.database.clone();
        loaded.gemini = settings.gemini.clone();
        *settings = loaded;
    });
    let production = Place { app: production.await, phone: Some(phone) };
    [Place { app: TestApp::start().await, phone: None }, production]
}

/// No more than an operator has to set who comes from one of the older systems.
fn in_production() -> Settings {
    let environment = [
        ("APP_ENV", "production"),
        ("MOBILE_NUMBERS", "lenient"),
        ("SMS_COUNTRIES", "IN"),
        ("SECRET_KEY", "5b1e0c7a94d2f6838e1f07b3c9a4d526"),
        ("GEMINI_API_KEY", "AIzaSyD4kq81mZ0Vtx7"),
        ("OTP_DELIVERY", "webhook"),
        ("SMS_WEBHOOK_URL", "https://sms.example.com/send"),
        ("SMS_WEBHOOK_SECRET", "c1f0-9a2b-77de-4410"),
    ];
    Settings::load(&Environment::new(environment, "")).expect("all that production needs").settings
}

/// The same two, with something to sell.
async fn shops() -> [Place; 2] {
    let production = TestApp::selling_with(|settings| {
        settings.server.env = AppEnv::Production;
        settings.stripe.success_url = Some("https://app.example.com/paid".to_owned());
    });
    [TestApp::selling().await, production.await].map(|app| Place { app, phone: None })
}

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("an id")
}

/// Client (a) and, with another path for messages, client (c).
async fn first_and_third(place: &Place, slash: Slash, messages: &str) {
    let app = &place.app;
    let mut client = Client::new(place, slash);
    client.post("/auth/signup", json!({"mobile": "9876543210", "password": "securepassword123"})).await;
    let otp = client.code("/auth/send-otp", json!({"mobile": "9876543210"})).await;
    client.post("/auth/verify-otp", json!({"mobile": "9876543210", "otp": otp})).await;
    let me = client.post("/auth/token/obtain/", json!({"mobile": "9876543210", "password": "securepassword123"})).await;
    assert!(me["refresh"].is_string());
    client.carry(&me["access"]);
    let room = client.post("/chatroom", json!({"name": "My Room"})).await;
    assert_eq!(client.get("/chatroom").await["data"][0]["name"], "My Room");
    let path = format!("/chatroom/{}/{messages}", id(&room));
    client.post(&path, json!({"user_message": "Hello"})).await;
    app.settle().await;
    let said = client.get(&path).await;
    assert_eq!((&said["data"][0]["role"], &said["data"][1]["content"]), (&json!("model"), &json!("Hello")));
    assert_eq!(client.get("/user/me").await["mobile"], "+919876543210");
}

#[tokio::test]
async fn client_a_reads_access_and_refresh() {
    for slash in [Slash::With, Slash::Without] {
        for place in places().await {
            first_and_third(&place, slash, "messages").await;
        }
    }
}

#[tokio::test]
async fn client_b_sends_code_and_purpose() {
    for slash in [Slash::With, Slash::Without] {
        for place in places().await {
            let app = &place.app;
            let mut client = Client::new(&place, slash);
            let who = json!({"mobile": "1234567890", "password": "securepassword123"});
            client.post("/auth/signup/", who).await;
            let otp = client.code("/auth/send-otp/", json!({"mobile": "1234567890", "purpose": "login"})).await;
            let body = json!({"mobile": "1234567890", "code": otp, "purpose": "login"});
            let pair = client.post("/auth/verify-otp/", body).await;
            client.carry(&pair["access_token"]);
            let room = client.post("/chatroom/create/", json!({"name": "My Room"})).await;
            assert_eq!(id(&client.get("/chatroom/").await["data"][0]), id(&room));
            let path = format!("/chatroom/{}", id(&room));
            client.post(&format!("{path}/message/"), json!({"content": "Hello"})).await;
            app.settle().await;
            assert_eq!(client.get(&path).await["messages"][0]["content"], "Hello");
        }
    }
}

#[tokio::test]
async fn client_c_posts_to_message() {
    for slash in [Slash::With, Slash::Without] {
        for place in places().await {
            first_and_third(&place, slash, "message").await;
        }
    }
}

#[tokio::test]
async fn client_d_reads_token_and_changes_a_forgotten_password() {
    for slash in [Slash::With, Slash::Without] {
        for place in places().await {
            let app = &place.app;
            let mut client = Client::new(&place, slash);
            // It never asks for a code: signing up sends it.
            let otp = client.code("/auth/signup", json!({"mobile": "12345678900"})).await;
            let pair = client.post("/auth/verify-otp", json!({"mobile": "12345678900", "otp": otp})).await;
            client.carry(&pair["token"]);
            let room = client.post("/chatroom", json!({"name": "My Room"})).await;
            client.post(&format!("/chatroom/{}/message", id(&room)), json!({"content": "Hello"})).await;
            app.settle().await;
            let said = client.get(&format!("/chatroom/{}/messages", id(&room))).await;
            assert_eq!(said["data"].as_array().map(Vec::len), Some(2));
            let otp = client.code("/auth/forgot-password", json!({"mobile": "12345678900"})).await;
            client.post("/auth/change-password", json!({"otp": otp, "newPassword": "secretKey2"})).await;
            app.obtain("12345678900", "secretKey2").await.expect(200);
        }
    }
}

#[tokio::test]
async fn client_e_sends_its_three_fields_everywhere_and_opens_rooms_without_a_body() {
    for slash in [Slash::With, Slash::Without] {
        for place in places().await {
            let app = &place.app;
            let mut client = Client::new(&place, slash);
            let who = json!({"mobile": "909090901", "username": "a b", "password": "secretKey2"});
            client.post("/auth/signup", who.clone()).await;
            let otp = client.code("/auth/send-otp", who).await;
            let pair = client.post("/auth/verify-otp", json!({"mobile": "909090901", "otp": otp})).await;
            client.carry(&pair["token"]);
            client.post("/chatroom", json!({"title": "My Room"})).await;
            let room = client.call("POST", "/chatroom", None).await.expect(201).json();
            let path = format!("/chatroom/{}", id(&room));
            let sent = client.call("POST", &format!("{path}/message"), Some(json!({"message": "Hello"}))).await;
            sent.expect(202);
            app.settle().await;
            assert_eq!(client.get(&path).await["messages"].as_array().map(Vec::len), Some(2));
        }
    }
}

#[tokio::test]
async fn all_five_buy_pro_at_either_path_without_a_body_or_a_content_type() {
    for slash in [Slash::With, Slash::Without] {
        for place in Box::pin(shops()).await {
            for path in ["/subscribe/pro", "/subscription/pro/"] {
                let app = &place.app;
                let mut client = Client::new(&place, slash);
                client.carry(&json!(app.sign_up().await.token));
                let before = client.get("/subscription/status/").await;
                assert_eq!((&before["plan"], &before["status"]), (&json!("basic"), &json!("none")));
                let open = client.call("POST", path, None).await.expect(200).json();
                let url = open["checkout_url"].as_str().expect("an address");
                let session = open["session_id"].as_str().expect("a session");
                assert!(url.ends_with(session), "{url}");
                // The same page, whatever a client sends along.
                assert_eq!(client.post(path, json!({})).await, open);
                assert_eq!(client.post(path, json!({"plan": "pro", "price_id": "price_of_theirs"})).await, open);
                let nothing = app.post(path).bearer(&client.token).body("application/json", "").send().await;
                assert_eq!(nothing.expect(200).json(), open);
                assert!(app.shop().checkout(session, Action::Pay).is_some(), "the browser goes back");
                app.hear().await;
                let after = client.get("/subscription/status/").await;
                assert_eq!((&after["plan"], &after["status"]), (&json!("pro"), &json!("active")), "{after}");
                assert_eq!(client.get("/user/me").await["plan"], "pro");
                assert_eq!(client.call("POST", path, None).await.expect(409).code(), "already_subscribed");
            }
        }
    }
}

#[tokio::test]
async fn stripe_reaches_the_webhook_as_it_was_set_up_for_the_older_systems() {
    for path in ["/webhook/stripe", "/webhook/stripe/"] {
        for Place { app, .. } in Box::pin(shops()).await {
            let body = event("evt_1", "invoice.paid", json!({"id": "in_1", "customer": "cus_of_nobody"})).to_string();
            let signature = app.shop().sign(body.as_bytes(), WEBHOOK_SECRET, app.clock.now().seconds());
            // Stripe's own words for the content type, and none.
            for content_type in ["application/json; charset=utf-8", ""] {
                let call = app.post(path).header("stripe-signature", &signature).body(content_type, body.clone());
                assert_eq!(call.send().await.expect(200).json(), json!({"received": true}), "{path}");
            }
            let unsigned = app.post(path).send().await.expect(400);
            assert_eq!(unsigned.code(), "signature_invalid");
            assert_eq!(app.count("select count(*) from stripe_events").await, 1);
            app.settle().await;
        }
    }
}
