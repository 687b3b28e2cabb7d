//! Operators and money: `billing`, `users set-plan` and `doctor` beside a running server, with the Stripe sandbox alone.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::beside::Beside;
use crate::client::Client;
use crate::process::{Running, error, fed, folder, run, succeed};

const ADA: &str = "+919876543210";
const KEY: &str = "sk_test_9f2c4be1d07a6358";
/// What the sandbox sells unless it is told otherwise.
const PRICE: &str = "price_sandbox_pro";

/// A Stripe whose webhooks reach nobody: its news comes by the commands alone.
struct Shop {
    sandbox: Running,
    http: reqwest::Client,
}

impl Shop {
    fn open(folder: &Path) -> Self {
        let sandbox = Running::start(folder, &["--json", "sandbox", "stripe"], &[]);
        assert_eq!(sandbox.facts()["price"], PRICE);
        Self { sandbox, http: reqwest::Client::builder().no_proxy().build().expect("a client") }
    }

    /// What only people, banks and time can do at Stripe.
    async fn control(&self, path: &str, body: Value) {
        let request = self.http.post(format!("{}/sandbox/{path}", self.sandbox.base())).json(&body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// Looks again until a server has asked for all subscriptions.
    async fn until_compared(&self) {
        let url = format!("{}/sandbox/journal?path=/v1/subscriptions", self.sandbox.base());
        loop {
            let seen: Value = self.http.get(&url).send().await.expect("an answer").json().await.expect("JSON");
            if seen["entries"].as_array().is_some_and(|entries| !entries.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A server that sells by it, and no sync of its own within the test.
    async fn beside(&self) -> Beside {
        let base = self.sandbox.base();
        let settings = [
            ("STRIPE_SECRET_KEY", KEY),
            ("STRIPE_PRO_PRICE_ID", PRICE),
            ("STRIPE_WEBHOOK_SECRET", "whsec_sandbox"),
            ("STRIPE_BASE_URL", &*base),
            ("BILLING_SYNC_MINUTES", "1440"),
        ];
        Beside::with(&settings).await
    }

    /// Pays for Pro and comes back, as a browser does; the subscription's id.
    async fn sell_to(&self, person: &Client) -> String {
        let (status, open) = person.post("/subscribe/pro", &json!({})).await;
        assert_eq!(status, 200, "{open}");
        let session = open["session_id"].as_str().expect("a session");
        self.control(&format!("checkout/{session}"), json!({"action": "pay"})).await;
        let (_, back) = person.get(&format!("/billing/return?session_id={session}")).await;
        assert_eq!(back["status"], "complete", "{back}");
        let (_, history) = person.get("/subscription/history").await;
        let lines = history["data"].as_array().expect("a list");
        let told = lines.iter().find_map(|line| line["subscription_id"].as_str());
        told.expect("a subscription").to_owned()
    }
}

/// Reads the events until the server beside has looked into each.
async fn until_looked_into(beside: &Beside) -> Vec<Value> {
    loop {
        let mut told = beside.told(&["billing", "events", "list"]);
        let events = std::mem::take(told["data"].as_array_mut().expect("a list"));
        if events.iter().all(|event| event["outcome"] != "waiting") {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks again until the person has this plan.
async fn until_plan(person: &Client, plan: &str) {
    while person.get("/subscription/status").await.1["plan"] != plan {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_sync_finds_what_no_webhook_told_and_a_replay_looks_again() {
    let outside = folder();
    let shop = Shop::open(outside.path());
    let beside = shop.beside().await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    let sub = shop.sell_to(&ada).await;
    let begun = Instant::now();
    let first = beside.told(&["billing", "sync"]);
    assert_eq!((&first["subscriptions"], &first["differed"]), (&json!(1), &json!(0)), "{first}");
    assert!(first["missed"].as_u64().is_some_and(|missed| missed > 0), "{first}");
    // The server has nothing to do and looks by itself after half a minute.
    until_looked_into(&beside).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(beside.told(&["billing", "sync"])["missed"], 0, "what was told is told once");

    shop.control(&format!("subscriptions/{sub}"), json!({"status": "unpaid"})).await;
    assert_eq!(ada.get("/subscription/status").await.1["plan"], "pro", "nobody told");
    let second = beside.told(&["billing", "sync"]);
    assert_eq!(second["missed"], 1, "{second}");
    until_plan(&ada, "basic").await;

    let events = until_looked_into(&beside).await;
    let updated = events.iter().find(|event| event["kind"] == "customer.subscription.updated").expect("it is kept");
    assert_eq!((&updated["source"], &updated["object"]), (&json!("sync"), &json!(sub)), "{updated}");
    assert_eq!(updated["outcome"], "applied", "{updated}");
    assert_eq!(beside.told(&["billing", "events", "list", "--limit", "1"])["data"].as_array().map(Vec::len), Some(1));

    shop.control(&format!("subscriptions/{sub}"), json!({"status": "active"})).await;
    let id = updated["id"].as_str().expect("an id");
    assert_eq!(beside.told(&["billing", "events", "replay", id]), json!({"replayed": id}));
    until_plan(&ada, "pro").await;
    let history = ada.get("/subscription/history").await.1;
    assert_eq!(history["data"][0]["cause"], json!({"kind": "event", "id": id}), "{history}");
    let missing = run(beside.path(), &["billing", "events", "replay", "evt_none"], &beside.settings());
    assert_eq!(missing.status.code(), Some(1));
    assert!(error(&missing).contains("there is no event evt_none"), "{}", error(&missing));
    beside.end().await;
    shop.sandbox.stop();
}

#[tokio::test]
async fn without_json_the_commands_speak_in_lines() {
    let outside = folder();
    let shop = Shop::open(outside.path());
    let beside = shop.beside().await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    shop.sell_to(&ada).await;
    let told = |arguments: &[&str]| succeed(beside.path(), arguments, &beside.settings());
    let synced = told(&["billing", "sync"]);
    assert!(synced.contains("of them new: no webhook had told"), "{synced}");
    assert!(synced.contains("1 subscriptions, 0 customers stood otherwise here"), "{synced}");
    let listed = told(&["billing", "events", "list"]);
    assert!(listed.starts_with("ID "), "{listed}");
    let line = listed.lines().find(|line| line.contains("checkout.session.completed")).expect("it is listed");
    assert!(line.contains("sync"), "{line}");
    let id = line.split_whitespace().next().expect("an id");
    assert_eq!(told(&["billing", "events", "replay", id]).trim_end(), format!("{id} will be looked into again."));
    beside.end().await;
    shop.sandbox.stop();
}

#[tokio::test]
async fn an_operators_word_gives_pro_and_takes_back_only_what_was_given() {
    let outside = folder();
    let shop = Shop::open(outside.path());
    let beside = shop.beside().await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    assert_eq!(beside.users(&["set-plan", ADA, "pro"])["plan"], "pro");
    let (_, standing) = ada.get("/subscription/status").await;
    assert_eq!((&standing["plan"], &standing["status"]), (&json!("pro"), &json!("none")));
    let (_, history) = ada.get("/subscription/history").await;
    assert_eq!(
        (&history["data"][0]["cause"]["kind"], &history["data"][0]["plan"]),
        (&json!("operator"), &json!("pro"))
    );
    let (status, problem) = ada.post("/subscribe/pro", &json!({})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("already_subscribed")), "nothing is sold to them");
    assert_eq!(beside.users(&["set-plan", ADA, "basic"])["plan"], "basic");
    shop.sell_to(&ada).await;
    assert_eq!(beside.users(&["set-plan", ADA, "pro"])["plan"], "pro");
    let refused = run(beside.path(), &["users", "set-plan", ADA, "basic"], &beside.settings());
    assert_eq!(refused.status.code(), Some(1));
    assert!(error(&refused).contains("a subscription keeps them Pro"), "{}", error(&refused));
    assert_eq!(ada.get("/subscription/status").await.1["plan"], "pro");
    beside.end().await;
    shop.sandbox.stop();
}

#[tokio::test]
async fn a_server_compares_with_stripe_when_it_starts() {
    let outside = folder();
    let shop = Shop::open(outside.path());
    let beside = shop.beside().await;
    let ada = Client::sign_in(beside.server.base(), ADA).await;
    // Its next comparison is a day away.
    shop.until_compared().await;
    let sub = shop.sell_to(&ada).await;
    shop.control(&format!("subscriptions/{sub}"), json!({"status": "unpaid"})).await;
    assert_eq!(ada.get("/subscription/status").await.1["plan"], "pro", "nobody told");
    let beside = beside.again(true);
    let ada = ada.moved(beside.server.base());
    until_plan(&ada, "basic").await;
    beside.end().await;
    shop.sandbox.stop();
}

#[tokio::test]
async fn a_server_with_the_built_in_sandbox_is_compared_by_itself() {
    let beside = Beside::start().await;
    let output = run(beside.path(), &["billing", "sync"], &beside.settings());
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("STRIPE_SECRET_KEY is not set"), "{}", error(&output));
    assert_eq!(beside.told(&["billing", "events", "list"])["data"], json!([]));
    beside.end().await;
}

/// What doctor finds about Stripe, and whether it is well with it.
fn diagnosis(folder: &Path, settings: &[(&str, &str)]) -> (String, String) {
    let output = run(folder, &["--json", "doctor"], settings);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error(&output)));
    let findings = told["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["what"] == "stripe").expect("Stripe is looked at");
    let word = |name: &str| found[name].as_str().expect("a word").to_owned();
    assert!(!told.to_string().contains(KEY), "{told}");
    (word("verdict"), word("detail"))
}

/// What production needs beside what a test is about.
const PRODUCTION: [(&str, &str); 7] = [
    ("APP_ENV", "production"),
    ("SECRET_KEY", "5b1e0c7a94d2f6838e1f07b3c9a4d526"),
    ("GEMINI_BASE_URL", "http://127.0.0.1:9"),
    ("OTP_DELIVERY", "webhook"),
    ("SMS_WEBHOOK_URL", "http://127.0.0.1:9/send"),
    ("SMS_WEBHOOK_SECRET", "c1f0-9a2b-77de-4410"),
    ("SMS_COUNTRIES", "IN"),
];

#[test]
fn doctor_says_how_it_stands_with_stripe() {
    let folder = folder();
    let shop = Shop::open(folder.path());
    let base = shop.sandbox.base();
    let key = [("STRIPE_SECRET_KEY", KEY), ("STRIPE_BASE_URL", &*base), ("STRIPE_PRO_PRICE_ID", PRICE)];
    let webhook = ("STRIPE_WEBHOOK_SECRET", "whsec_9f2c4be1d07a6358");
    let other_price = ("STRIPE_PRO_PRICE_ID", "price_of_nobody");
    let nobody = ("STRIPE_BASE_URL", "http://127.0.0.1:9");
    for place in [&[][..], &[&PRODUCTION[..], &[("PUBLIC_URL", "https://chat.example.com")]].concat()] {
        let look = |more: &[(&str, &str)]| diagnosis(folder.path(), &[place, more].concat());
        let (verdict, detail) = look(&[]);
        let unset = if place.is_empty() { "the built-in sandbox sells until" } else { "billing_not_configured until" };
        assert!(verdict == "note" && detail.contains(&format!("{unset} STRIPE_SECRET_KEY is set")), "{detail}");
        let (verdict, detail) = look(&key);
        assert!(verdict == "note" && detail.contains("without STRIPE_WEBHOOK_SECRET"), "{detail}");
        let (verdict, detail) = look(&[&key[..], &[webhook]].concat());
        // A key of the test mode is worth a word where money should be real.
        let expected = if place.is_empty() {
            ("ok", "answers; Pro costs 49900 inr (smallest unit) a month")
        } else {
            ("note", "answers in its test mode: anybody buys with a test card")
        };
        assert_eq!((verdict.as_str(), detail.as_str()), expected);
        let (verdict, detail) = look(&[&key[..], &[webhook, other_price]].concat());
        assert!(verdict == "wrong" && detail.contains("price_of_nobody"), "{detail}");
        assert_eq!(look(&[&key[..], &[webhook, nobody]].concat()).0, "wrong");
    }
    shop.sandbox.stop();
}

#[test]
fn production_with_a_key_and_no_price_is_refused_in_words() {
    let folder = folder();
    for (more, name) in [
        (&[("STRIPE_SECRET_KEY", KEY), ("PUBLIC_URL", "https://chat.example.com")][..], "STRIPE_PRO_PRICE_ID"),
        (&[("STRIPE_SECRET_KEY", KEY), ("STRIPE_PRO_PRICE_ID", PRICE)], "PUBLIC_URL"),
        (&[("STRIPE_SECRET_KEY", "sk_test_dummykey"), ("STRIPE_PRO_PRICE_ID", PRICE)], "STRIPE_SECRET_KEY"),
    ] {
        let output = run(folder.path(), &["serve"], &[&PRODUCTION[..], more].concat());
        let told = error(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.lines().any(|line| line.trim_start().starts_with(&format!("{name}: is "))), "{told}");
        assert!(!told.contains(KEY), "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[tokio::test]
async fn production_without_a_key_sells_nothing_and_says_so() {
    let folder = folder();
    let server = Running::server(folder.path(), &PRODUCTION);
    assert!(server.facts()["stripe_sandbox"].is_null(), "{}", server.first);
    let stripe = Client::new(server.base());
    let (status, problem) = stripe.post("/webhook/stripe", &json!({})).await;
    assert_eq!((status, &problem["code"]), (503, &json!("billing_not_configured")));
    let (status, plans) = stripe.get("/plans").await;
    assert_eq!((status, &plans["data"][1]["price"]), (200, &Value::Null), "{plans}");
    let add = ["users", "add", ADA, "--password-stdin", "--plan", "basic"];
    let added = fed(folder.path(), &add, &PRODUCTION, "correct horse battery\n");
    assert!(added.status.success(), "{}", error(&added));
    let mut ada = Client::new(server.base());
    let (_, pair) = ada.post("/auth/token/obtain", &json!({"mobile": ADA, "password": "correct horse battery"})).await;
    pair["access_token"].as_str().expect("a token").clone_into(&mut ada.token);
    for path in ["/subscribe/pro", "/subscription/cancel", "/subscription/portal"] {
        let (status, problem) = ada.post(path, &json!({})).await;
        assert_eq!((status, &problem["code"]), (503, &json!("billing_not_configured")), "{path}");
    }
    let (status, standing) = ada.get("/subscription/status").await;
    assert_eq!((status, &standing["plan"], &standing["status"]), (200, &json!("basic"), &json!("none")));
    server.stop();
}
