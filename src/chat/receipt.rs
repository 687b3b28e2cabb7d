//! What the model saw: kept with each reply that was asked for, and shown with what was left out and why.
//!
//! Kept is only what cannot be read from the conversation later: which of its turns were sent, by their `seq`, what was
//! told beside them, and how long it was. The rest is the chain of the reply's ancestors, which never changes.

use serde::{Deserialize, Serialize};

use super::read::ReadError;
use super::sql::{self, Step};
use super::{Role, Thinking, Usage};
use crate::app::App;
use crate::ids::{ChatroomId, MessageId, UserId};

/// Ancestors read at a time.
const PAGE: i64 = 512;
/// Of what was left out, so many are named; all are counted.
pub const MOST_NAMED: usize = 200;

/// What one question was made of, as it is kept with its reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// The reply that the summary which was sent ends at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<MessageId>,
    /// The messages that were sent: runs of `seq`, first and last, ascending.
    pub sent: Vec<(i64, i64)>,
    pub limit: u64,
    pub estimated: u64,
    /// By `countTokens`, which is asked near the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<u64>,
}

impl Receipt {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a receipt is plain data")
    }

    fn has_sent(&self, seq: i64) -> bool {
        self.sent.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }
}

/// Ascending numbers as runs, first and last.
pub(super) fn runs(seqs: impl IntoIterator<Item = i64>) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for seq in seqs {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => runs.push((seq, seq)),
        }
    }
    runs
}

/// What the model was shown for one reply.
#[derive(Debug)]
pub struct Shown {
    pub reply: MessageId,
    pub model: String,
    pub system_instruction: Option<String>,
    pub thinking: Option<Thinking>,
    pub summary: Option<Summary>,
    /// Oldest first; the last is the question.
    pub sent: Vec<Turn>,
    /// Oldest first, the newest [`MOST_NAMED`].
    pub left_out: Vec<LeftOut>,
    pub left_out_count: u64,
    /// Tokens that fitted, our estimate of what was sent, and what Gemini counted before.
    pub limit: u64,
    pub estimated: u64,
    pub counted: Option<u64>,
    pub usage: Option<Usage>,
}

/// A message that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub id: MessageId,
    pub seq: i64,
    pub role: Role,
}

/// What was said before, in the model's words.
#[derive(Clone, Debug)]
pub struct Summary {
    pub text: String,
    /// The reply it ends at.
    pub ends_at: MessageId,
}

impl From<sql::Summary> for Summary {
    fn from(kept: sql::Summary) -> Self {
        Self { text: kept.content, ends_at: kept.message_id }
    }
}

/// All of a room's, in the order of what they end at.
pub async fn summaries(app: &App, room: ChatroomId) -> crate::store::Result<Vec<Summary>> {
    let kept = sql::summaries(&mut app.store.read().await?, room).await?;
    Ok(kept.into_iter().map(Summary::from).collect())
}

/// A message that was not sent.
#[derive(Clone, Copy, Debug)]
pub struct LeftOut {
    pub turn: Turn,
    pub reason: Reason,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LeftOutReason)]
pub enum Reason {
    /// It is older than what fitted.
    DidNotFit,
    /// The summary that was sent tells of it.
    Summarised,
    /// Its question got no answer, so it is no conversation.
    NotAnswered,
}

#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a person's message was not asked for")]
    NotAReply,
    #[error("the reply has not ended")]
    ReplyInProgress,
    /// It failed or was cancelled before anything was sent, or it is older than receipts are.
    #[error("nothing was sent for this reply")]
    NothingSent,
}

impl From<crate::store::Error> for ReceiptError {
    fn from(cause: crate::store::Error) -> Self {
        Self::Read(cause.into())
    }
}

/// What the model was shown for a reply that has ended.
pub async fn context(app: &App, owner: UserId, room: ChatroomId, reply: MessageId) -> Result<Shown, ReceiptError> {
    let message = super::message(app, owner, room, reply).await?;
    if message.role != Role::Model {
        return Err(ReceiptError::NotAReply);
    }
    if !message.status.is_end() {
        return Err(ReceiptError::ReplyInProgress);
    }
    let mut reader = app.store.read().await?;
    let kept = sql::receipt(&mut reader, reply).await?.ok_or(ReceiptError::NothingSent)?;
    let receipt: Receipt = serde_json::from_str(&kept).map_err(|_| ReceiptError::NothingSent)?;
    let summary = match receipt.summary {
        Some(ends_at) => sql::summary(&mut reader, ends_at).await?,
        None => None,
    };
    let mut sorted = Sorted::new(&receipt, summary.as_ref().map(|summary| summary.seq));
    let mut next = message.parent_id;
    while let Some(from) = next {
        let page = sql::ancestors_without_text(&mut reader, from, PAGE).await?;
        next = page.last().and_then(|step| step.parent_id);
        for step in &page {
            sorted.take(step);
        }
    }
    let Sorted { mut sent, mut left_out, left_out_count, .. } = sorted;
    sent.reverse();
    left_out.reverse();
    Ok(Shown {
        reply,
        summary: summary.map(Summary::from),
        sent,
        left_out,
        left_out_count,
        model: receipt.model,
        system_instruction: receipt.instruction,
        thinking: receipt.thinking,
        limit: receipt.limit,
        estimated: receipt.estimated,
        counted: receipt.counted,
        usage: message.usage,
    })
}

/// Tells what was sent from what was not, nearest first.
struct Sorted<'a> {
    receipt: &'a Receipt,
    /// The `seq` of the oldest message that was sent.
    oldest: i64,
    /// Up to which the summary tells.
    summed: i64,
    /// Whether the question before it, which is the next to come, was answered.
    is_answered: bool,
    sent: Vec<Turn>,
    left_out: Vec<LeftOut>,
    left_out_count: u64,
}

impl<'a> Sorted<'a> {
    fn new(receipt: &'a Receipt, summed: Option<i64>) -> Self {
        let oldest = receipt.sent.first().map_or(i64::MAX, |(first, _)| *first);
        let (sent, left_out) = (Vec::new(), Vec::new());
        Self { receipt, oldest, summed: summed.unwrap_or(0), is_answered: true, sent, left_out, left_out_count: 0 }
    }

    fn take(&mut self, step: &Step) {
        let is_reply = step.role == "model";
        if is_reply {
            self.is_answered = step.is_answer();
        }
        let turn = Turn { id: step.id, seq: step.seq, role: if is_reply { Role::Model } else { Role::User } };
        if self.receipt.has_sent(step.seq) {
            self.sent.push(turn);
            return;
        }
        self.left_out_count += 1;
        if self.left_out.len() < MOST_NAMED {
            let reason = match () {
                () if step.seq > self.oldest || !self.is_answered => Reason::NotAnswered,
                () if step.seq <= self.summed => Reason::Summarised,
                () => Reason::DidNotFit,
            };
            self.left_out.push(LeftOut { turn, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn runs_join_what_follows() {
        assert_eq!(runs([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(runs([]), []);
    }
}
