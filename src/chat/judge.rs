//! What follows from what Gemini said: an answer, a failure, or another try later.

use std::time::Duration;

use super::attachments::Unreadable;
use super::end::Verdict;
use super::fallback::Line;
use super::{Fault, Usage};
use crate::clock::Moment;
use crate::gemini::{self, FinishReason, Outcome};
use crate::jobs::{Claim, MOST_FAULTS};

/// From its first claim a reply has this long, waits included.
const PATIENCE: Duration = Duration::from_mins(10);

/// An answer that came to its end. Without a word it is no answer, whatever the reason, and costs nothing.
pub(super) fn finished(text: String, outcome: Outcome, asked: String) -> Verdict {
    if !text.is_empty() {
        return complete(text, outcome.finish_reason, outcome.model_version.unwrap_or(asked));
    }
    let fault = match outcome.finish_reason {
        FinishReason::Stop => Fault::new("answer_empty", "The model had nothing to say.", true),
        FinishReason::MaxTokens => {
            Fault::new("answer_empty", "The model used up its tokens before the first word.", true)
        }
        reason => Fault::new("blocked", format!("The answer was withheld ({}).", reason.as_str()), false),
    };
    Verdict::Failed { fault }
}

pub(super) fn complete(text: String, reason: FinishReason, model: String) -> Verdict {
    Verdict::Complete { text, finish_reason: reason.as_str(), model }
}

/// The last moment at which a reply may be asked for.
pub(super) fn last(claim: &Claim) -> Moment {
    claim.first_claimed_at.plus(PATIENCE)
}

/// What follows from a model that may not be asked now: waiting is no fault. One that is held for longer than the reply
/// can wait is as good as asked.
pub(super) fn held(claim: &Claim, line: &Line, held: &gemini::Held, now: Moment) -> Verdict {
    if held.due > last(claim) {
        return follows(claim, line, &held.error, held.due, now);
    }
    Verdict::Wait { fault: fault(&held.error), due: held.due, fallback: line.fallback() }
}

/// What follows from a fault of Gemini's. `place` is when the model may be asked again, if it spoke of a limit.
pub(super) fn refused(
    claim: &Claim,
    line: &Line,
    error: &gemini::Error,
    place: Option<Moment>,
    now: Moment,
) -> Verdict {
    // Only the code: what Gemini says may quote the conversation.
    tracing::info!(job = %claim.id, attempt = claim.attempt, model = line.model(), code = error.code(), "Gemini did not answer");
    metrics::counter!("gemini_errors_total", "code" => error.code()).increment(1);
    let due = error.not_before(now).unwrap_or_else(|| now.plus(pause(claim.faults)));
    follows(claim, line, error, place.map_or(due, |place| place.max(due)), now)
}

/// What follows when a question's files cannot be had: lost ones do not come back; others are waited for as Gemini is.
pub(super) fn unreadable(claim: &Claim, line: &Line, why: &Unreadable, now: Moment) -> Verdict {
    if matches!(why, Unreadable::Lost) {
        return Verdict::failed("attachment_lost", "A file that goes with the message is lost.", false);
    }
    let fault = Fault::new("storage_unavailable", "The message's files cannot be reached.", true);
    let due = now.plus(pause(claim.faults));
    if claim.faults < MOST_FAULTS && due <= last(claim) {
        Verdict::Retry { fault, due, fallback: line.fallback() }
    } else {
        Verdict::Failed { fault }
    }
}

fn fault(error: &gemini::Error) -> Fault {
    Fault::new(error.code(), error.message(), error.is_passing())
}

fn follows(claim: &Claim, line: &Line, error: &gemini::Error, due: Moment, now: Moment) -> Verdict {
    let fault = fault(error);
    match again(claim, line, error, due, now).filter(|_| claim.faults < MOST_FAULTS) {
        Some((due, line)) => Verdict::Retry { fault, due, fallback: line.fallback() },
        None => Verdict::Failed { fault },
    }
}

/// When to ask again, and whom; `due` is when this one can be asked. None: that is the end, and the prompt goes back.
fn again(claim: &Claim, line: &Line, error: &gemini::Error, due: Moment, now: Moment) -> Option<(Moment, Line)> {
    let last = last(claim);
    let is_in_time = error.is_passing() && due <= last;
    let (due, line) = if error.is_gone() || (error.is_overload() && !is_in_time) {
        // Another one has nothing to wait for.
        (now, line.past(claim.faults)?)
    } else if error.is_overload() && claim.faults > 0 {
        (due, line.next().unwrap_or_else(|| line.clone()))
    } else if is_in_time {
        (due, line.clone())
    } else {
        return None;
    };
    (due <= last).then_some((due, line))
}

/// 2, 4, 8, 16, 32 seconds: an upstream that is away for a minute costs no answer.
pub(super) fn pause(faults: i64) -> Duration {
    Duration::from_secs(2 << faults.clamp(0, 4))
}

impl From<gemini::Usage> for Usage {
    fn from(usage: gemini::Usage) -> Self {
        let whole = |tokens| i64::try_from(tokens).unwrap_or(i64::MAX);
        Self {
            prompt_tokens: whole(usage.prompt),
            completion_tokens: whole(usage.completion),
            thought_tokens: whole(usage.thoughts),
            total_tokens: whole(usage.total),
        }
    }
}
