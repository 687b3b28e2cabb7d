//! The `RateLimit-Policy` and `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers, structured fields), in one place.
//!
//! Whatever looks at a limit while a request runs [`note`]s it here; the answer carries all of them.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

tokio::task_local! {
    static NOTED: RefCell<Vec<RateLimit>>;
}

/// One limit and how the caller stands with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What is limited: lower case letters and dashes.
    pub name: &'static str,
    /// So many in `window`.
    pub quota: u32,
    pub window: Duration,
    pub remaining: u32,
    /// When `remaining` is whole again.
    pub reset_after: Duration,
}

/// Adds a limit to the answer of the running request; outside a request it does nothing.
pub fn note(limit: RateLimit) {
    let _ = NOTED.try_with(|noted| {
        let mut noted = noted.borrow_mut();
        noted.retain(|other| other.name != limit.name);
        noted.push(limit);
    });
}

/// Runs a request and gives back the limits that were noted meanwhile.
pub async fn noting<T>(work: impl Future<Output = T>) -> (T, Vec<RateLimit>) {
    NOTED
        .scope(RefCell::default(), async {
            let made = work.await;
            (made, NOTED.with(RefCell::take))
        })
        .await
}

/// Writes the limits, if there are any.
pub fn write(headers: &mut HeaderMap, limits: &[RateLimit]) {
    if limits.is_empty() {
        return;
    }
    let (mut policy, mut standing) = (String::new(), String::new());
    for limit in limits {
        let comma = if policy.is_empty() { "" } else { ", " };
        let _ = write!(policy, "{comma}\"{}\";q={};w={}", limit.name, limit.quota, seconds(limit.window));
        let _ = write!(standing, "{comma}\"{}\";r={};t={}", limit.name, limit.remaining, seconds(limit.reset_after));
    }
    for (name, value) in [(POLICY, policy), (STANDING, standing)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// Rounded up: who comes back that many seconds later is not told to wait again.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &'static str, remaining: u32) -> RateLimit {
        let (window, reset_after) = (Duration::from_mins(1), Duration::from_millis(1200));
        RateLimit { name, quota: 120, window, remaining, reset_after }
    }

    #[tokio::test]
    async fn the_answer_carries_every_limit_at_its_last_standing() {
        let work = async {
            note(limit("requests", 119));
            note(limit("verify", 29));
            note(limit("requests", 118));
        };
        let ((), limits) = noting(work).await;
        let mut headers = HeaderMap::new();
        write(&mut headers, &limits);
        assert_eq!(headers[POLICY], "\"verify\";q=120;w=60, \"requests\";q=120;w=60");
        assert_eq!(headers[STANDING], "\"verify\";r=29;t=2, \"requests\";r=118;t=2");
    }

    #[tokio::test]
    async fn without_a_limit_there_is_no_header() {
        note(limit("requests", 1));
        let ((), limits) = noting(async {}).await;
        let mut headers = HeaderMap::new();
        write(&mut headers, &limits);
        assert!(headers.is_empty());
    }
}
