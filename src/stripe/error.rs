//! Stripe's errors: `{"error": {type, code, message, param}}`, judged once for everybody.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// Longer delays than this are mistakes.
const LONGEST: Duration = Duration::from_hours(1);

/// Why a call did not come to what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It may have been carried out all the same.
    #[error("Stripe cannot be reached: {0}")]
    Unreachable(String),
    #[error("Stripe's answer was not what was asked for: {0}")]
    Unreadable(String),
    #[error("Stripe refused: {0}")]
    Refused(Refusal),
}

/// One error answer of Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {kind} {code}: {message}")]
pub struct Refusal {
    pub status: u16,
    /// Stripe's `type`, such as `invalid_request_error`.
    pub kind: String,
    /// Such as `resource_missing`; empty when there is none.
    pub code: String,
    /// Which parameter is at fault; empty when none is.
    pub param: String,
    /// For operators.
    pub message: String,
    pub retry_after: Option<Duration>,
    /// What `Stripe-Should-Retry` says, where it does.
    should_retry: Option<bool>,
}

impl Error {
    /// Whether the same call may go through later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unreadable(_) => true,
            Self::Refused(refusal) => refusal.is_passing(),
        }
    }

    /// Whether what was named is not there (any more); by `param`, where several things were named.
    #[must_use]
    pub fn is_missing(&self, param: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == "resource_missing"
            && (refusal.param == param || refusal.param.is_empty()))
            || matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// How long Stripe wants to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Unreachable(_) | Self::Unreadable(_) => None,
        }
    }
}

impl Refusal {
    /// Reads an error answer. Whatever the body is, the status alone is enough.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let seconds = header(RETRY_AFTER.as_str()).and_then(|value| value.trim().parse().ok());
        Self {
            status: status.as_u16(),
            kind: text("type"),
            code: text("code"),
            param: text("param"),
            message: text("message"),
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST)),
            should_retry: header("stripe-should-retry").and_then(|word| word.parse().ok()),
        }
    }

    fn is_passing(&self) -> bool {
        // A key that is used by another request at this moment, or an object that is locked: 409.
        self.should_retry.unwrap_or(matches!(self.status, 408 | 409 | 429 | 500..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        Error::Refused(Refusal::of(StatusCode::from_u16(status).expect("a status"), &headers, body.as_bytes()))
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for status in [408, 409, 429, 500, 502, 503, 504] {
            assert!(refusal(status, &[], "").is_passing(), "{status}");
        }
        for status in [400, 401, 402, 403, 404] {
            assert!(!refusal(status, &[], "<html>").is_passing(), "{status}");
        }
        assert!(refusal(400, &[("stripe-should-retry", "true")], "").is_passing());
        assert!(!refusal(500, &[("stripe-should-retry", "false")], "").is_passing());
    }

    #[test]
    fn what_is_missing_is_known_by_its_parameter() {
        let body = r#"{"error":{"type":"invalid_request_error","code":"resource_missing","param":"customer","message":"No such customer: 'cus_1'"}}"#;
        assert!(refusal(400, &[], body).is_missing("customer"));
        assert!(!refusal(400, &[], body).is_missing("price"));
        assert!(refusal(404, &[], "").is_missing("id"));
    }

    #[test]
    fn a_delay_is_heeded_and_bounded() {
        let after = |text| refusal(429, &[("retry-after", text)], "").retry_after();
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("999999999"), Some(LONGEST));
        assert_eq!(after("soon"), None);
    }
}
