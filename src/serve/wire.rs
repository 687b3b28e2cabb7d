//! A client's connection as hyper sees it: it gives up on a client that takes nothing of its answer, and keeps back what
//! hyper says by itself of a request that is none (a bare status), so that a problem can be said instead.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long a client may take nothing of what waits for it. The system tells only of larger pieces, so that very little is
/// as good as nothing. A stream of events that has nothing to say is not meant: there nothing waits.
pub(super) const STALL_TIME: Duration = Duration::from_mins(1);

/// All that was said is on its way, and nobody is being answered.
const CLEAR: u8 = 0;
const ANSWERING: u8 = 1;
/// The answer is whole, though the end of it may still wait to be sent.
const ANSWERED: u8 = 2;

/// Where a conversation stands, known to the connection and to whoever answers on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<AtomicU8>);

impl Turn {
    /// Until the answer has been given whole to hyper, what is sent is part of it.
    pub(super) fn begin(&self) -> Answering {
        self.0.store(ANSWERING, SeqCst);
        Answering(self.clone())
    }

    pub(super) fn is_clear(&self) -> bool {
        self.0.load(SeqCst) == CLEAR
    }

    fn flushed(&self) {
        // Whichever state it is in otherwise, it stays.
        let _ = self.0.compare_exchange(ANSWERED, CLEAR, SeqCst, SeqCst);
    }
}

/// Held while somebody is being answered.
#[derive(Debug)]
pub(super) struct Answering(Turn);

impl Answering {
    /// The answer, with which the turn ends.
    pub(super) fn with(self, response: Response) -> Response {
        response.map(|body| Body::new(Answer { body, _answering: self }))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.store(ANSWERED, SeqCst);
    }
}

struct Answer {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    turn: Turn,
    /// What hyper said by itself.
    kept_back: Vec<u8>,
    /// Since something waits for the client to take it.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, turn: Turn) -> Self {
        Self { stream, turn, kept_back: Vec::new(), stalled: None }
    }

    pub(super) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.kept_back)
    }

    /// Passes on what a write came to, unless it has waited too long.
    fn in_time<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_TIME)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.turn.is_clear() {
            for piece in pieces {
                self.kept_back.extend_from_slice(piece);
            }
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.turn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
