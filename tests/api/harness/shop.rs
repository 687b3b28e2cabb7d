//! Verbs for buying, and for what Stripe does by itself.

use std::time::Duration;

use gemini_backend::billing;
use gemini_backend::sandbox::stripe::{Action, Card, Mode, Webhooks};
use serde_json::{Value, json};

use super::answer::Answer;
use super::app::{TestApp, WEBHOOK_SECRET, until};
use super::person::Person;

pub(crate) const DAY: Duration = Duration::from_hours(24);

impl TestApp {
    /// A call of Stripe's API, made beside the service.
    pub(crate) async fn stripe(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("{}/v1/{path}", self.shop().base_url());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = client.request(method.parse().expect("a method"), url).bearer_auth("sk_test_beside");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send().await.expect("the sandbox answers");
        let (status, value) = (answer.status(), answer.json::<Value>().await.expect("JSON"));
        assert!(status.is_success(), "{method} {path}: {value}");
        value
    }

    /// All refunds that were made, the newest first.
    pub(crate) async fn refunds(&self) -> Vec<Value> {
        std::mem::take(self.stripe("GET", "refunds?limit=100", &[]).await["data"].as_array_mut().expect("a list"))
    }

    /// From now on no webhook arrives.
    pub(crate) fn block_webhooks(&self) {
        self.shop().webhooks(Webhooks { mode: Mode::Drop, ..Webhooks::default() });
    }

    /// Posts an event as Stripe would, with a good signature.
    pub(crate) async fn webhook(&self, event: &Value) -> Answer {
        self.webhook_raw(event.to_string().into_bytes()).await
    }

    pub(crate) async fn webhook_raw(&self, body: Vec<u8>) -> Answer {
        let signature = self.shop().sign(&body, WEBHOOK_SECRET, self.clock.now().seconds());
        self.post("/webhook/stripe").header("stripe-signature", &signature).body("application/json", body).send().await
    }

    /// Waits until every webhook has arrived and what follows from it is done.
    pub(crate) async fn hear(&self) {
        // Asked for its time, it lives through what has fallen due.
        let _ = self.shop().now();
        tokio::time::timeout(Duration::from_secs(30), self.shop().settled()).await.expect("webhooks arrive");
        self.settle().await;
    }

    /// Moves the clock and lets what falls due be done, webhooks included.
    pub(crate) async fn live(&self, span: Duration) {
        self.clock.advance(span);
        self.hear().await;
    }

    /// Begins to compare with Stripe again and again, as a process does at its start.
    pub(crate) async fn keep_syncing(&self) {
        billing::keep_syncing(&self.app).await.expect("the job is there");
        self.app.live.ring_for_jobs();
        self.settle().await;
    }

    /// Requests that the sandbox carried out, not counting those that were the same again.
    pub(crate) fn executed(&self, method: &str, path: &str) -> usize {
        let journal = self.shop().journal().into_iter();
        let same = |entry: &gemini_backend::sandbox::stripe::Entry| entry.method == method && entry.path == path;
        journal.filter(|entry| same(entry) && entry.is_executed && !entry.is_replayed).count()
    }
}

/// An event about an object, as little as Stripe says of it.
#[expect(clippy::needless_pass_by_value, reason = "it is made at every call, and for this alone")]
pub(crate) fn event(id: &str, kind: &str, object: Value) -> Value {
    json!({
        "id": id, "object": "event", "type": kind, "created": 1_795_255_200, "livemode": false,
        "api_version": "2026-10-28.endive", "data": {"object": object},
    })
}

impl Person<'_> {
    /// Opens a checkout; its session's id.
    pub(crate) async fn opens_checkout(&self) -> String {
        let open = self.post("/subscribe/pro", json!({})).await.expect(200).json();
        open["session_id"].as_str().expect("a session").to_owned()
    }

    /// Opens a checkout and pays at once; nothing is waited for.
    pub(crate) async fn pays(&self) -> String {
        let session = self.opens_checkout().await;
        assert!(self.app.shop().checkout(&session, Action::Pay).is_some(), "the browser goes back");
        session
    }

    /// Buys Pro, and has it; the subscription's id.
    pub(crate) async fn buys(&self) -> String {
        self.pays().await;
        until("the purchase has arrived", async || (self.standing().await["plan"] == "pro").then_some(())).await;
        self.app.hear().await;
        self.subscriptions().await.remove(0)
    }

    /// Has another subscription beside the first, from a page that was open beside ours; its id. Nothing is waited for.
    pub(crate) async fn buys_beside(&self, price: &str) -> String {
        let customer = self.customer().await;
        assert!(self.app.shop().set_card(&customer, Card::Good));
        let form = [("customer", &*customer), ("items[0][price]", price), ("metadata[user_id]", &*self.id)];
        let sub = self.app.stripe("POST", "subscriptions", &form).await;
        sub["id"].as_str().expect("an id").to_owned()
    }

    /// The charges of this person, the newest first.
    pub(crate) async fn charges(&self) -> Vec<String> {
        let customer = self.customer().await;
        let mut charges = self.app.stripe("GET", &format!("charges?customer={customer}"), &[]).await;
        let charges = charges["data"].as_array_mut().expect("a list").iter();
        charges.map(|charge| charge["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// The lines of the history that say this.
    pub(crate) async fn lines(&self, what: &str) -> Vec<Value> {
        self.history().await.into_iter().filter(|line| line["what"] == what).collect()
    }

    /// `/subscription/status`.
    pub(crate) async fn standing(&self) -> Value {
        self.get("/subscription/status").await.expect(200).json()
    }

    /// Plan and status in two words.
    pub(crate) async fn stands(&self) -> (String, String) {
        let standing = self.standing().await;
        let word = |name: &str| standing[name].as_str().expect("a word").to_owned();
        (word("plan"), word("status"))
    }

    /// The history, oldest first: what happened and what caused it.
    pub(crate) async fn history(&self) -> Vec<Value> {
        let mut lines = self.get("/subscription/history?limit=200").await.expect(200).json()["data"].take();
        let lines = lines.as_array_mut().expect("a list");
        lines.reverse();
        std::mem::take(lines)
    }

    /// What happened, without why.
    pub(crate) async fn happened(&self) -> Vec<String> {
        let lines = self.history().await.into_iter();
        lines.map(|line| line["what"].as_str().expect("a word").to_owned()).collect()
    }

    /// The customer's id at Stripe.
    pub(crate) async fn customer(&self) -> String {
        let mut reader = self.app.app.store.read().await.expect("a connection");
        let sql = "select customer from billing_accounts where user_id = $1";
        gemini_backend::fetch_one!(&mut reader, (String,), sql, self.user).expect("a customer").0
    }

    /// Ids of the subscriptions that are known here, the oldest first.
    pub(crate) async fn subscriptions(&self) -> Vec<String> {
        let mut reader = self.app.app.store.read().await.expect("a connection");
        let sql = "select id from subscriptions where user_id = $1 order by created_at, id";
        let rows = gemini_backend::fetch_all!(&mut reader, (String,), sql, self.user).expect("a list");
        rows.into_iter().map(|(id,)| id).collect()
    }
}
