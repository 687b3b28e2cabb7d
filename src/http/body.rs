//! Bodies as they come: bounded in length and in time.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use bytes::BytesMut;
use futures_util::StreamExt;

use super::{ApiError, Code};

/// How long one may take to arrive: half a minute moves the largest JSON at 70 kbit/s. Shorter than what a handler may take,
/// so that a client's slowness is not told as ours.
pub const BODY_TIME: Duration = Duration::from_secs(30);

/// A whole body of at most `most` bytes.
///
/// # Errors
/// 408 when it does not arrive in time, 413 when it is longer, 400 when it is cut. They end the connection: the rest of the
/// body is nobody's request.
pub async fn read_body(body: Body, most: usize) -> Result<Bytes, ApiError> {
    let whole = tokio::time::timeout(BODY_TIME, collect(body, most)).await;
    let close = |error: ApiError| error.header(header::CONNECTION, HeaderValue::from_static("close"));
    whole.unwrap_or_else(|_| Err(ApiError::new(Code::BodyTimedOut))).map_err(close)
}

async fn collect(body: Body, most: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::new(Code::BodyTooLarge).detail(format!("At most {most} bytes are taken"));
    // What its length already tells is not waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let mut pieces = body.into_data_stream();
    let mut taken = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ApiError::new(Code::NotJson).detail("The body was cut"))?;
        if taken.len() + piece.len() > most {
            return Err(too_large());
        }
        taken.extend_from_slice(&piece);
    }
    Ok(taken.freeze())
}
