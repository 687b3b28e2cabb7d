//! The end of a reply: text, usage, status, prompt and job in one transaction, fenced by the attempt.

use std::time::Duration;

use super::{Fault, Usage, search, sql};
use crate::app::App;
use crate::billing::{self, Tokens};
use crate::clock::Moment;
use crate::ids::MessageId;
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

    /// What the reply says from now on.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Complete { text, .. } => Some(text),
            Self::Failed { .. } | Self::Retry { .. } | Self::Wait { .. } | Self::HandBack | Self::Gone => None,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::Failed { .. } => "failed",
            Self::Retry { .. } => "retried",
            Self::Wait { .. } => "held",
            Self::HandBack => "handed_back",
            Self::Gone => "gone",
        }
    }
}

/// Stores the verdict and what was spent, again and again while the database is away. Tokens count for the operator
/// whatever came of them.
///
/// # Errors
/// When the claim is in other hands; then nothing else was written.
pub(super) async fn settle(
    app: &App,
    claim: &Claim,
    reply: MessageId,
    verdict: &Verdict,
    usage: Option<Usage>,
) -> Result<(), EndError> {
    loop {
        match settle_once(app, claim, reply, verdict, usage).await {
            Err(EndError::Store(store::Error::Unavailable(cause))) => {
                tracing::warn!(%cause, %reply, "the end of a reply waits for the database");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            Ok(()) => break,
            Err(EndError::Lost) => {
                count_for_nothing(app, claim, usage).await;
                return Err(EndError::Lost);
            }
            Err(other) => return Err(other),
        }
    }
    metrics::counter!("replies_total", "outcome" => verdict.name()).increment(1);
    if let Some(usage) = usage {
        count_tokens(usage);
    }
    if let Verdict::Failed { fault, .. } = verdict {
        tracing::warn!(%reply, attempt = claim.attempt, code = fault.code, "a reply failed");
    }
    app.live.ring_for_jobs();
    Ok(())
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
    usage: Option<Usage>,
) -> Result<(), EndError> {
    let now = app.clock.now();
    let Some((owner, room)) = claim.lane else { return Err(EndError::Lost) };
    let terms = verdict.text().map(|text| search::Terms::of(owner, text));
    crate::transaction!(app.store, |tx| {
        let queue = jobs::lock(tx, owner).await?.ok_or(EndError::Lost)?;
        if let Some(usage) = usage {
            billing::count_tokens(tx, owner, &now.day(), Tokens::from(usage)).await?;
        }
        match verdict {
            Verdict::Complete { .. } => store_reply(tx, claim, reply, verdict, usage, None, now).await?,
            Verdict::Failed { .. } => {
                let day = sql::charged_day(tx, reply).await?;
                if let Some(day) = &day {
                    billing::give_back(tx, owner, day).await?;
                }
                store_reply(tx, claim, reply, verdict, usage, day.map(|_| now), now).await?;
            }
            Verdict::Retry { fault, due, fallback } | Verdict::Wait { fault, due, fallback } => {
                // Readers learn of the wait by the room's rev.
                if let Some(rev) = sql::raise_rev(tx, room).await? {
                    sql::set_waiting(tx, reply, rev, fallback.as_deref()).await?;
                }
                let note = fault.to_note();
                return match verdict {
                    Verdict::Wait { .. } => jobs::wait(tx, &queue, app.node, claim, *due, &note).await,
                    _ => jobs::retry(tx, &queue, app.node, claim, *due, &note).await,
                };
            }
            Verdict::HandBack => return jobs::hand_back(tx, &queue, app.node, claim, now).await,
            Verdict::Gone => {}
        }
        if let Some(terms) = &terms {
            search::index(tx, reply, terms).await?;
        }
        jobs::finish(tx, &queue, app.node, claim, now).await
    })
}

/// Room and message, in the order of the locks; the prompt of a reply without an answer went back before.
async fn store_reply(
    tx: &mut Tx,
    claim: &Claim,
    reply: MessageId,
    verdict: &Verdict,
    usage: Option<Usage>,
    refunded_at: Option<Moment>,
    now: Moment,
) -> Result<(), EndError> {
    let Some((_, room)) = claim.lane else { return Err(EndError::Lost) };
    let rev = sql::raise_rev(tx, room).await?.ok_or(EndError::Lost)?;
    let blank = sql::Ending {
        status: "failed",
        content: "",
        finish_reason: None,
        model: None,
        usage,
        error: None,
        refunded_at,
        attempt: claim.attempt,
        rev,
    };
    let ending = match verdict {
        Verdict::Complete { text, finish_reason, model, .. } => sql::Ending {
            status: "complete",
            content: text,
            finish_reason: Some(finish_reason),
            model: Some(model),
            ..blank
        },
        Verdict::Failed { fault, .. } => sql::Ending { error: Some(fault), ..blank },
        Verdict::Retry { .. } | Verdict::Wait { .. } | Verdict::HandBack | Verdict::Gone => return Ok(()),
    };
    if sql::end_reply(tx, reply, &ending, now).await? { Ok(()) } else { Err(EndError::Lost) }
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
