//! A response as it comes in, with the limits on waiting for it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{RequestBuilder, Response};
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;
use super::{Client, Error, Waited};

/// Error bodies are small; what is longer is somebody's web page.
const LONGEST_ERROR: usize = 64 * 1024;
/// After the finish reason only a count can follow; it is not worth more than this.
const AFTER_THE_END: Duration = Duration::from_secs(3);

/// A body whose status was good.
#[derive(Debug)]
pub(super) struct Incoming {
    client: Client,
    /// None once it is over or hung up.
    response: Option<Response>,
    asked_at: Instant,
    has_begun: bool,
    /// Since when the next bytes are waited for. Kept between calls, so that a caller that asks again and again
    /// does not push the limit before it.
    waiting_since: Option<Instant>,
}

impl Incoming {
    /// Sends a request and waits for a good status.
    pub(super) async fn open(client: &Client, request: RequestBuilder) -> Result<Self, Error> {
        let asked_at = Instant::now();
        let first_byte = client.timeouts.first_byte;
        let response = timeout_at(asked_at + first_byte, request.send())
            .await
            .map_err(|_| Error::TimedOut(Waited::FirstByte(first_byte)))?
            .map_err(|error| Error::unreachable(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut incoming =
            Self { client: client.clone(), response: Some(response), asked_at, has_begun: false, waiting_since: None };
        if status.is_success() {
            return Ok(incoming);
        }
        // The status says enough when the body does not come.
        let body = incoming.collect(LONGEST_ERROR).await.unwrap_or_default();
        Err(Error::refused(Refusal::of_response(status, &headers, &body, client.key())))
    }

    /// The next bytes, None at the end. Safe to drop and call again.
    pub(super) async fn next(&mut self, is_finished: bool) -> Result<Option<Bytes>, Error> {
        let (until, waited) = self.limit(is_finished);
        let Some(response) = &mut self.response else { return Ok(None) };
        let bytes = timeout_at(until, response.chunk())
            .await
            .map_err(|_| Error::TimedOut(waited))?
            .map_err(|error| Error::broken(&error))?;
        self.waiting_since = None;
        self.has_begun = true;
        if bytes.is_none() {
            self.hang_up();
        }
        Ok(bytes)
    }

    /// The whole body, or as much as is allowed.
    pub(super) async fn collect(&mut self, longest: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(bytes) = self.next(false).await? {
            body.extend_from_slice(&bytes);
            if body.len() > longest {
                body.truncate(longest);
                break;
            }
        }
        Ok(body)
    }

    pub(super) fn is_over(&self) -> bool {
        self.response.is_none()
    }

    /// Closes the connection.
    pub(super) fn hang_up(&mut self) {
        self.response = None;
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.client.key()
    }

    /// When waiting for the next bytes ends, and what it was for.
    fn limit(&mut self, is_finished: bool) -> (Instant, Waited) {
        let timeouts = &self.client.timeouts;
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let next = if self.has_begun {
            let idle = if is_finished { timeouts.idle.min(AFTER_THE_END) } else { timeouts.idle };
            (since + idle, Waited::Idle(idle))
        } else {
            (self.asked_at + timeouts.first_byte, Waited::FirstByte(timeouts.first_byte))
        };
        let whole = (self.asked_at + timeouts.whole, Waited::Whole(timeouts.whole));
        if whole.0 < next.0 { whole } else { next }
    }
}
