//! Files that are made while they are sent: a task writes, the client takes, and no more than a few pieces wait between
//! the two, however large the whole is.

use std::fmt::Write;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::store;

/// Pieces that wait for a client who takes them slowly.
const WAITING: usize = 2;
const LONGEST_NAME: usize = 60;

/// Why a file was not written to its end; then its connection is cut, so that nobody takes it for whole.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("its client is gone")]
    Gone,
    /// What it tells of is gone, or another one than at its beginning.
    #[error("what it tells of has changed")]
    Changed,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Where a file goes, piece by piece.
#[derive(Clone, Debug)]
pub struct Outlet(mpsc::Sender<std::io::Result<Bytes>>);

impl Outlet {
    /// Returns when there is room for more.
    pub async fn send(&self, piece: impl Into<Bytes>) -> Result<(), Cut> {
        self.0.send(Ok(piece.into())).await.map_err(|_| Cut::Gone)
    }

    /// Part of a JSON array, without its brackets; `is_first` tells whether anything stands before it.
    pub async fn items<T: Serialize>(&self, is_first: &mut bool, items: &[T]) -> Result<(), Cut> {
        let mut piece = Vec::new();
        for item in items {
            if !std::mem::take(is_first) {
                piece.push(b',');
            }
            serde_json::to_writer(&mut piece, item).expect("what is shown is plain data");
        }
        if piece.is_empty() { Ok(()) } else { self.send(piece).await }
    }
}

/// A file to keep, named `name`, written by `write`.
pub fn download<F: Future<Output = Result<(), Cut>> + Send + 'static>(
    tasks: &TaskTracker,
    media_type: &'static str,
    name: &str,
    write: impl FnOnce(Outlet) -> F,
) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING);
    let writing = write(Outlet(sender.clone()));
    tasks.spawn(async move {
        if let Err(cause @ (Cut::Changed | Cut::Store(_))) = writing.await {
            tracing::warn!(%cause, "a download was cut short");
            let _ = sender.send(Err(std::io::Error::other("cut short"))).await;
        }
    });
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    (headers(media_type, name), Body::from_stream(pieces)).into_response()
}

/// A file of somebody's as it was stored, to keep and never to be shown: a browser that is led here makes nothing of it.
pub fn stored<E: Into<axum::BoxError>>(
    media_type: &'static str,
    name: &str,
    bytes: u64,
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Response {
    let value = HeaderValue::from_static;
    let mut headers = headers(media_type, name);
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    headers.insert(header::CACHE_CONTROL, value("private, no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, value("default-src 'none'; sandbox"));
    (headers, Body::from_stream(pieces)).into_response()
}

fn headers(media_type: &'static str, name: &str) -> HeaderMap {
    let value = HeaderValue::from_static;
    let disposition = HeaderValue::try_from(disposition(name)).expect("visible ASCII characters make a header");
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, value(media_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, value("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
    ])
}

/// RFC 6266: the name in ASCII for who knows no other, and whole as RFC 8187 writes it.
fn disposition(name: &str) -> String {
    let is_plain =
        |letter: &char| letter.is_ascii() && !letter.is_ascii_control() && !matches!(letter, '"' | '\\' | '%');
    let plain: String = name.chars().filter(is_plain).collect();
    let mut whole = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => whole.push(char::from(byte)),
            _ => {
                let _ = write!(whole, "%{byte:02X}");
            }
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

/// A part of a file's name made from what people wrote: letters and digits of any script, everything else a dash. What
/// has none of them is called `otherwise`.
#[must_use]
pub fn file_stem(text: &str, otherwise: &str) -> String {
    let dashed = text.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' });
    let words: String = dashed.take(LONGEST_NAME).collect();
    let words: Vec<_> = words.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { otherwise.to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_whatever_it_was_made_from() {
        assert_eq!(file_stem("../../etc/passwd\r\nX: \"y\"", "chat"), "etc-passwd-X-y");
        assert_eq!(file_stem(" \u{202e}… ", "chat"), "chat");
        assert_eq!(file_stem(&"x".repeat(500), "chat").len(), LONGEST_NAME);
        let stem = file_stem("Réise 北京", "chat");
        assert_eq!(
            disposition(&format!("{stem}.md")),
            "attachment; filename=\"Rise-.md\"; filename*=UTF-8''R%C3%A9ise-%E5%8C%97%E4%BA%AC.md"
        );
    }

    #[test]
    fn a_name_that_somebody_else_made_stays_within_its_quotes() {
        assert_eq!(
            disposition("a\"b\\c; x=1 50%.png"),
            "attachment; filename=\"abc; x=1 50.png\"; filename*=UTF-8''a%22b%5Cc%3B%20x%3D1%2050%25.png"
        );
    }
}
