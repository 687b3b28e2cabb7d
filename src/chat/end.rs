//! The end of a reply: text, usage, status, prompt and job in one transaction, fenced by the attempt.

use std::time::Duration;

use super::{Fault, Usage, search, sql};
use crate::app::App;
use crate::billing::{self, Tokens};
use crate::clock::Moment;
use crate::ids::{MessageId, UserId};
use crate::jobs::{self, Claim, EndError};
use crate::store::{self, Tx};

/// Between two tries to store an end while the database is away; the lease bounds how long that goes on.
const DATABASE_PAUSE: Duration = Duration::from_millis(250);

/// What became of one attempt.
#[derive(Debug)]
pub(super) enum Verdict {
    Complete {
        text: String,
        finish_reason: &'static str,
        model: String,
    },
    Failed {
        fault: Fault,
    },
    /// It is wanted no more.
    Cancelled,
    /// A fault that this or another model may get over: due again.
    Retry {
        fault: Fault,
        due: Moment,
        /// The model to ask then, when it is not the room's own.
        fallback: Option<String>,
    },
    /// The model may not be asked before then: due again, and nothing was done in vain.
    Wait {
        fault: Fault,
        due: Moment,
        fallback: Option<String>,
    },
    /// This process ends.
    HandBack,
    /// The reply is not there, or has its end already.
    Gone,
}

impl Verdict {
    pub(super) fn failed(code: &str, message: &str, retryable: bool) -> Self {
        Self::Failed { fault: Fault::new(code, message, retryable) }
    }

    /// What the reply says from now on, or would if it turned out to be cancelled meanwhile.
    fn text<'a>(&'a self, seen: Seen<'a>) -> &'a str {
        match self {
            Self::Complete { text, .. } => text,
            Self::Failed { .. } | Self::Gone => "",
            Self::Cancelled | Self::Retry { .. } | Self::Wait { .. } | Self::HandBack => seen.text,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::Retry { .. } => "retried",
            Self::Wait { .. } => "held",
            Self::HandBack => "handed_back",
            Self::Gone => "gone",
        }
    }

    /// Whether the reply ends without having cost a prompt.
    const fn is_free(&self, seen: Seen<'_>) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Cancelled => seen.text.is_empty(),
            _ => false,
        }
    }
}

/// What readers have seen of an attempt: all that is left of it if it is cancelled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen<'a> {
    pub text: &'a str,
    pub model: Option<&'a str>,
}

/// Stores the verdict and what was spent, again and again while the database is away. Tokens count for the operator
/// whatever came of them. Of a reply that was to be tried again but is cancelled meanwhile, this is the end. The outcome's
/// name.
///
/// # Errors
/// When the claim is in other hands; then nothing else was written.
pub(super) async fn settle(
    app: &App,
    claim: &Claim,
    reply: MessageId,
    verdict: &Verdict,
    seen: Seen<'_>,
    usage: Option<Usage>,
) -> Result<&'static str, EndError> {
    let outcome = loop {
        match settle_once(app, claim, reply, verdict, seen, usage).await {
            Err(EndError::Store(store::Error::Unavailable(cause))) => {
                tracing::warn!(%cause, %reply, "the end of a reply waits for the database");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            Ok(outcome) => break outcome,
            Err(EndError::Lost) => {
                count_for_nothing(app, claim, usage).await;
                return Err(EndError::Lost);
            }
            Err(other) => return Err(other),
        }
    };
    metrics::counter!("replies_total", "outcome" => outcome).increment(1);
    if let Some(usage) = usage {
        count_tokens(usage);
    }
    if let Verdict::Failed { fault, .. } = verdict {
        tracing::warn!(%reply, attempt = claim.attempt, code = fault.code, "a reply failed");
    }
    app.live.ring_for_jobs();
    Ok(outcome)
}

/// The room was deleted under the reply, or somebody else has it: what was spent is spent all the same.
pub(super) async fn count_for_nothing(app: &App, claim: &Claim, usage: Option<Usage>) {
    let (Some(usage), Some((owner, _))) = (usage, claim.lane) else { return };
    let day = app.clock.now().day();
    let counted: store::Result<()> = crate::transaction!(app.store, |tx| {
        // Nothing is kept of a person who is gone.
        if jobs::lock(tx, owner).await?.is_some() {
            billing::count_tokens(tx, owner, &day, Tokens::from(usage)).await?;
        }
        Ok(())
    });
    match counted {
        Ok(()) => count_tokens(usage),
        Err(cause) => tracing::warn!(job = %claim.id, %cause, "tokens that were spent in vain were not counted"),
    }
}

fn count_tokens(usage: Usage) {
    let kinds =
        [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens), ("thoughts", usage.thought_tokens)];
    for (kind, tokens) in kinds {
        metrics::counter!("gemini_tokens_total", "kind" => kind).increment(u64::try_from(tokens).unwrap_or(0));
    }
}

async fn settle_once(
    app: &App,
    claim: &Claim,
    reply: MessageId,
    verdict: &Verdict,
    seen: Seen<'_>,
    usage: Option<Usage>,
) -> Result<&'static str, EndError> {
    let now = app.clock.now();
    let Some((owner, room)) = claim.lane else { return Err(EndError::Lost) };
    let terms = Some(verdict.text(seen)).filter(|text| !text.is_empty()).map(|text| search::Terms::of(owner, text));
    crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, owner).await?.ok_or(EndError::Lost)?;
        if let Some(usage) = usage {
            billing::count_tokens(tx, owner, &now.day(), Tokens::from(usage)).await?;
        }
        let again = matches!(verdict, Verdict::Retry { .. } | Verdict::Wait { .. } | Verdict::HandBack);
        let is_cancelled = again && sql::is_cancel_requested(tx, reply).await?;
        let verdict = if is_cancelled { &Verdict::Cancelled } else { verdict };
        match verdict {
            Verdict::Complete { .. } | Verdict::Failed { .. } | Verdict::Cancelled => {
                let refunded_at = if verdict.is_free(seen) { give_back(tx, owner, reply, now).await? } else { None };
                store_reply(tx, claim, verdict, seen, usage, (refunded_at, queue.rev, now)).await?;
            }
            Verdict::Retry { fault, due, fallback } | Verdict::Wait { fault, due, fallback } => {
                // Readers learn of the wait by the room's rev.
                if sql::raise_rev(tx, room, queue.rev).await? {
                    sql::set_waiting(tx, reply, queue.rev, fallback.as_deref()).await?;
                }
                let note = fault.to_note();
                match verdict {
                    Verdict::Wait { .. } => jobs::wait(tx, &queue, app.node, claim, *due, &note).await?,
                    _ => jobs::retry(tx, &queue, app.node, claim, *due, &note).await?,
                }
                return Ok(verdict.name());
            }
            Verdict::HandBack => {
                jobs::hand_back(tx, &queue, app.node, claim, now).await?;
                return Ok(verdict.name());
            }
            Verdict::Gone => {}
        }
        let is_kept = matches!(verdict, Verdict::Complete { .. } | Verdict::Cancelled);
        if let Some(terms) = terms.as_ref().filter(|_| is_kept) {
            search::index(tx, reply, terms).await?;
        }
        jobs::finish(tx, &queue, app.node, claim, now).await?;
        Ok(verdict.name())
    })
}

/// Gives a reply's prompt back to the day it was taken from, unless it was before; when, for its row.
pub(super) async fn give_back(
    tx: &mut Tx,
    owner: UserId,
    reply: MessageId,
    now: Moment,
) -> store::Result<Option<Moment>> {
    let day = sql::charged_day(tx, reply).await?;
    if let Some(day) = &day {
        billing::give_back(tx, owner, day).await?;
    }
    Ok(day.map(|_| now))
}

/// Room and message, in the order of the locks; the prompt of a reply without an answer went back before.
async fn store_reply(
    tx: &mut Tx,
    claim: &Claim,
    verdict: &Verdict,
    seen: Seen<'_>,
    usage: Option<Usage>,
    (refunded_at, rev, now): (Option<Moment>, i64, Moment),
) -> Result<(), EndError> {
    let Some((_, room)) = claim.lane else { return Err(EndError::Lost) };
    if !sql::raise_rev(tx, room, rev).await? {
        return Err(EndError::Lost);
    }
    let blank = |status| sql::Ending { usage, refunded_at, ..sql::Ending::blank(status, claim.attempt, rev) };
    let ending = match verdict {
        Verdict::Complete { text, finish_reason, model, .. } => {
            sql::Ending { content: text, finish_reason: Some(finish_reason), model: Some(model), ..blank("complete") }
        }
        Verdict::Failed { fault, .. } => sql::Ending { error: Some(fault), ..blank("failed") },
        Verdict::Cancelled => sql::Ending {
            content: seen.text,
            model: seen.model.filter(|_| !seen.text.is_empty()),
            ..blank("cancelled")
        },
        Verdict::Retry { .. } | Verdict::Wait { .. } | Verdict::HandBack | Verdict::Gone => return Ok(()),
    };
    if sql::end_reply(tx, MessageId(claim.id.0), &ending, now).await? { Ok(()) } else { Err(EndError::Lost) }
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens,
            thoughts: usage.thought_tokens,
            total: usage.total_tokens,
        }
    }
}

impl Fault {
    pub(super) fn new(code: impl Into<String>, message: impl Into<String>, retryable: bool) -> Self {
        Self { code: code.into(), message: message.into(), retryable }
    }

    /// As a waiting job keeps it.
    fn to_note(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }

    /// The fault a job waits out.
    pub(super) fn from_note(note: String) -> Self {
        match note.split_once(": ") {
            Some((code, message)) => Self::new(code, message, true),
            None => Self::new(note, "", true),
        }
    }
}
