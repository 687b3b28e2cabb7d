//! A request as the document describes it, on a stage where its ids exist.

use std::fmt;

use serde_json::{Value, json};

use crate::harness::files::{FORM, form, png};
use crate::harness::{Call, TestApp, WEBHOOK_SECRET};
use crate::mutation;
use crate::random::Random;
use crate::stage::{Stage, new_address};
use crate::valid;

/// The one operation that whoever signs may call.
const WEBHOOK: &str = "/webhook/stripe";
const SIGNATURE: &str = "Stripe-Signature";

/// An operation of the document.
pub(crate) struct Operation {
    /// `post /chatroom/{id}/message`
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) needs_token: bool,
    declared: Value,
}

pub(crate) fn operations(document: &'static Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, declared) in item.as_object().expect("a path item") {
            operations.push(Operation {
                name: format!("{method} {path}"),
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                needs_token: needs_token(declared),
                declared: declared.clone(),
            });
        }
    }
    operations
}

/// Whether there is no way without one.
fn needs_token(declared: &Value) -> bool {
    let ways = declared["security"].as_array();
    ways.is_some_and(|ways| !ways.is_empty() && ways.iter().all(|way| *way != json!({})))
}

#[derive(Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As it is sent.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// With a token that is good.
    pub(crate) is_signed_in: bool,
    /// It may reach another operation, or none.
    pub(crate) is_elsewhere: bool,
    /// Whatever its body is, Stripe has signed it.
    is_signed_by_stripe: bool,
}

impl Request {
    /// A valid request, with one thing wrong in it if it is to be mutated.
    pub(crate) fn make(
        operation: &Operation,
        stage: &Stage,
        signed_in: bool,
        is_mutated: bool,
        random: &mut Random,
    ) -> Self {
        let mut request = Self::valid(operation, stage, random);
        if signed_in {
            request.headers.push(("authorization".to_owned(), format!("Bearer {}", stage.token)));
            request.is_signed_in = true;
        }
        if is_mutated {
            mutation::apply(&mut request, random);
        }
        if random.one_in(4) {
            // Every path answers with a slash at its end, too.
            request.path.push(String::new());
        }
        request
    }

    fn valid(operation: &Operation, stage: &Stage, random: &mut Random) -> Self {
        let mut segments: Vec<String> = Vec::new();
        for segment in operation.path.split('/').skip(1) {
            let before = segments.last().map(String::as_str).unwrap_or_default();
            let id = match before {
                "chatroom" => &stage.room,
                "messages" => &stage.message,
                "attachments" => &stage.attachment,
                "sessions" => &stage.session,
                _ => "swagger-ui.css",
            };
            segments.push(if segment.starts_with('{') { id.to_owned() } else { segment.to_owned() });
        }
        let mut request = Self {
            method: operation.method.clone(),
            path: segments,
            query: Vec::new(),
            headers: vec![("x-forwarded-for".to_owned(), new_address())],
            body: None,
            is_signed_in: false,
            is_elsewhere: false,
            is_signed_by_stripe: operation.path == WEBHOOK && !random.one_in(8),
        };
        for parameter in operation.declared["parameters"].as_array().into_iter().flatten() {
            request.add(parameter, stage, random);
        }
        if operation.path == WEBHOOK {
            request.set_body(&stage.event(random));
        } else {
            request.add_body(&operation.declared["requestBody"], stage, random);
        }
        request
    }

    fn add(&mut self, parameter: &Value, stage: &Stage, random: &mut Random) {
        let name = parameter["name"].as_str().expect("a name").to_owned();
        if parameter["in"] == "path" || parameter["required"] != json!(true) && random.one_in(2) {
            return;
        }
        let known = stage.known.get(&name).filter(|_| !random.one_in(3)).cloned();
        let value = match known.unwrap_or_else(|| valid::value(&name, &parameter["schema"], random)) {
            Value::String(text) => text,
            Value::Null => return,
            other => other.to_string(),
        };
        match parameter["in"].as_str() {
            Some("query") if name == "cursor" => {}
            Some("query") => self.query.push((name, value)),
            // Only visible characters travel in a header.
            _ => self.headers.push((name, value.chars().filter(char::is_ascii_alphanumeric).collect())),
        }
    }

    fn add_body(&mut self, declared: &Value, stage: &Stage, random: &mut Random) {
        if !declared["content"]["multipart/form-data"].is_null() {
            let name = random.text(20).replace(['"', '\\'], "");
            self.body = Some(form(&format!("x{name}"), &png(40 + random.below(2_000))));
            self.headers.push(("content-type".to_owned(), FORM.to_owned()));
            return;
        }
        let schema = &declared["content"]["application/json"]["schema"];
        if schema.is_null() || declared["required"] != json!(true) && random.one_in(5) {
            return;
        }
        let mut body = valid::value("", schema, random);
        if let Some(members) = body.as_object_mut().filter(|_| !random.one_in(3)) {
            let told = members.iter_mut().filter_map(|(name, value)| Some((value, stage.known.get(name)?)));
            told.for_each(|(value, known)| known.clone_into(value));
        }
        if !body.is_null() {
            self.set_body(&body);
        }
    }

    fn set_body(&mut self, body: &Value) {
        self.body = Some(body.to_string().into_bytes());
        self.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }

    pub(crate) fn call(&self, app: &TestApp) -> Call {
        let query: Vec<_> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let path = format!("/{}{mark}{}", self.path.join("/"), query.join("&"));
        let call = app.call(&self.method, &path);
        let headers = self.headers.iter().filter(|(name, _)| !self.is_signed_by_stripe || name != SIGNATURE);
        let mut call = headers.fold(call, |call, (name, value)| call.header(name, value));
        if self.is_signed_by_stripe {
            let body = self.body.as_deref().unwrap_or_default();
            call = call.header(SIGNATURE, &app.shop().sign(body, WEBHOOK_SECRET, app.clock.now().seconds()));
        }
        match &self.body {
            Some(body) => call.body("", body.clone()),
            None => call,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} /{} {:?} {:?}", self.method, self.path.join("/"), self.query, self.headers)?;
        let body = self.body.as_deref().unwrap_or_default();
        write!(out, " {}", String::from_utf8_lossy(&body[..body.len().min(300)]))
    }
}
