//! Rules: what the sandbox should do with which request.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::plan::UsageAt;
use crate::sandbox::rules::{Counted, Rules};

/// One behaviour and the requests it is for. Fields left out mean the sandbox's own ways.
///
/// As JSON (`POST /sandbox/script`, one or a list): `{"when": "hello", "times": 2, "text": "Hi there", "after": 1, "end": "cut"}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only for requests whose last user text contains this.
    #[serde(default)]
    pub when: Option<String>,
    /// For so many requests; null for all that follow.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// `generateContent` (default, streaming or not), `countTokens`, `embedContent`, `batchEmbedContents`,
    /// `models.list`, `models.get`. Others than the first only take `refuse` and `first_byte_ms`.
    #[serde(default = "generate")]
    pub call: String,
    /// An error status instead of an answer.
    #[serde(default)]
    pub refuse: Option<Fault>,
    /// `promptFeedback.blockReason` instead of an answer.
    #[serde(default)]
    pub block: Option<String>,
    /// The answer, cut into words.
    #[serde(default)]
    pub text: Option<String>,
    /// The answer, cut as given.
    #[serde(default)]
    pub chunks: Option<Vec<String>>,
    /// A filler answer of so many words: `word1 word2 …`.
    #[serde(default)]
    pub words: Option<usize>,
    /// Sent before the answer as thought parts.
    #[serde(default)]
    pub thoughts: Option<String>,
    #[serde(default)]
    pub first_byte_ms: Option<u64>,
    #[serde(default)]
    pub word_ms: Option<u64>,
    /// After so many words, wait for a release.
    #[serde(default)]
    pub hold: Option<usize>,
    /// After so many words comes `end`; without it, after the last.
    #[serde(default)]
    pub after: Option<usize>,
    #[serde(default)]
    pub end: End,
    /// The finish reason.
    #[serde(default)]
    pub finish: Option<String>,
    #[serde(default)]
    pub finish_message: Option<String>,
    #[serde(default)]
    pub usage: UsageAt,
    /// The finish reason comes with the last words instead of in a chunk of its own without parts.
    #[serde(default)]
    pub finish_with_text: bool,
    /// Frames end with `\n\n` instead of `\r\n\r\n`.
    #[serde(default)]
    pub bare_newlines: bool,
}

/// How an answer stops.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With a finish reason.
    #[default]
    Finish,
    /// Properly closed, but without a finish reason.
    Silent,
    /// The connection breaks.
    Cut,
    /// Nothing comes any more; `after: 0` means not even a status.
    Hang,
    /// An error as a frame of the stream.
    Error(Fault),
    /// An error as JSON over several lines, outside the framing.
    BareError(Fault),
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn once() -> Option<u32> {
    Some(1)
}

fn generate() -> String {
    "generateContent".to_owned()
}

impl Default for Rule {
    /// The sandbox's own ways, for one request.
    fn default() -> Self {
        Self {
            when: None,
            times: once(),
            call: generate(),
            refuse: None,
            block: None,
            text: None,
            chunks: None,
            words: None,
            thoughts: None,
            first_byte_ms: None,
            word_ms: None,
            hold: None,
            after: None,
            end: End::default(),
            finish: None,
            finish_message: None,
            usage: UsageAt::default(),
            finish_with_text: false,
            bare_newlines: false,
        }
    }
}

impl Rule {
    #[must_use]
    pub fn say(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    #[must_use]
    pub fn chunks<T: Into<String>>(chunks: impl IntoIterator<Item = T>) -> Self {
        Self { chunks: Some(chunks.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    #[must_use]
    pub fn words(count: usize) -> Self {
        Self { words: Some(count), ..Self::default() }
    }

    #[must_use]
    pub fn refuse(fault: Fault) -> Self {
        Self { refuse: Some(fault), ..Self::default() }
    }

    #[must_use]
    pub fn block(reason: &str) -> Self {
        Self { block: Some(reason.to_owned()), ..Self::default() }
    }

    #[must_use]
    pub fn when(mut self, part: &str) -> Self {
        self.when = Some(part.to_owned());
        self
    }

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    #[must_use]
    pub fn call(mut self, call: &str) -> Self {
        call.clone_into(&mut self.call);
        self
    }

    #[must_use]
    pub fn thoughts(mut self, text: &str) -> Self {
        self.thoughts = Some(text.to_owned());
        self
    }

    #[must_use]
    pub fn end(mut self, after: usize, end: End) -> Self {
        (self.after, self.end) = (Some(after), end);
        self
    }

    #[must_use]
    pub fn finish(mut self, after: usize, reason: &str) -> Self {
        (self.after, self.finish) = (Some(after), Some(reason.to_owned()));
        self
    }

    #[must_use]
    pub fn hold(mut self, after: usize) -> Self {
        self.hold = Some(after);
        self
    }

    #[must_use]
    pub fn pace(mut self, first_byte: Duration, word: Duration) -> Self {
        self.first_byte_ms = u64::try_from(first_byte.as_millis()).ok();
        self.word_ms = u64::try_from(word.as_millis()).ok();
        self
    }

    #[must_use]
    pub fn usage(mut self, at: UsageAt) -> Self {
        self.usage = at;
        self
    }
}

impl Counted for Rule {
    fn times(&mut self) -> &mut Option<u32> {
        &mut self.times
    }
}

/// The rules that wait, and how often words in prompts were obeyed.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Rules<Rule>,
    obeyed: Mutex<HashMap<u64, u32>>,
}

/// Conversations whose words are counted; then counting starts anew.
const MOST_COUNTED: usize = 10_000;

impl Script {
    pub(super) fn add(&self, rule: Rule) {
        self.rules.add(rule);
    }

    pub(super) fn clear(&self) {
        self.rules.clear();
    }

    pub(super) fn waiting(&self) -> Vec<Rule> {
        self.rules.waiting()
    }

    /// The first rule for this request; one use of it is spent.
    pub(super) fn take(&self, call: &str, text: &str) -> Option<Rule> {
        self.rules.take(|rule| rule.call == call && rule.when.as_ref().is_none_or(|part| text.contains(part)))
    }

    /// Counts one more request of this conversation; true while there were no more than `times`.
    pub(super) fn obeys(&self, conversation: impl Hash, times: u32) -> bool {
        let mut hasher = DefaultHasher::new();
        conversation.hash(&mut hasher);
        let mut obeyed = self.obeyed.lock().unwrap_or_else(PoisonError::into_inner);
        if obeyed.len() >= MOST_COUNTED {
            obeyed.clear();
        }
        let count = obeyed.entry(hasher.finish()).or_default();
        *count += 1;
        *count <= times
    }
}
