//! `Prefer: wait=30` (RFC 7240): how long a client would wait for the outcome.

use std::time::Duration;

use axum::http::HeaderMap;

/// No answer is waited for longer, or the layer that ends what hangs would end it.
const LONGEST: Duration = Duration::from_secs(50);

/// None when the client does not say, or not a number of seconds: a preference that is not understood is no error.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = preferences.flat_map(|value| value.split([',', ';']));
    let seconds = preferences.find_map(|one| {
        let (name, value) = one.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    })?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().expect("a header's value"));
            }
            wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(read(&["wait=30"]), Some(30));
        assert_eq!(read(&["respond-async, Wait = \"7\""]), Some(7));
        assert_eq!(read(&["return=minimal", "wait=0"]), Some(0));
        assert_eq!(read(&["wait=86400"]), Some(LONGEST.as_secs()));
        assert_eq!(read(&["wait"]).or(read(&["wait=soon"])).or(read(&["await=3"])).or(read(&[])), None);
    }
}
