//! Errors in Google's shape, wished for by a rule or earned by a bad request.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One error: `{"error": {code, message, status, details}}`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    pub status: u16,
    /// Google's word; without it, the one that belongs to the status.
    pub word: Option<String>,
    pub message: Option<String>,
    /// `RetryInfo.retryDelay`, such as `38s`.
    pub retry: Option<String>,
    /// `PerDay`, `PerMinute`, or a whole `quotaId`.
    pub quota: Option<String>,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// `ErrorInfo.reason`, such as `API_KEY_INVALID`.
    pub reason: Option<String>,
    /// The fields that are wrong, for `BadRequest`.
    pub fields: Vec<(String, String)>,
    /// Wrapped in an array, as streams without `alt=sse` are.
    pub array: bool,
    /// This body as it is, whatever it is.
    pub raw: Option<String>,
}

impl Fault {
    #[must_use]
    pub fn of(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    #[must_use]
    pub fn retry(mut self, delay: &str) -> Self {
        self.retry = Some(delay.to_owned());
        self
    }

    #[must_use]
    pub fn quota(mut self, quota: &str) -> Self {
        self.quota = Some(quota.to_owned());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        self.retry_after = Some(value.to_owned());
        self
    }

    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    pub(super) fn invalid(message: impl Into<String>) -> Box<Self> {
        Box::new(Self::of(400).message(message))
    }

    /// As Google's gateway refuses what does not fit the message's definition.
    pub(super) fn bad_field(field: &str, description: &str) -> Box<Self> {
        let message = format!("Invalid JSON payload received. {description}");
        Box::new(Self { fields: vec![(field.to_owned(), message.clone())], ..Self::of(400).message(message) })
    }

    pub(super) fn value(&self) -> Value {
        let mut error = json!({
            "code": self.status,
            "message": self.message.as_deref().unwrap_or_else(|| self.usual_message()),
            "status": self.word.as_deref().unwrap_or_else(|| self.usual_word()),
        });
        let details = self.details();
        if !details.is_empty() {
            error["details"] = Value::Array(details);
        }
        let body = json!({ "error": error });
        if self.array { json!([body]) } else { body }
    }

    /// The body, over several lines as Google writes it.
    pub(super) fn pretty(&self) -> String {
        self.raw.clone().unwrap_or_else(|| format!("{:#}\n", self.value()))
    }

    fn details(&self) -> Vec<Value> {
        let mut details = Vec::new();
        if let Some(quota) = &self.quota {
            let id = match quota.as_str() {
                short @ ("PerDay" | "PerMinute") => format!("GenerateRequests{short}PerProjectPerModel"),
                id => id.to_owned(),
            };
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{
                    "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
                    "quotaId": id,
                }],
            }));
        }
        if let Some(reason) = &self.reason {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }));
        }
        if !self.fields.is_empty() {
            let violations: Vec<Value> =
                self.fields.iter().map(|(field, text)| json!({"field": field, "description": text})).collect();
            details.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}));
        }
        if let Some(delay) = &self.retry {
            details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}));
        }
        details
    }

    fn usual_word(&self) -> &'static str {
        match self.status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            500 => "INTERNAL",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "UNKNOWN",
        }
    }

    fn usual_message(&self) -> &'static str {
        match self.status {
            429 => "You exceeded your current quota, please check your plan and billing details.",
            500 => {
                "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"
            }
            503 => "The model is overloaded. Please try again later.",
            504 => "The service is unable to finish processing within the deadline.",
            _ => "The sandbox was told to refuse this.",
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = [(header::CONTENT_TYPE, "application/json; charset=UTF-8")];
        let mut response = (status, json, self.pretty()).into_response();
        if let Some(value) = self.retry_after.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
