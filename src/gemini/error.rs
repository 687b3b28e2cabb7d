//! What can go wrong with Gemini, judged once: may it be tried again, from when on, what is the reader told.

use std::time::Duration;

use super::{BlockReason, Refusal};
use crate::clock::Moment;

/// `Display` is for operators and logs; [`Error::message`] is for the person who waits for an answer.
/// Neither carries a key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No connection came about, or it broke before an answer began.
    #[error("Gemini cannot be reached: {0}")]
    Unreachable(String),
    #[error("Gemini was given up on: {0}")]
    TimedOut(Waited),
    /// The answer stopped without saying that it was over: what came of it is not an answer.
    #[error("Gemini's answer was cut off: {0}")]
    Cut(String),
    /// Gemini will not answer this prompt. Not a failure of HTTP, and asking again does not help.
    #[error("Gemini blocked the prompt ({})", .0.as_str())]
    Blocked(BlockReason),
    /// Gemini answered with an error, at once or in the middle of its answer.
    #[error("Gemini refused: {0}")]
    Refused(Box<Refusal>),
}

/// What was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Waited {
    #[error("no answer began within {0:?}")]
    FirstByte(Duration),
    #[error("the answer stood still for {0:?}")]
    Idle(Duration),
    #[error("the answer was not over after {0:?}")]
    Whole(Duration),
}

impl Error {
    /// Whether the same request may succeed later. Gemini has no idempotency: trying again may cost the operator twice.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Cut(_) => true,
            Self::Blocked(_) => false,
            Self::Refused(refusal) => refusal.is_passing(),
        }
    }

    /// Whether there is no such model (any more): asking it again is of no use.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// Whether the model has too much to do, so that another one may answer sooner.
    pub fn is_overload(&self) -> bool {
        matches!(self, Self::Refused(refusal) if matches!(refusal.status, 429 | 503))
    }

    /// The moment before which Gemini does not want to be asked again; None: when to try is the caller's own rule.
    /// It may lie far off, when a day's quota is spent.
    pub fn not_before(&self, now: Moment) -> Option<Moment> {
        match self {
            Self::Refused(refusal) if refusal.is_passing() => refusal.not_before(now),
            Self::Refused(_) | Self::Unreachable(_) | Self::TimedOut(_) | Self::Cut(_) | Self::Blocked(_) => None,
        }
    }

    /// A stable word for clients to switch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "upstream_unavailable",
            Self::TimedOut(_) => "upstream_timeout",
            Self::Cut(_) => "upstream_cut",
            Self::Blocked(BlockReason::Safety) => "blocked_safety",
            Self::Blocked(BlockReason::Blocklist) => "blocked_blocklist",
            Self::Blocked(BlockReason::ProhibitedContent) => "blocked_prohibited_content",
            Self::Blocked(BlockReason::ImageSafety) => "blocked_image_safety",
            Self::Blocked(BlockReason::Other) => "blocked_other",
            Self::Refused(refusal) => refusal.code(),
        }
    }

    /// One plain sentence, without anything of the operator's.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "The model cannot be reached at the moment.",
            Self::TimedOut(_) => "The model took too long to answer.",
            Self::Cut(_) => "The model's answer was cut off.",
            Self::Blocked(BlockReason::Safety | BlockReason::ImageSafety) => {
                "The model does not answer this message for safety reasons."
            }
            Self::Blocked(BlockReason::Blocklist) => "The model does not answer messages with some of these words.",
            Self::Blocked(BlockReason::ProhibitedContent) => "The model does not answer messages with such content.",
            Self::Blocked(BlockReason::Other) => "The model does not answer this message.",
            Self::Refused(refusal) => refusal.plain(),
        }
    }

    pub(super) fn unreachable(error: &reqwest::Error) -> Self {
        Self::Unreachable(causes(error))
    }

    pub(super) fn broken(error: &reqwest::Error) -> Self {
        Self::Cut(causes(error))
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// The chain of causes without reqwest's first link, which repeats the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let word = error.to_string();
        if !words.iter().any(|said| said.contains(&word)) {
            words.push(word);
        }
        cause = error.source();
    }
    if words.is_empty() { "the connection failed".to_owned() } else { words.join(": ") }
}
