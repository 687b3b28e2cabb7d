//! A piece of an answer as JSON, and the bytes between the pieces.

use axum::body::Bytes;
use serde::Serialize;

use super::error::Fault;
use super::plan::{Plan, UsageAt};

/// How pieces follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Framing {
    /// `alt=sse`: `data: {…}` and a blank line.
    Events { newline: &'static str },
    /// Without it: one JSON array that grows.
    Array { has_begun: bool },
}

impl Framing {
    pub(super) fn wrap(&mut self, json: &[u8]) -> Bytes {
        let mut bytes = Vec::with_capacity(json.len() + 16);
        match self {
            Self::Events { newline } => {
                bytes.extend_from_slice(b"data: ");
                bytes.extend_from_slice(json);
                bytes.extend_from_slice(newline.as_bytes());
                bytes.extend_from_slice(newline.as_bytes());
            }
            Self::Array { has_begun } => {
                bytes.extend_from_slice(if *has_begun { b",\r\n" } else { b"[" });
                bytes.extend_from_slice(json);
                bytes.push(b'\n');
                *has_begun = true;
            }
        }
        bytes.into()
    }

    /// What ends a whole stream, if anything does.
    pub(super) fn close(self) -> Option<Bytes> {
        match self {
            Self::Events { .. } => None,
            Self::Array { has_begun } => Some(Bytes::from_static(if has_begun { b"]" } else { b"[]" })),
        }
    }

    /// An error outside the framing.
    pub(super) fn bare(fault: &Fault) -> Bytes {
        fault.pretty().into()
    }
}

/// A piece of an answer, or a whole one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) candidates: Option<[Candidate<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_feedback: Option<PromptFeedback<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage_metadata: Option<Usage>,
    pub(super) model_version: &'a str,
    pub(super) response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub(super) content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_message: Option<&'a str>,
    pub(super) index: u8,
}

#[derive(Serialize)]
pub(super) struct Content<'a> {
    #[serde(skip_serializing_if = "<[Part<'_>]>::is_empty")]
    pub(super) parts: &'a [Part<'a>],
    pub(super) role: &'static str,
}

#[derive(Serialize)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) thought: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback<'a> {
    pub(super) block_reason: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    prompt_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates_token_count: Option<u64>,
    total_token_count: u64,
    prompt_tokens_details: [Details; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    modality: &'static str,
    token_count: u64,
}

impl Usage {
    /// As counted after `completion` tokens of text.
    pub(super) fn of(plan: &Plan, completion: u64) -> Self {
        Self {
            prompt_token_count: plan.prompt_tokens,
            candidates_token_count: (completion > 0).then_some(completion),
            total_token_count: plan.prompt_tokens + completion + plan.thought_tokens,
            prompt_tokens_details: [Details { modality: "TEXT", token_count: plan.prompt_tokens }],
            thoughts_token_count: (plan.thought_tokens > 0).then_some(plan.thought_tokens),
        }
    }
}

/// One piece: these parts, with the finish reason if it is the last.
pub(super) fn piece(plan: &Plan, id: &str, parts: &[Part<'_>], completion: u64, is_last: bool) -> Vec<u8> {
    let candidate = Candidate {
        content: Content { parts, role: "model" },
        finish_reason: is_last.then_some(&plan.finish),
        finish_message: plan.finish_message.as_deref().filter(|_| is_last),
        index: 0,
    };
    let usage = (plan.usage == UsageAt::Each).then(|| Usage::of(plan, completion));
    json(plan, id, Some([candidate]), None, usage)
}

/// Only the token counts.
pub(super) fn usage(plan: &Plan, id: &str, completion: u64) -> Vec<u8> {
    json(plan, id, None, None, Some(Usage::of(plan, completion)))
}

/// A prompt that is not answered: there are no candidates at all.
pub(super) fn block(plan: &Plan, id: &str, reason: &str) -> Vec<u8> {
    json(plan, id, None, Some(PromptFeedback { block_reason: reason }), Some(Usage::of(plan, 0)))
}

fn json(
    plan: &Plan,
    id: &str,
    candidates: Option<[Candidate<'_>; 1]>,
    prompt_feedback: Option<PromptFeedback<'_>>,
    usage_metadata: Option<Usage>,
) -> Vec<u8> {
    let frame = Frame { candidates, prompt_feedback, usage_metadata, model_version: &plan.model, response_id: id };
    serde_json::to_vec(&frame).expect("text and numbers are always JSON")
}
