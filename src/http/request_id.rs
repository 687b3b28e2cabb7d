//! The id of the request that is being answered, known to whatever runs inside it.

use axum::http::{HeaderMap, HeaderName};

use crate::clock::Moment;
use crate::ids::RequestId;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: String;
}

/// The running request's id; empty outside a request.
#[must_use]
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Runs `work` as part of the request `id`.
pub async fn within<T>(id: String, work: impl Future<Output = T>) -> T {
    CURRENT.scope(id, work).await
}

/// The client's own id when it may stand in a log line (1 to 128 letters, digits, `.`, `_`, `-`), else a new one.
#[must_use]
pub fn of(headers: &HeaderMap, now: Moment) -> String {
    let sent = headers.get(HEADER).and_then(|value| value.to_str().ok());
    sent.filter(|id| is_sane(id)).map_or_else(|| RequestId::new(now).to_string(), str::to_owned)
}

fn is_sane(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_id_is_kept() {
        let kept = |sent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, sent.parse().expect("a value that headers may have"));
            of(&headers, Moment::from_millis(0)) == sent
        };
        assert!(kept("a") && kept("Trace_1.2-3") && kept(&"x".repeat(128)));
        assert!(!kept("") && !kept("a b") && !kept("a\tb") && !kept(&"x".repeat(129)) && !kept("a\"}"));
        assert_ne!(of(&HeaderMap::new(), Moment::from_millis(0)), of(&HeaderMap::new(), Moment::from_millis(0)));
    }
}
