//! Reads one answer, document by document: text and thoughts out, the end remembered.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::refusal::Refusal;
use super::stream::Event;
use super::{BlockReason, Error, FinishReason, Outcome, Usage};

/// What has been understood of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) usage: Option<Usage>,
    finish_reason: Option<FinishReason>,
    finish_message: Option<String>,
    model_version: Option<String>,
    response_id: Option<String>,
    has_text: bool,
}

impl Reading {
    /// Takes one JSON document in: a response, an error, or an array of them.
    pub(super) fn take(
        &mut self,
        document: &[u8],
        events: &mut VecDeque<Event>,
        key: Option<&str>,
    ) -> Result<(), Error> {
        let frames = if document.trim_ascii_start().first() == Some(&b'[') {
            serde_json::from_slice::<Vec<Frame>>(document)
        } else {
            serde_json::from_slice::<Frame>(document).map(|frame| vec![frame])
        };
        // The parser's own message would quote the answer.
        let frames = frames.map_err(|error| Error::Cut(format!("it was not JSON at column {}", error.column())))?;
        frames.into_iter().try_for_each(|frame| self.take_frame(frame, events, key))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// The end, when Gemini said that it was one.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        Some(Outcome {
            finish_reason: self.finish_reason?,
            finish_message: self.finish_message.clone(),
            usage: self.usage,
            model_version: self.model_version.clone(),
            response_id: self.response_id.clone(),
        })
    }

    fn take_frame(&mut self, frame: Frame, events: &mut VecDeque<Event>, key: Option<&str>) -> Result<(), Error> {
        if let Some(error) = frame.error.filter(|error| !error.is_null()) {
            return Err(Error::refused(Refusal::of_error(&error, key)));
        }
        if let Some(usage) = frame.usage_metadata {
            self.usage = Some(usage.into());
        }
        replace(&mut self.model_version, frame.model_version);
        replace(&mut self.response_id, frame.response_id);
        if let Some(reason) = frame.prompt_feedback.and_then(|feedback| BlockReason::read(&feedback.block_reason?)) {
            if !self.has_text {
                return Err(Error::Blocked(reason));
            }
            // A block after text has gone out ends the answer; it does not take it back.
            self.finish_reason.get_or_insert(reason.into());
        }
        // One candidate is asked for.
        if let Some(candidate) = frame.candidates.and_then(|candidates| candidates.into_iter().next()) {
            self.take_candidate(candidate, events);
        }
        Ok(())
    }

    fn take_candidate(&mut self, candidate: Candidate, events: &mut VecDeque<Event>) {
        for part in candidate.content.and_then(|content| content.parts).unwrap_or_default() {
            // PostgreSQL's text takes no NUL.
            let text = part.text.unwrap_or_default().replace('\0', "");
            if text.is_empty() {
                continue;
            }
            if part.thought == Some(true) {
                events.push_back(Event::Thought(text));
            } else {
                self.has_text = true;
                events.push_back(Event::Text(text));
            }
        }
        if let Some(reason) = candidate.finish_reason.and_then(|word| FinishReason::read(&word)) {
            self.finish_reason = Some(reason);
            replace(&mut self.finish_message, candidate.finish_message);
        }
    }
}

fn replace(kept: &mut Option<String>, new: Option<String>) {
    if let Some(new) = new.filter(|new| !new.is_empty()) {
        *kept = Some(new.replace('\0', ""));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    error: Option<Value>,
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    model_version: Option<String>,
    response_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    thought: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UsageMetadata {
    #[serde(rename = "promptTokenCount", deserialize_with = "count")]
    prompt: u64,
    #[serde(rename = "candidatesTokenCount", deserialize_with = "count")]
    candidates: u64,
    #[serde(rename = "thoughtsTokenCount", deserialize_with = "count")]
    thoughts: u64,
    #[serde(rename = "cachedContentTokenCount", deserialize_with = "count")]
    cached: u64,
    #[serde(rename = "totalTokenCount", deserialize_with = "count")]
    total: u64,
}

/// A count in any of JSON's forms; a count that cannot be read must not cost the answer.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0))
}

impl From<UsageMetadata> for Usage {
    fn from(counted: UsageMetadata) -> Self {
        let sum = counted.prompt.saturating_add(counted.candidates).saturating_add(counted.thoughts);
        Self {
            prompt: counted.prompt,
            completion: counted.candidates,
            thoughts: counted.thoughts,
            cached: counted.cached,
            total: if counted.total == 0 { sum } else { counted.total },
        }
    }
}
