//! Plays a plan: piece by piece over a stream, or all at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};

use super::Sandbox;
use super::error::Fault;
use super::frame::{self, Framing, Part};
use super::journal::{Ended, Recorder};
use super::plan::{Plan, UsageAt};
use super::script::End;
use super::tokens;

/// The connection breaks here.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut by the sandbox")]
pub(super) struct Broken;

/// One answer being given. Dropped before its end, the journal says that the client hung up.
pub(super) struct Performance {
    sandbox: Arc<Sandbox>,
    recorder: Recorder,
    plan: Plan,
    framing: Framing,
    response_id: String,
    next: Step,
    completion: tokens::Counter,
}

#[derive(Clone, Copy)]
enum Step {
    Thought(usize),
    Word(usize),
    End,
    Usage,
    Close,
    Over,
}

impl Performance {
    pub(super) fn of(sandbox: Arc<Sandbox>, recorder: Recorder, plan: Plan, has_events: bool) -> Self {
        let framing = match (has_events, plan.bare_newlines) {
            (true, true) => Framing::Events { newline: "\n" },
            (true, false) => Framing::Events { newline: "\r\n" },
            (false, _) => Framing::Array { has_begun: false },
        };
        let response_id = format!("sandbox-{:08x}", recorder.id());
        Self {
            sandbox,
            recorder,
            plan,
            framing,
            response_id,
            next: Step::Thought(0),
            completion: tokens::Counter::default(),
        }
    }

    /// A stream: 200, then the pieces.
    pub(super) async fn stream(mut self) -> Result<Response, Response> {
        self.before_the_first().await?;
        let kind = match self.framing {
            Framing::Events { .. } => "text/event-stream",
            Framing::Array { .. } => "application/json; charset=UTF-8",
        };
        let pieces = stream::unfold(self, |mut performance| async move {
            let piece = performance.piece().await?;
            Some((piece, performance))
        });
        Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response())
    }

    /// One JSON object with all of it, at the time the stream would have ended.
    pub(super) async fn whole(mut self) -> Result<Response, Response> {
        self.before_the_first().await?;
        for at in 1..self.plan.chunks.len() {
            self.pace(at).await.map_err(IntoResponse::into_response)?;
        }
        let body = match self.plan.end.clone() {
            End::Error(fault) | End::BareError(fault) => {
                self.recorder.answers(fault.status);
                self.recorder.finishes(None, Ended::Refused);
                return Err(fault.into_response());
            }
            End::Hang => {
                self.recorder.stays(Ended::Hung);
                self.sandbox.stop.cancelled().await;
                return Err(Broken.into_response());
            }
            End::Cut => {
                let half =
                    stream::once(async { Ok(Bytes::from_static(b"{\"candidates\": [")) }).chain(stream::once(async {
                        written().await;
                        Err(Broken)
                    }));
                self.recorder.finishes(None, Ended::Cut);
                return Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(half)).into_response());
            }
            End::Finish | End::Silent => self.object(),
        };
        Ok(([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response())
    }

    /// Waits as planned before anything is said, and records the status.
    async fn before_the_first(&mut self) -> Result<(), Response> {
        if let Some(fault) = self.plan.refuse.take() {
            return Err(self.refuse(fault));
        }
        self.pause(self.plan.first_byte).await.map_err(IntoResponse::into_response)?;
        if self.plan.end == End::Hang && self.plan.chunks.is_empty() && self.plan.thoughts.is_empty() {
            self.recorder.stays(Ended::Hung);
            self.sandbox.stop.cancelled().await;
            return Err(Broken.into_response());
        }
        self.recorder.answers(200);
        Ok(())
    }

    fn refuse(&self, mut fault: Fault) -> Response {
        fault.array |= matches!(self.framing, Framing::Array { .. });
        self.recorder.answers(fault.status);
        self.recorder.finishes(None, Ended::Refused);
        fault.into_response()
    }

    /// The next bytes of the stream.
    async fn piece(&mut self) -> Option<Result<Bytes, Broken>> {
        let piece = self.step().await;
        if matches!(piece, Some(Err(_))) {
            written().await;
            self.recorder.finishes(None, Ended::Cut);
            self.next = Step::Over;
        }
        piece
    }

    async fn step(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            match self.next {
                Step::Thought(at) if at < self.plan.thoughts.len() => {
                    self.next = Step::Thought(at + 1);
                    return Some(self.thought(at).await);
                }
                Step::Thought(_) => {
                    self.next = if self.plan.block.is_some() { Step::End } else { Step::Word(0) };
                }
                Step::Word(at) if at < self.plan.chunks.len() => {
                    self.next = Step::Word(at + 1);
                    return Some(self.word(at).await);
                }
                Step::Word(at) => {
                    if let Err(broken) = self.pace(at).await {
                        return Some(Err(broken));
                    }
                    self.next = Step::End;
                }
                Step::End => return self.end().await,
                Step::Usage => {
                    self.next = Step::Close;
                    let json = frame::usage(&self.plan, &self.response_id, self.completion.total());
                    return Some(Ok(self.framing.wrap(&json)));
                }
                Step::Close => {
                    self.next = Step::Over;
                    let reason = (self.plan.end == End::Finish).then_some(self.plan.finish.as_str());
                    self.recorder.finishes(reason, if reason.is_some() { Ended::Finished } else { Ended::Cut });
                    return self.framing.close().map(Ok);
                }
                Step::Over => return None,
            }
        }
    }

    async fn thought(&mut self, at: usize) -> Result<Bytes, Broken> {
        self.pause(if at == 0 { Duration::ZERO } else { self.plan.word }).await?;
        let text = &self.plan.thoughts[at];
        self.recorder.thinks(text);
        let json = frame::piece(&self.plan, &self.response_id, &[Part { text, thought: true }], 0, false);
        Ok(self.framing.wrap(&json))
    }

    async fn word(&mut self, at: usize) -> Result<Bytes, Broken> {
        self.pace(at).await?;
        let text = &self.plan.chunks[at];
        self.completion.push(text);
        let is_last = self.plan.finish_with_text && self.plan.end == End::Finish && at + 1 == self.plan.chunks.len();
        let parts = [Part { text, thought: false }];
        let json = frame::piece(&self.plan, &self.response_id, &parts, self.completion.total(), is_last);
        self.recorder.sends(text);
        if is_last {
            self.next = self.after_the_finish();
        }
        Ok(self.framing.wrap(&json))
    }

    async fn end(&mut self) -> Option<Result<Bytes, Broken>> {
        if let Some(reason) = self.plan.block.take() {
            self.next = Step::Over;
            self.recorder.finishes(Some(&reason), Ended::Blocked);
            let mut bytes = self.framing.wrap(&frame::block(&self.plan, &self.response_id, &reason)).to_vec();
            bytes.extend(self.framing.close().unwrap_or_default());
            return Some(Ok(bytes.into()));
        }
        match &self.plan.end {
            End::Finish => {
                self.next = self.after_the_finish();
                let json = frame::piece(&self.plan, &self.response_id, &[], self.completion.total(), true);
                Some(Ok(self.framing.wrap(&json)))
            }
            End::Silent => {
                self.next = Step::Over;
                self.recorder.finishes(None, Ended::Cut);
                self.framing.close().map(Ok)
            }
            End::Cut => Some(Err(Broken)),
            End::Hang => {
                self.recorder.stays(Ended::Hung);
                self.sandbox.stop.cancelled().await;
                Some(Err(Broken))
            }
            End::Error(fault) => {
                self.next = Step::Over;
                self.recorder.finishes(None, Ended::Failed);
                Some(Ok(self.framing.wrap(fault.value().to_string().as_bytes())))
            }
            End::BareError(fault) => {
                self.next = Step::Over;
                self.recorder.finishes(None, Ended::Failed);
                Some(Ok(Framing::bare(fault)))
            }
        }
    }

    fn after_the_finish(&self) -> Step {
        if self.plan.usage == UsageAt::Last { Step::Usage } else { Step::Close }
    }

    /// The whole answer as one object.
    fn object(&mut self) -> Vec<u8> {
        if let Some(reason) = self.plan.block.take() {
            self.recorder.finishes(Some(&reason), Ended::Blocked);
            return frame::block(&self.plan, &self.response_id, &reason);
        }
        let (thought, text) = (self.plan.thoughts.concat(), self.plan.chunks.concat());
        let parts = [Part { text: &thought, thought: true }, Part { text: &text, thought: false }];
        let parts = &parts[usize::from(thought.is_empty())..parts.len() - usize::from(text.is_empty())];
        let is_last = self.plan.end == End::Finish;
        let json = frame::piece(&self.plan, &self.response_id, parts, tokens::count(&text), is_last);
        self.recorder.thinks(&thought);
        self.recorder.sends(&text);
        let reason = is_last.then_some(self.plan.finish.as_str());
        self.recorder.finishes(reason, if is_last { Ended::Finished } else { Ended::Cut });
        json
    }

    /// What lies before the word `at`: a release when it is held there, and the time between words.
    async fn pace(&self, at: usize) -> Result<(), Broken> {
        if self.plan.hold == Some(at) {
            let mut releases = self.sandbox.releases.subscribe();
            self.recorder.stays(Ended::Held);
            tokio::select! {
                _ = releases.changed() => self.recorder.stays(Ended::Open),
                () = self.sandbox.stop.cancelled() => return Err(Broken),
            }
        }
        let is_between = at > 0 && at < self.plan.chunks.len();
        self.pause(if is_between { self.plan.word } else { Duration::ZERO }).await
    }

    async fn pause(&self, span: Duration) -> Result<(), Broken> {
        if span.is_zero() {
            // A huge answer must leave the others their turn.
            tokio::task::coop::consume_budget().await;
            return if self.sandbox.stop.is_cancelled() { Err(Broken) } else { Ok(()) };
        }
        tokio::select! {
            () = tokio::time::sleep(span) => Ok(()),
            () = self.sandbox.stop.cancelled() => Err(Broken),
        }
    }
}

/// Lets the connection write what it was given: one whose body fails throws its buffer away.
async fn written() {
    tokio::task::yield_now().await;
}

impl IntoResponse for Broken {
    /// For what is broken off before a status was sent.
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, [(header::CONNECTION, "close")], self.to_string()).into_response()
    }
}
