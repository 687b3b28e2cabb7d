//! Errors as Stripe words them: `{"error": {type, code, message, param, …}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A refusal travels boxed: it is rare, and larger than any answer.
pub(super) type Refusal = Box<Fault>;

/// One error answer. As JSON in a rule only `status` is needed; type, code and message are then Stripe's usual ones.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub status: u16,
    /// Such as `invalid_request_error`, `card_error`, `idempotency_error`, `api_error`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub decline_code: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub param: Option<String>,
    /// The header `Retry-After`, as it is.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// The header `Stripe-Should-Retry`.
    #[serde(default)]
    pub should_retry: Option<bool>,
    /// Answers this text, as it is, instead of JSON.
    #[serde(default)]
    pub raw: Option<String>,
    /// Found before anything was executed: an idempotency key does not remember it.
    #[serde(skip)]
    pub is_early: bool,
}

impl Fault {
    #[must_use]
    pub fn of(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, value: &str) -> Self {
        self.retry_after = Some(value.to_owned());
        self
    }

    /// A request that Stripe does not understand.
    pub(super) fn invalid(message: impl Into<String>) -> Refusal {
        Box::new(Self { is_early: true, ..Self::of(400).with_message(message) })
    }

    pub(super) fn missing(param: &str) -> Refusal {
        Self::invalid(format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    pub(super) fn unknown(param: &str) -> Refusal {
        Self::invalid(format!("Received unknown parameter: {param}")).code("parameter_unknown").param(param)
    }

    /// What a request understood cannot do.
    pub(super) fn conflict(message: impl Into<String>) -> Refusal {
        Box::new(Self::of(400).with_message(message))
    }

    /// An object that is asked for by its address is not there.
    pub(super) fn gone(what: &str, id: &str) -> Refusal {
        Box::new(Self::of(404).with_message(format!("No such {what}: '{id}'"))).code("resource_missing").param("id")
    }

    /// An object that a parameter names is not there.
    pub(super) fn no_such(what: &str, id: &str, param: &str) -> Refusal {
        Self::conflict(format!("No such {what}: '{id}'")).code("resource_missing").param(param)
    }

    pub(super) fn declined() -> Refusal {
        let mut fault = Self::of(402).with_code("card_declined").with_message("Your card was declined.");
        fault.decline_code = Some("generic_decline".to_owned());
        Box::new(fault)
    }

    pub(super) fn code(mut self: Box<Self>, code: &str) -> Refusal {
        self.code = Some(code.to_owned());
        self
    }

    pub(super) fn param(mut self: Box<Self>, param: &str) -> Refusal {
        self.param = Some(param.to_owned());
        self
    }

    pub(super) fn value(&self, request: &str) -> Value {
        let mut error = Map::new();
        error.insert("type".to_owned(), self.kind.as_deref().unwrap_or_else(|| self.usual_kind()).into());
        if let Some(code) = self.code.as_deref().or_else(|| self.usual_code()) {
            error.insert("code".to_owned(), code.into());
            let page = code.replace('_', "-");
            error.insert("doc_url".to_owned(), format!("https://stripe.com/docs/error-codes/{page}").into());
        }
        if let Some(code) = &self.decline_code {
            error.insert("decline_code".to_owned(), code.as_str().into());
        }
        let message = self.message.as_deref().unwrap_or_else(|| self.usual_message());
        error.insert("message".to_owned(), message.into());
        if let Some(param) = &self.param {
            error.insert("param".to_owned(), param.as_str().into());
        }
        let log = format!("https://dashboard.stripe.com/test/logs/{request}");
        error.insert("request_log_url".to_owned(), log.into());
        json!({"error": error})
    }

    fn usual_kind(&self) -> &'static str {
        match self.status {
            402 => "card_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    fn usual_code(&self) -> Option<&'static str> {
        match self.status {
            402 => Some("card_declined"),
            404 => Some("resource_missing"),
            409 => Some("lock_timeout"),
            429 => Some("rate_limit"),
            _ => None,
        }
    }

    fn usual_message(&self) -> &'static str {
        match self.status {
            401 => "Invalid API Key provided.",
            402 => "Your card was declined.",
            403 => "The provided key does not have the required permissions for this endpoint.",
            409 => {
                "This object cannot be accessed right now because another API request or Stripe process is currently \
                 accessing it."
            }
            429 => {
                "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
            }
            500.. => "An unknown error occurred",
            _ => "The sandbox was told to refuse this.",
        }
    }

    pub(super) fn answer(&self, request: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match &self.raw {
            Some(raw) => (status, raw.clone()).into_response(),
            None => (status, Json(self.value(request))).into_response(),
        };
        let headers = response.headers_mut();
        if let Some(value) = self.retry_after.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        if let Some(should) = self.should_retry {
            headers.insert("stripe-should-retry", HeaderValue::from_static(if should { "true" } else { "false" }));
        }
        response
    }
}
