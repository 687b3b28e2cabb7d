//! Where a request takes place: someone signed in, a room with a message in it, a subscription, and codes that are right.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use gemini_backend::ids::MessageId;
use gemini_backend::{execute, store, transaction};
use serde_json::{Value, json};

use crate::harness::files::png;
use crate::harness::shop::event;
use crate::harness::{Person, TestApp};
use crate::random::Random;
use crate::request::Operation;

const PASSWORD: &str = "secret 1234";
/// It takes a proof as those of sign-in do.
const ERASURE: &str = "/user/me/delete";

pub(crate) struct Stage {
    pub(crate) token: String,
    pub(crate) session: String,
    pub(crate) room: String,
    pub(crate) message: String,
    pub(crate) attachment: String,
    /// What only its owner knows, by the name of the field it goes into.
    pub(crate) known: BTreeMap<String, Value>,
    uses: u32,
}

impl Stage {
    pub(crate) async fn set(app: &TestApp, operation: &Operation) -> Self {
        let person = app.sign_up().await;
        let mut stage = Self {
            token: person.token.clone(),
            session: person.session.to_string(),
            room: String::new(),
            message: String::new(),
            attachment: String::new(),
            known: BTreeMap::new(),
            uses: 0,
        };
        let path = operation.path.as_str();
        if path.starts_with("/auth") || path == ERASURE {
            stage.learn(app, operation).await;
        } else if ["/sub", "/billing", "/webhook"].iter().any(|start| path.starts_with(start)) {
            stage.sell(&person, !path.ends_with("/pro")).await;
        } else {
            stage.furnish(&person, operation).await;
        }
        stage
    }

    async fn furnish(&mut self, person: &Person<'_>, operation: &Operation) {
        self.room = person.new_room().await;
        self.attachment = person.uploads(&self.room, "a.png", &png(100)).await;
        self.know("attachments", &json!([]));
        let accepted = person.ask(&self.room, "hello").await;
        // Only a person's message can be edited.
        let of = if operation.method == "PATCH" { "message" } else { "reply" };
        accepted[of]["id"].as_str().expect("an id").clone_into(&mut self.message);
        if operation.path.ends_with("/regenerate") || operation.path.ends_with("/context") {
            // Only what has ended can be written again, and has a receipt.
            person.cancels(&self.room, &self.message).await;
        }
        if operation.path.ends_with("/context") {
            let id: MessageId = self.message.parse().expect("an id");
            let receipt = json!({"model": "m", "sent": [[1, 1]], "limit": 100, "estimated": 10}).to_string();
            // Nobody works here, so nothing is asked.
            let given = transaction!(person.app.app.store, |tx| {
                execute!(tx, "update messages set receipt = $2 where id = $1", id, receipt.as_str())
            });
            assert_eq!(given.map_err(|cause: store::Error| cause.to_string()), Ok(1));
        }
    }

    /// A page to pay on and, where it `is_paid`, the subscription that came of it.
    async fn sell(&mut self, person: &Person<'_>, is_paid: bool) {
        self.know("success_url", &json!("http://localhost:3000/paid?session_id={CHECKOUT_SESSION_ID}"));
        for name in ["cancel_url", "return_url"] {
            self.know(name, &json!("http://localhost:3000/plans"));
        }
        if is_paid {
            let session = person.pays().await;
            person.get(&format!("/billing/return?session_id={session}")).await.expect(200);
            self.know("session_id", &json!(session));
            self.know("customer", &json!(person.customer().await));
        }
    }

    /// What Stripe might tell of the customer here, or of somebody else's.
    pub(crate) fn event(&self, random: &mut Random) -> Value {
        let kind =
            random.pick(&["customer.subscription.updated", "checkout.session.completed", "charge.refunded", "x"]);
        let stranger = json!(format!("cus_{}", random.digits(8)));
        let customer = if random.one_in(2) { &stranger } else { &self.known["customer"] };
        let object = json!({"id": random.text(20), "customer": customer, "charge": random.text(20)});
        event(&format!("evt_{}", random.digits(12)), kind, object)
    }

    /// Signs someone up with a password and asks for the code that the operation wants.
    async fn learn(&mut self, app: &TestApp, operation: &Operation) {
        let mobile = new_number();
        let signup = tell(app, "signup", json!({"mobile": mobile, "password": PASSWORD}), 201).await;
        let otp = code(app, &mobile, "signup").await;
        self.know("mobile", &json!(mobile));
        self.know("otp", &otp);
        self.know("signup_token", &signup["signup_token"]);
        if operation.path == "/auth/verify-otp" {
            self.know("purpose", &json!("signup"));
            return;
        }
        let body = json!({"mobile": mobile, "otp": otp, "signup_token": signup["signup_token"]});
        let pair = tell(app, "verify-otp", body, 200).await;
        let text = |name: &str| pair[name].as_str().expect("a token pair").to_owned();
        (self.token, self.session) = (text("access_token"), text("session_id"));
        self.know("password", &json!(PASSWORD));
        self.know("old_password", &json!(PASSWORD));
        self.know("refresh_token", &pair["refresh_token"]);
        match operation.path.as_str() {
            "/auth/reset-password" => self.know("otp", &code(app, &mobile, "reset_password").await),
            "/auth/change-password" | ERASURE => self.know("otp", &code(app, &mobile, "confirm").await),
            "/auth/change-mobile" => {
                let other = new_number();
                self.know("confirm_otp", &code(app, &mobile, "confirm").await);
                self.know("otp", &code(app, &other, "change_mobile").await);
                self.know("mobile", &json!(other));
            }
            _ => {}
        }
    }

    fn know(&mut self, name: &str, value: &Value) {
        self.known.insert(name.to_owned(), value.clone());
    }

    /// Notes an answer: what succeeds may have changed what stands here, and codes are spent by being tried.
    pub(crate) fn wear(&mut self, status: u16) {
        self.uses += if status < 300 { 10 } else { 1 };
    }

    /// Whether the next request wants a new one: the session may be gone, the room full of replies that wait, the
    /// token old.
    pub(crate) fn is_worn(&self, operation: &Operation) -> bool {
        self.uses
            >= match operation.method.as_str() {
                "GET" => 500,
                "DELETE" => 10,
                _ if operation.path.starts_with("/auth") || operation.path == ERASURE => 10,
                _ => 100,
            }
    }
}

async fn code(app: &TestApp, mobile: &str, purpose: &str) -> Value {
    tell(app, "send-otp", json!({"mobile": mobile, "purpose": purpose}), 200).await["otp"].clone()
}

async fn tell(app: &TestApp, path: &str, body: Value, status: u16) -> Value {
    let from = new_address();
    let call = app.post(&format!("/auth/{path}")).header("x-forwarded-for", &from).json(&body);
    call.send().await.expect(status).json()
}

fn count() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn new_number() -> String {
    format!("+9197{:08}", count())
}

/// A proxy of ours says that each request comes from somewhere else: throttles by address are not the matter here.
pub(crate) fn new_address() -> String {
    let [_, a, b, c] = count().to_be_bytes();
    format!("10.{a}.{b}.{c}")
}
