//! The end of a reply: text, usage, status, prompt and job in one transaction, fenced by the attempt.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ask::Asked;
use super::{Fault, Usage, search, sql};
use crate::app::App;
use crate::billing::{self, Tokens};
use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId, MessageId, UserId};
use crate::jobs::{self, Claim, EndError, Job, Settled};
use crate::store::{self, Tx};

/// Between two tries to store an end while the database is away; the lease bounds how long that goes on: who has lost it
/// tries once more, for it may have been an end of its own that took the job away.
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

    /// The outcome of a whole answer.
    pub(super) const COMPLETE: &'static str = "complete";

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Complete { .. } => Self::COMPLETE,
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
    thoughts: Option<&'a str>,
    receipt: Option<&'a str>,
    fallback_for: Option<&'a str>,
    is_outgrown: bool,
}

impl<'a> Seen<'a> {
    pub(super) fn of(asked: &'a Asked) -> Self {
        Self {
            text: &asked.text,
            model: asked.model.as_deref(),
            thoughts: Some(asked.thoughts.as_str()).filter(|thoughts| !thoughts.is_empty()),
            receipt: asked.receipt.as_deref(),
            fallback_for: asked.fallback_for.as_deref(),
            is_outgrown: asked.is_outgrown,
        }
    }
}

/// Stores the verdict and what was spent, again and again while the database is away. Tokens count for the operator
/// whatever came of them. Of a reply that was to be tried again but is cancelled meanwhile, this is the end. The outcome's
/// name.
///
/// # Errors
/// When the claim is in other hands; then nothing else was written. When the database stays away and the claim is `lost`.
pub(super) async fn settle(
    app: &App,
    claim: &Claim,
    reply: MessageId,
    verdict: &Verdict,
    seen: Seen<'_>,
    usage: Option<Usage>,
    lost: &CancellationToken,
) -> Result<&'static str, EndError> {
    let mut is_unsure = false;
    let outcome = loop {
        let is_last = lost.is_cancelled();
        let settled = match settle_once(app, claim, reply, verdict, seen, usage).await {
            Err(EndError::Lost) if is_unsure => settled_before(app, claim, verdict).await,
            settled => settled,
        };
        match settled {
            Err(EndError::Store(store::Error::Unavailable(cause))) if !is_last => {
                tracing::warn!(%cause, %reply, "the end of a reply waits for the database");
                is_unsure = true;
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
        count_tokens(app, usage);
    }
    if let Verdict::Failed { fault, .. } = verdict {
        tracing::warn!(%reply, attempt = claim.attempt, code = fault.code, "a reply failed");
    }
    app.live.ring_for_jobs();
    Ok(outcome)
}

/// The outcome that an earlier try stored, of which only the answer to its commit was lost.
async fn settled_before(app: &App, claim: &Claim, verdict: &Verdict) -> Result<&'static str, EndError> {
    match (jobs::settled(&app.store, claim).await?, verdict) {
        // It was to be tried again, and was cancelled meanwhile.
        (Some(Settled::Ended), Verdict::Retry { .. } | Verdict::Wait { .. } | Verdict::HandBack) => {
            Ok(Verdict::Cancelled.name())
        }
        (Some(_), verdict) => Ok(verdict.name()),
        (None, _) => Err(EndError::Lost),
    }
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
        Ok(()) => count_tokens(app, usage),
        Err(cause) => tracing::warn!(job = %claim.id, %cause, "tokens that were spent in vain were not counted"),
    }
}

pub(super) fn count_tokens(app: &App, usage: Usage) {
    app.spent.add(usage.total_tokens);
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
                let is_untitled = store_reply(tx, claim, verdict, seen, usage, (refunded_at, queue.rev, now)).await?;
                if matches!(verdict, Verdict::Complete { .. }) {
                    let is_untitled = is_untitled && app.settings.gemini.chatroom_titles;
                    let is_outgrown = seen.is_outgrown && app.settings.gemini.context_summary;
                    follow_up(tx, (owner, room, reply), is_untitled, is_outgrown, now).await?;
                }
            }
            Verdict::Retry { fault, due, fallback } | Verdict::Wait { fault, due, fallback } => {
                // Readers learn of the wait by the room's rev.
                if sql::raise_rev(tx, room, queue.rev).await?.is_some() {
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

/// What a finished reply gives the model to do in the background.
async fn follow_up(
    tx: &mut Tx,
    (user, room, reply): (UserId, ChatroomId, MessageId),
    is_untitled: bool,
    is_outgrown: bool,
    now: Moment,
) -> store::Result<()> {
    if is_untitled {
        sql::note_titling(tx, room).await?;
        jobs::enqueue_house(tx, &Job::NameRoom { user, room, reply }, now).await?;
    }
    if is_outgrown {
        // One at a time for a room.
        jobs::keep_house(tx, JobId(room.0), &Job::Summarise { user, room, reply }, now).await?;
    }
    Ok(())
}

/// Room and message, in the order of the locks; the prompt of a reply without an answer went back before. Whether the room
/// has no name and nobody was asked for one.
async fn store_reply(
    tx: &mut Tx,
    claim: &Claim,
    verdict: &Verdict,
    seen: Seen<'_>,
    usage: Option<Usage>,
    (refunded_at, rev, now): (Option<Moment>, i64, Moment),
) -> Result<bool, EndError> {
    let Some((_, room)) = claim.lane else { return Err(EndError::Lost) };
    let is_untitled = sql::raise_rev(tx, room, rev).await?.ok_or(EndError::Lost)?;
    let blank = |status| sql::Ending {
        usage,
        refunded_at,
        receipt: seen.receipt,
        ..sql::Ending::blank(status, claim.attempt, rev)
    };
    let by_a_model = |status| sql::Ending { thoughts: seen.thoughts, fallback_for: seen.fallback_for, ..blank(status) };
    let ending = match verdict {
        Verdict::Complete { text, finish_reason, model, .. } => sql::Ending {
            content: text,
            finish_reason: Some(finish_reason),
            model: Some(model),
            ..by_a_model("complete")
        },
        Verdict::Failed { fault, .. } => sql::Ending { error: Some(fault), ..blank("failed") },
        Verdict::Cancelled if seen.text.is_empty() => blank("cancelled"),
        Verdict::Cancelled => sql::Ending { content: seen.text, model: seen.model, ..by_a_model("cancelled") },
        Verdict::Retry { .. } | Verdict::Wait { .. } | Verdict::HandBack | Verdict::Gone => return Ok(false),
    };
    let is_stored = sql::end_reply(tx, MessageId(claim.id.0), &ending, now).await?;
    is_stored.then_some(is_untitled).ok_or(EndError::Lost)
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
