//! Rules: what the sandbox should do with which message. And [`Fault`], an error in Twilio's shape.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One behaviour and the messages it is for.
///
/// As JSON (`POST /sandbox/script`, one or a list): `{"to": "+9198", "times": 2, "refuse": {"status": 429, "code": 20429}}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only for numbers that begin like this.
    #[serde(default)]
    pub to: String,
    /// For so many messages; null for all that follow.
    #[serde(default = "once")]
    pub times: Option<u32>,
    #[serde(default)]
    pub refuse: Option<Fault>,
    #[serde(default)]
    pub end: End,
}

/// How a request ends. The message counts as taken in any case: that is what makes a cut one hard.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    #[default]
    Answer,
    /// The connection breaks before a byte of the answer.
    Cut,
    /// Nothing comes any more.
    Hang,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn once() -> Option<u32> {
    Some(1)
}

impl Rule {
    #[must_use]
    pub fn refuse(fault: Fault) -> Self {
        Self { to: String::new(), times: once(), refuse: Some(fault), end: End::Answer }
    }

    #[must_use]
    pub fn end(end: End) -> Self {
        Self { to: String::new(), times: once(), refuse: None, end }
    }

    #[must_use]
    pub fn to(mut self, beginning: &str) -> Self {
        beginning.clone_into(&mut self.to);
        self
    }

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }
}

/// One error: `{code, message, more_info, status}`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    pub status: u16,
    pub code: Option<u32>,
    pub message: Option<String>,
    /// The `Retry-After` header.
    pub retry_after: Option<u32>,
}

impl Fault {
    #[must_use]
    pub fn of(status: u16, code: u32) -> Self {
        Self { code: Some(code), ..Self::bare(status) }
    }

    /// A status without any of Twilio's words, as a proxy answers.
    #[must_use]
    pub fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.code {
            Some(code) => {
                let message = self.message.unwrap_or_else(|| "It was told to refuse".to_owned());
                let more_info = format!("https://www.twilio.com/docs/errors/{code}");
                let body = json!({"code": code, "message": message, "more_info": more_info, "status": self.status});
                (status, Json(body)).into_response()
            }
            None => (status, self.message.unwrap_or_default()).into_response(),
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The rules that wait.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<Vec<Rule>>);

impl Script {
    pub(super) fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    pub(super) fn clear(&self) {
        self.rules().clear();
    }

    pub(super) fn waiting(&self) -> Vec<Rule> {
        self.rules().clone()
    }

    /// The first rule for this number; one use of it is spent.
    pub(super) fn take(&self, to: &str) -> Option<Rule> {
        let mut rules = self.rules();
        let at = rules.iter().position(|rule| to.starts_with(&rule.to))?;
        let rule = rules[at].clone();
        match &mut rules[at].times {
            Some(0 | 1) => {
                rules.remove(at);
            }
            Some(times) => *times -= 1,
            None => {}
        }
        Some(rule)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
