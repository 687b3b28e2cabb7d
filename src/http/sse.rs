//! Server-sent events: the answer around a stream of them, and the id from which a client goes on.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};

/// How soon a client may come back after its stream broke.
const RETRY: Duration = Duration::from_secs(2);
/// Shorter than the patience of any proxy on the way.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An answer that begins at once and goes on as long as the stream does; a comment every 15 seconds keeps it open.
pub fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let begin = stream::iter([Event::default().retry(RETRY)]);
    let events = begin.chain(events).map(Ok::<_, Infallible>);
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Or nginx would hold the events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT))).into_response()
}

/// The id of the last event that the client has: from its header, or from `?last_event_id=`, for clients that cannot set
/// one. One that is no text is none that anybody had.
pub fn last_event_id<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Option<&'a str> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    header.or(query).filter(|id| !id.is_empty())
}

/// Whether the client wants events instead of JSON.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let is_events = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/event-stream"));
        // A weight of nothing refuses it (RFC 9110, 12.4.2).
        is_events
            && !parts.any(|part| {
                let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_says_every_fifteen_seconds_that_it_is_there() {
        let began = tokio::time::Instant::now();
        let mut body = respond(stream::pending()).into_body().into_data_stream();
        let mut next = async || body.next().await.expect("a piece").expect("a whole one");
        assert_eq!(next().await, "retry: 2000\n\n");
        for beat in 1..=3 {
            assert_eq!(next().await, ":\n\n");
            assert_eq!(began.elapsed().as_secs(), 15 * beat);
        }
    }
}
