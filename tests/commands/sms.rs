//! Codes as text messages, seen from outside: the stand-in alone, and a server that sends by it.

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::{Running, folder, succeed};

const TOKEN: &str = "9f2c4be1d07a6358";

/// Somebody who speaks to Twilio, or to what stands in for it.
struct Caller {
    base: String,
    http: reqwest::Client,
}

impl Caller {
    fn new(base: String) -> Self {
        Self { base, http: reqwest::Client::builder().no_proxy().build().expect("a client") }
    }

    /// A message by a form that is written by hand.
    async fn send(&self, token: &str, form: &str) -> (u16, Value) {
        let url = format!("{}/2010-04-01/Accounts/AC1/Messages.json", self.base);
        let request = self.http.post(url).basic_auth("AC1", Some(token)).body(form.to_owned());
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}/sandbox/{path}", self.base)).json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn messages(&self, query: &str) -> Vec<Value> {
        let (_, told) = self.control("GET", &format!("messages{query}"), Value::Null).await;
        told["messages"].as_array().expect("a list").clone()
    }
}

#[tokio::test]
async fn the_sms_sandbox_speaks_as_twilio_does() {
    let folder = folder();
    let sandbox = Running::start(folder.path(), &["sandbox", "sms", "--json"], &[]);
    let caller = Caller::new(sandbox.base());
    let (status, told) = caller.send(TOKEN, "To=%2B919876543210&From=%2B15005550006&Body=271828+is+your+code").await;
    assert_eq!((status, &told["body"], &told["to"]), (201, &json!("271828 is your code"), &json!("+919876543210")));
    assert!(told["sid"].as_str().is_some_and(|sid| sid.len() == 34 && sid.starts_with("SM")), "{told}");
    assert_eq!((&told["num_segments"], &told["status"]), (&json!("1"), &json!("queued")));
    let (status, told) = caller.send(TOKEN, "To=%2B919876543210&MessagingServiceSid=MG1&Body=Hello").await;
    assert_eq!((status, &told["messaging_service_sid"], &told["from"]), (201, &json!("MG1"), &Value::Null));
    let from = "From=%2B15005550006&Body=Hello";
    let magic = |to: &str| format!("To=%2B1500555{to}&{from}");
    for (token, form, status, code) in [
        ("invalid-token", magic("0010"), 401, 20003),
        (TOKEN, magic("0001"), 400, 21211),
        (TOKEN, magic("0002"), 400, 21612),
        (TOKEN, magic("0003"), 400, 21408),
        (TOKEN, magic("0004"), 400, 21610),
        (TOKEN, magic("0009"), 400, 21614),
        (TOKEN, "To=%2B919876543210&From=%2B15005550001&Body=x".to_owned(), 400, 21212),
        (TOKEN, "To=%2B919876543210&From=%2B15005550007&Body=x".to_owned(), 400, 21606),
        (TOKEN, "To=%2B919876543210&From=%2B15005550008&Body=x".to_owned(), 400, 21611),
        (TOKEN, format!("To=9876543210&{from}"), 400, 21211),
        (TOKEN, from.to_owned(), 400, 21604),
        (TOKEN, "To=%2B919876543210&Body=x".to_owned(), 400, 21603),
        (TOKEN, "To=%2B919876543210&From=%2B15005550006".to_owned(), 400, 21602),
    ] {
        let (answered, told) = caller.send(token, &form).await;
        assert_eq!((answered, &told["code"], &told["status"]), (status, &json!(code), &json!(status)), "{form}");
    }
    assert_eq!(caller.messages("").await.len(), 15);
    assert_eq!(caller.messages("?after=1&to=%2B91").await.len(), 6);
    let rules = json!([{"to": "+44", "refuse": {"status": 429, "code": 20429}}]);
    assert_eq!(caller.control("POST", "script", rules.clone()).await.0, 204);
    assert_eq!(caller.control("POST", "script", json!({"unknown": 1})).await.0, 422);
    assert_eq!(caller.control("GET", "script", Value::Null).await.1["rules"].as_array().map(Vec::len), Some(1));
    let british = format!("To=%2B447400123456&{from}");
    assert_eq!(caller.send(TOKEN, &magic("0010")).await.0, 201, "another number");
    assert_eq!(caller.send(TOKEN, &british).await.0, 429);
    assert_eq!(caller.send(TOKEN, &british).await.0, 201, "a rule is for once");
    caller.control("POST", "script", rules).await;
    assert_eq!(caller.control("DELETE", "script", Value::Null).await.0, 204);
    assert_eq!(caller.send(TOKEN, &british).await.0, 201, "the rule is forgotten");
    assert_eq!(caller.control("DELETE", "messages", Value::Null).await.0, 204);
    assert_eq!(caller.messages("").await, Vec::<Value>::new());
    sandbox.stop();
}

#[tokio::test]
async fn a_server_in_production_sends_its_codes_by_twilio() {
    let folder = folder();
    let arguments = ["--json", "sandbox", "sms", "--account-sid", "AC1", "--auth-token", TOKEN];
    let sms = Running::start(folder.path(), &arguments, &[]);
    let gemini = Running::start(folder.path(), &["--json", "sandbox", "gemini", "--no-key"], &[]);
    let (sms_base, gemini_base) = (sms.base(), gemini.base());
    let settings = [
        ("APP_ENV", "production"),
        ("SECRET_KEY", "5b1e0c7a94d2f6838e1f07b3c9a4d526"),
        ("GEMINI_BASE_URL", &*gemini_base),
        ("OTP_DELIVERY", "twilio"),
        ("TWILIO_BASE_URL", &*sms_base),
        ("TWILIO_ACCOUNT_SID", "AC1"),
        ("TWILIO_AUTH_TOKEN", TOKEN),
        ("TWILIO_FROM", "+15005550006"),
        ("SMS_COUNTRIES", "IN"),
        ("SMS_PRICES", "IN=0.0042"),
        ("SMS_DAILY_CAP", "0.005"),
    ];
    let server = Running::server(folder.path(), &settings);
    let body = json!({"mobile": "+919876543210"});
    let (status, sent) = Client::new(server.base()).post("/auth/send-otp", &body).await;
    assert_eq!((status, sent.get("otp")), (200, None), "{sent}");
    let caller = Caller::new(sms_base.clone());
    let message = loop {
        if let Some(message) = caller.messages("").await.pop() {
            break message;
        }
    };
    let text = message["text"].as_str().expect("a text");
    let proof = json!({"mobile": "+919876543210", "otp": &text[..6]});
    assert_eq!(Client::new(server.base()).post("/auth/verify-otp", &proof).await.0, 200);
    let (status, refused) = Client::new(server.base()).post("/auth/send-otp", &body).await;
    assert_eq!((status, &refused["code"]), (503, &json!("sms_budget_exhausted")), "{refused}");
    let doctor = succeed(folder.path(), &["doctor"], &settings);
    assert!(doctor.contains("through Twilio, account AC1, from +15005550006; it is not tried"), "{doctor}");
    assert!(!doctor.contains(TOKEN), "{doctor}");
    assert_eq!(caller.messages("").await.len(), 1, "doctor sends nothing");
    server.stop();
    gemini.stop();
    sms.stop();
}
