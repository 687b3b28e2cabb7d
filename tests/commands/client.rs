//! A client of the server, as small as it can be.

use serde_json::{Value, json};

pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(base: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { base, http, token: String::new() }
    }

    /// The same person at another server.
    pub(crate) fn moved(self, base: String) -> Self {
        Self { base, ..self }
    }

    /// Somebody with this number, signed in by code.
    pub(crate) async fn sign_in(base: String, mobile: &str) -> Self {
        let client = Self::new(base);
        let (_, sent) = client.post("/auth/send-otp", &json!({"mobile": mobile})).await;
        let (_, pair) = client.post("/auth/verify-otp", &json!({"mobile": mobile, "otp": sent["otp"]})).await;
        let token = pair["access_token"].as_str().unwrap_or_else(|| panic!("no token in {pair}")).to_owned();
        Self { token, ..client }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// A page that is no JSON.
    pub(crate) async fn text(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        request.send().await.expect("an answer").text().await.expect("text")
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.bytes().await.expect("a whole answer");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Sends a message into a new room; the path under which its reply is read.
    pub(crate) async fn say(&self, text: &str) -> String {
        let (_, room) = self.post("/chatroom", &json!({"name": "A room"})).await;
        let room = room["id"].as_str().unwrap_or_else(|| panic!("no room in {room}")).to_owned();
        let (status, accepted) = self.post(&format!("/chatroom/{room}/message"), &json!({"content": text})).await;
        assert_eq!(status, 202, "{accepted}");
        format!("/chatroom/{room}/messages/{}", accepted["reply"]["id"].as_str().expect("a reply"))
    }

    /// Reads a reply until it has text.
    pub(crate) async fn begun(&self, reply: &str) {
        while self.get(reply).await.1["content"].as_str().is_none_or(str::is_empty) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Reads a reply until it has ended.
    pub(crate) async fn ended(&self, reply: &str) -> Value {
        loop {
            let (_, message) = self.get(reply).await;
            if !["queued", "generating"].map(Value::from).contains(&message["status"]) {
                return message;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
