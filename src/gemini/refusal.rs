//! Gemini's error object: `{"error": {code, message, status, details}}`, sometimes wrapped in an array,
//! as the body of an error status or in the middle of a stream that began with 200.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::pacific::next_pacific_midnight;
use super::scrub::scrub;
use crate::clock::Moment;

/// A limit by the minute without its own delay is waited out whole.
const MINUTE: Duration = Duration::from_mins(1);
/// Longer delays than this are mistakes.
const LONGEST: Duration = Duration::from_hours(48);

/// One error of Gemini's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{status} {word}: {message}")]
pub struct Refusal {
    /// As HTTP counts, also when it came in the middle of an answer.
    pub status: u16,
    /// Google's word for it, such as `RESOURCE_EXHAUSTED`; empty when the body had none.
    pub word: String,
    /// For operators; keys are taken out.
    pub message: String,
    /// The span of the quota that is spent.
    pub quota: Option<Quota>,
    /// From `RetryInfo`, or a `Retry-After` in seconds, whichever is longer.
    pub retry_delay: Option<Duration>,
    /// From a `Retry-After` that names a moment.
    pub retry_at: Option<Moment>,
    /// The key itself is at fault.
    pub bad_key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    PerMinute,
    PerDay,
}

impl Refusal {
    /// Reads an error answer. Whatever the body is, the status alone is enough.
    pub(super) fn of_response(status: StatusCode, headers: &HeaderMap, body: &[u8], key: Option<&str>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut refusal = Self::of_error(error_in(&body).unwrap_or(&Value::Null), key);
        refusal.status = status.as_u16();
        refusal.bad_key |= matches!(refusal.status, 401 | 403);
        if let Some(value) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) {
            match value.trim().parse::<u64>() {
                Ok(seconds) => {
                    refusal.retry_delay = refusal.retry_delay.max(Some(Duration::from_secs(seconds).min(LONGEST)));
                }
                Err(_) => refusal.retry_at = http_date(value.trim()),
            }
        }
        refusal
    }

    /// Reads the value of `error`.
    pub(super) fn of_error(error: &Value, key: Option<&str>) -> Self {
        let word = error["status"].as_str().unwrap_or_default();
        let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
        let status = status.unwrap_or_else(|| status_of(word));
        Self {
            status,
            word: scrub(word, key),
            message: scrub(error["message"].as_str().unwrap_or_default(), key),
            quota: details.iter().filter_map(quota_of).max_by_key(|quota| *quota == Quota::PerDay),
            retry_delay: details.iter().find_map(|detail| delay(detail["retryDelay"].as_str()?)),
            retry_at: None,
            bad_key: matches!(status, 401 | 403) || details.iter().any(|detail| detail["reason"] == "API_KEY_INVALID"),
        }
    }

    pub(super) fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504)
    }

    pub(super) fn not_before(&self, now: Moment) -> Option<Moment> {
        let midnight = (self.quota == Some(Quota::PerDay)).then(|| next_pacific_midnight(now));
        let minute = (self.quota == Some(Quota::PerMinute) && self.retry_delay.is_none()).then(|| now.plus(MINUTE));
        let delayed = self.retry_delay.map(|delay| now.plus(delay));
        let at = self.retry_at.map(|at| at.min(now.plus(LONGEST)));
        [midnight, minute, delayed, at].into_iter().flatten().max()
    }

    pub(super) fn code(&self) -> &'static str {
        match self.status {
            429 if self.quota == Some(Quota::PerDay) => "upstream_quota_exhausted",
            429 => "upstream_rate_limited",
            404 => "model_not_found",
            _ if self.bad_key => "bad_key",
            _ if self.is_passing() => "upstream_unavailable",
            _ => "upstream_rejected",
        }
    }

    pub(super) fn plain(&self) -> &'static str {
        match self.code() {
            "upstream_quota_exhausted" => "The service has used up its allowance of answers for today.",
            "upstream_rate_limited" => "The model is answering too many people at the moment.",
            "model_not_found" => "The model that was asked for does not exist.",
            "bad_key" => "The service has no access to the model.",
            "upstream_unavailable" => "The model is not available at the moment.",
            _ => "The model did not accept this request.",
        }
    }
}

/// The error object in a body, or in an array of bodies.
pub(super) fn error_in(body: &Value) -> Option<&Value> {
    match body {
        Value::Array(bodies) => bodies.iter().find_map(error_in),
        body => body.get("error").filter(|error| !error.is_null()),
    }
}

/// <https://cloud.google.com/apis/design/errors>: the words and the statuses that belong to them.
fn status_of(word: &str) -> u16 {
    match word {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "UNAUTHENTICATED" => 401,
        "PERMISSION_DENIED" => 403,
        "NOT_FOUND" => 404,
        "ABORTED" | "ALREADY_EXISTS" => 409,
        "RESOURCE_EXHAUSTED" => 429,
        "CANCELLED" => 499,
        "UNIMPLEMENTED" => 501,
        "UNAVAILABLE" => 503,
        "DEADLINE_EXCEEDED" => 504,
        _ => 500,
    }
}

fn quota_of(detail: &Value) -> Option<Quota> {
    let ids = detail["violations"].as_array()?.iter().filter_map(|violation| violation["quotaId"].as_str());
    ids.filter_map(|id| match id {
        id if id.contains("PerDay") => Some(Quota::PerDay),
        id if id.contains("PerMinute") => Some(Quota::PerMinute),
        _ => None,
    })
    .max_by_key(|quota| *quota == Quota::PerDay)
}

/// `38s`, `34.07s`, `900ms`.
fn delay(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.trim().parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok().map(|delay| delay.min(LONGEST))
}

const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// RFC 9110 §5.6.7, in the one form that may still be sent.
fn http_date(text: &str) -> Option<Moment> {
    let at = time::PrimitiveDateTime::parse(text, HTTP_DATE).ok()?;
    Some(Moment::from(at.assume_utc()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Moment = Moment::from_millis(1_795_258_020_000); // 2026-11-21T10:47:00Z

    fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> Refusal {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        Refusal::of_response(StatusCode::from_u16(status).expect("a status"), &headers, body.as_bytes(), None)
    }

    fn limited(details: &Value) -> Refusal {
        let body = json!({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}});
        response(429, &[], &body.to_string())
    }

    fn violation(id: &str) -> Value {
        json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id}]})
    }

    fn retry_info(delay: &str) -> Value {
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    }

    #[test]
    fn retry_info_is_waited_for_in_every_notation() {
        for (text, millis) in [("38s", 38_000), ("34.07s", 34_070), ("900ms", 900), ("300s", 300_000), ("0s", 0)] {
            let wait = limited(&json!([retry_info(text)])).not_before(NOW);
            assert_eq!(wait, Some(NOW.plus(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "s", "-3s", "NaNs", "soon", "1e400s"] {
            assert_eq!(limited(&json!([retry_info(text)])).not_before(NOW), None, "{text}");
        }
    }

    #[test]
    fn a_spent_day_waits_for_midnight_pacific_whatever_retry_info_says() {
        let spent = limited(&json!([
            violation("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
            violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
            retry_info("12s"),
        ]));
        assert_eq!(spent.not_before(NOW).map(|at| at.to_string()).as_deref(), Some("2026-11-22T08:00:00.000Z"));
        assert_eq!(spent.code(), "upstream_quota_exhausted");
        assert!(spent.is_passing());
    }

    #[test]
    fn a_spent_minute_waits_a_minute_unless_told_how_long() {
        let id = "GenerateContentInputTokensPerModelPerMinute-PaidTier";
        assert_eq!(limited(&json!([violation(id)])).not_before(NOW), Some(NOW.plus(MINUTE)));
        let told = limited(&json!([violation(id), retry_info("7s")]));
        assert_eq!(told.not_before(NOW), Some(NOW.plus(Duration::from_secs(7))));
        assert_eq!(told.code(), "upstream_rate_limited");
    }

    #[test]
    fn a_retry_after_header_counts_in_both_forms() {
        let seconds = response(503, &[("retry-after", "17")], "");
        assert_eq!(seconds.not_before(NOW), Some(NOW.plus(Duration::from_secs(17))));
        let date = response(503, &[("retry-after", "Sat, 21 Nov 2026 10:48:30 GMT")], "");
        assert_eq!(date.not_before(NOW), Some(NOW.plus(Duration::from_secs(90))));
        let both = json!({"error": {"details": [retry_info("30s")]}}).to_string();
        let both = response(429, &[("retry-after", "17")], &both);
        assert_eq!(both.not_before(NOW), Some(NOW.plus(Duration::from_secs(30))));
    }

    #[test]
    fn each_status_is_judged() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(response(status, &[], "<html>").is_passing(), "{status}");
        }
        for (status, code) in [
            (400, "upstream_rejected"),
            (401, "bad_key"),
            (403, "bad_key"),
            (404, "model_not_found"),
            (301, "upstream_rejected"),
            (413, "upstream_rejected"),
        ] {
            let refusal = response(status, &[], "");
            assert!(!refusal.is_passing(), "{status}");
            assert_eq!(refusal.code(), code, "{status}");
        }
        let key = json!([{"error": {"code": 400, "message": "API key not valid: AIzaSyExample.", "status": "INVALID_ARGUMENT",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}]);
        let key = response(400, &[], &key.to_string());
        assert_eq!((key.code(), key.message.as_str()), ("bad_key", "API key not valid: [key]"));
    }

    #[test]
    fn an_error_in_a_stream_has_its_status_from_its_code_or_its_word() {
        assert_eq!(Refusal::of_error(&json!({"code": 503}), None).status, 503);
        assert_eq!(Refusal::of_error(&json!({"status": "RESOURCE_EXHAUSTED"}), None).status, 429);
        assert_eq!(Refusal::of_error(&json!({"code": "odd", "status": "NEW_WORD"}), None).status, 500);
        assert_eq!(Refusal::of_error(&json!("odd"), None).status, 500);
    }
}
