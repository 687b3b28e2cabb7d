//! Problems said on a bare connection: to whom no request can be understood, or none be taken.

use std::fmt::Write;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::metrics;
use crate::clock::Moment;
use crate::http::{ApiError, Code, request_id};
use crate::ids::RequestId;

/// Of RFC 9110, 5.6.7.
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// What is wrong with a request that hyper refused: its bare answer says, and the bytes that it did not take.
pub(super) fn judge(answer: &[u8], left: &[u8]) -> Option<Code> {
    match answer.get(b"HTTP/1.1 ".len()..)?.get(..3)? {
        b"431" if left.contains(&b'\n') => Some(Code::HeadTooLarge),
        // All that came is one line, and it has no end.
        b"414" | b"431" => Some(Code::UriTooLong),
        _ => Some(Code::BadRequest),
    }
}

/// Says it as any other problem is said, and counts it.
pub(super) async fn say(stream: &mut TcpStream, problem: ApiError, now: Moment) -> std::io::Result<()> {
    let id = RequestId::new(now).to_string();
    let response = request_id::within(id.clone(), async { problem.into_response() }).await;
    let status = response.status();
    metrics::count("unmatched", "OTHER", status.as_u16(), Duration::ZERO);
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let date = OffsetDateTime::from_unix_timestamp(now.seconds()).ok().and_then(|now| now.format(HTTP_DATE).ok());
    let more = [(request_id::HEADER, Some(id)), (header::DATE, date), (header::CONNECTION, Some("close".to_owned()))];
    for (name, value) in more {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            parts.headers.insert(name, value);
        }
    }
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    for (name, value) in &parts.headers {
        // Into a string it cannot fail.
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    stream.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).await
}
