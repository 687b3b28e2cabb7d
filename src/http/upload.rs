//! Files on their way in: `multipart/form-data` (RFC 7578) with one file in it, bounded in length, in time and in memory.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::BytesMut;
use futures_util::StreamExt;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{ApiError, Code};

/// How long one may take: ten minutes move 15 MiB at 210 kbit/s, as a phone has it at the edge of its network.
pub const UPLOAD_TIME: Duration = Duration::from_mins(10);
/// And for how long nothing of it may come.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// For what stands around the file, and for fields that nobody asked for.
const ENVELOPE: u64 = 64 * 1024;

/// A file as it came.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// As the client has it.
    pub name: String,
    pub content: Bytes,
}

/// The one file of a body, of 1 to `most` bytes. `take` is asked for room before each piece of the body is
/// kept.
///
/// # Errors
/// 408 when it does not arrive in time, 413 when it is longer, 400 when it is cut or none, 415 when the body is of another
/// type, 422 without a file, with two or with an empty one, 503 when there is no room. They end the connection: the rest of
/// the body is nobody's request.
pub async fn read_upload(
    headers: &HeaderMap,
    body: Body,
    most: u64,
    take: impl FnMut(usize) -> bool + Send,
) -> Result<Uploaded, ApiError> {
    let read = tokio::time::timeout(UPLOAD_TIME, read(headers, body, most, take)).await;
    let close = |error: ApiError| error.header(header::CONNECTION, HeaderValue::from_static("close"));
    read.unwrap_or_else(|_| Err(ApiError::new(Code::BodyTimedOut))).map_err(close)
}

async fn read(
    headers: &HeaderMap,
    body: Body,
    most: u64,
    mut take: impl FnMut(usize) -> bool + Send,
) -> Result<Uploaded, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind)
        .map_err(|_| ApiError::new(Code::UnsupportedMediaType).detail("The body must be multipart/form-data"))?;
    let whole = most.saturating_add(ENVELOPE);
    // What its length already tells is not waited for.
    let told = body.size_hint().lower();
    if told > whole {
        return Err(too_large(most));
    }
    let limit = SizeLimit::new().whole_stream(whole).per_field(most);
    let constraints = Constraints::new().size_limit(limit);
    // Whatever has come is held in memory until it is understood, so room is taken for it as it comes.
    let is_refused = AtomicBool::new(false);
    let pieces = body.into_data_stream().map(|piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        if take(piece.len()) {
            return Ok(piece);
        }
        is_refused.store(true, Relaxed);
        Err(std::io::Error::other("no room"))
    });
    let fault = |error: &multer::Error| {
        if is_refused.load(Relaxed) { ApiError::new(Code::TooManyUploads).retry_after(10) } else { fault(error, most) }
    };
    let mut fields = Multipart::with_constraints(pieces, boundary, constraints);
    let mut file: Option<Uploaded> = None;
    while let Some(mut field) = in_time(fields.next_field()).await?.map_err(|error| fault(&error))? {
        // A browser's form without a file in it has one without a name.
        let Some(name) = field.file_name().filter(|name| !name.is_empty()).map(str::to_owned) else { continue };
        if file.is_some() {
            return Err(ApiError::field("file", "must be one file alone"));
        }
        let capacity = usize::try_from(told.min(most)).unwrap_or(0);
        file = Some(Uploaded { name, content: content(&mut field, capacity, &fault).await? });
    }
    let file = file.ok_or_else(|| ApiError::field("file", "is required"))?;
    if file.content.is_empty() { Err(ApiError::field("file", "must not be empty")) } else { Ok(file) }
}

async fn content(
    field: &mut Field<'_>,
    capacity: usize,
    fault: &impl Fn(&multer::Error) -> ApiError,
) -> Result<Bytes, ApiError> {
    let mut content = BytesMut::with_capacity(capacity);
    while let Some(piece) = in_time(field.chunk()).await?.map_err(|error| fault(&error))? {
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}

async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(IDLE_TIME, work).await.map_err(|_| ApiError::new(Code::BodyTimedOut))
}

fn too_large(most: u64) -> ApiError {
    ApiError::new(Code::BodyTooLarge).detail(format!("At most {most} bytes are taken"))
}

fn fault(error: &multer::Error, most: u64) -> ApiError {
    use multer::Error as E;
    let why = match error {
        E::FieldSizeExceeded { .. } | E::StreamSizeExceeded { .. } => return too_large(most),
        E::IncompleteFieldData { .. } | E::IncompleteHeaders | E::IncompleteStream | E::StreamReadFailed(_) => {
            "The body was cut"
        }
        _ => "The body is not what its type says",
    };
    ApiError::new(Code::NotMultipart).detail(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=X";

    fn part(disposition: &str, content: &str) -> String {
        format!("--X\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    }

    async fn take_in(kind: &str, body: impl Into<Body>) -> Result<Uploaded, ApiError> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(kind).expect("a type"))]);
        read_upload(&headers, body.into(), 20, |_| true).await
    }

    async fn code(kind: &str, body: impl Into<Body>) -> &'static str {
        take_in(kind, body).await.expect_err("refused").code().as_str()
    }

    #[tokio::test]
    async fn one_file_is_read_whatever_stands_beside_it() {
        let body = part("name=\"note\"", "hi") + &part("name=\"any\"; filename=\"ä b.png\"", "12345") + "--X--\r\n";
        let file = take_in(FORM, body).await.expect("a file");
        assert_eq!((file.name.as_str(), &file.content[..]), ("ä b.png", &b"12345"[..]));
    }

    #[tokio::test]
    async fn what_is_not_one_file_is_named() {
        let file = |content: &str| part("name=\"file\"; filename=\"a\"", content);
        assert_eq!(code("application/json", "{}").await, "unsupported_media_type");
        assert_eq!(code("multipart/form-data", "").await, "unsupported_media_type");
        assert_eq!(code(FORM, "").await, "not_multipart");
        assert_eq!(code(FORM, "hello").await, "not_multipart");
        assert_eq!(code(FORM, file("123")).await, "not_multipart");
        let cut = file("123456");
        for end in [10, 40, cut.len() - 4, cut.len()] {
            assert_eq!(code(FORM, cut[..end].to_owned()).await, "not_multipart", "{end}");
        }
        assert_eq!(code(FORM, "--X--\r\n").await, "invalid");
        assert_eq!(code(FORM, part("name=\"file\"; filename=\"\"", "") + "--X--\r\n").await, "invalid");
        assert_eq!(code(FORM, part("name=\"file\"", "123") + "--X--\r\n").await, "invalid");
        assert_eq!(code(FORM, file("") + "--X--\r\n").await, "invalid");
        assert_eq!(code(FORM, file("1") + &file("2") + "--X--\r\n").await, "invalid");
        assert_eq!(code(FORM, file(&"1".repeat(21)) + "--X--\r\n").await, "body_too_large");
        assert_eq!(
            take_in(FORM, file(&"1".repeat(20)) + "--X--\r\n").await.expect("as much as may be").content.len(),
            20
        );
        assert_eq!(code(FORM, "x".repeat(70_000)).await, "body_too_large");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_come_on_is_given_up() {
        let begun = part("name=\"file\"; filename=\"a\"", "123");
        let pieces =
            futures_util::stream::iter([Ok::<_, std::io::Error>(begun)]).chain(futures_util::stream::pending());
        assert_eq!(code(FORM, Body::from_stream(pieces)).await, "body_timed_out");
    }

    #[tokio::test]
    async fn without_room_nothing_is_kept() {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(FORM))]);
        let body = part("name=\"file\"; filename=\"a\"", "12345") + "--X--\r\n";
        let mut room = body.len();
        let mut take = |bytes| {
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        read_upload(&headers, body.clone().into(), 20, &mut take).await.expect("it fits");
        let refused = read_upload(&headers, body.into(), 20, &mut take).await.expect_err("no room");
        assert_eq!(refused.code(), Code::TooManyUploads);
        // What is no file takes room as well.
        let preamble = "x".repeat(60_000);
        let refused = read_upload(&headers, preamble.into(), 20, |bytes| bytes < 60_000).await.expect_err("no room");
        assert_eq!(refused.code(), Code::TooManyUploads);
    }
}
