//! What is asked: the conversation and how long the answer may be. What is not set is not sent,
//! so that Gemini's own defaults hold.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Serialize, Serializer};

/// One question to Gemini.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// With or without `models/` before it.
    pub model: String,
    /// Oldest first; the last turn is the one to answer.
    pub contents: Vec<Turn>,
    pub system_instruction: Option<String>,
    /// Thoughts count into it, so an answer may come out empty.
    pub max_output_tokens: Option<u32>,
    pub thinking: Option<Thinking>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    pub role: Role,
    pub parts: Vec<Part>,
}

impl Turn {
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::Text(text.into())] }
    }

    #[must_use]
    pub fn model(text: impl Into<String>) -> Self {
        Self { role: Role::Model, parts: vec![Part::Text(text.into())] }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Model,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    Text(String),
    InlineData(Inline),
}

/// A file in the request itself. Cheap to clone: its content is shared.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inline {
    pub mime_type: &'static str,
    #[serde(serialize_with = "as_base64")]
    pub data: Bytes,
}

impl std::fmt::Debug for Inline {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} of {} bytes", self.mime_type, self.data.len())
    }
}

/// Piece by piece into the body: there is no second copy of it.
fn as_base64<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(data, &STANDARD))
}

/// How the model thinks before it answers. A model takes either a budget or a level.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Thinking {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub include_thoughts: bool,
    /// In tokens; 0 for none, -1 for as many as the model likes.
    #[serde(skip_serializing_if = "Option::is_none", rename = "thinkingBudget")]
    pub budget: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "thinkingLevel")]
    pub level: Option<String>,
}

impl Request {
    /// The JSON body of `generateContent` and `streamGenerateContent`.
    pub(super) fn body(&self) -> impl Serialize + '_ {
        Body {
            contents: &self.contents,
            system_instruction: self.system_instruction.as_deref().filter(|text| !text.is_empty()).map(Instruction::of),
            generation_config: Generation {
                max_output_tokens: self.max_output_tokens,
                thinking_config: self.thinking.as_ref(),
            },
            store: false,
        }
    }

    /// The JSON body of `countTokens`, which counts the system instruction only in this form.
    pub(super) fn count_body(&self) -> impl Serialize + '_ {
        Count {
            generate_content_request: Counted {
                model: format!("models/{}", self.bare_model()),
                contents: &self.contents,
                system_instruction: self
                    .system_instruction
                    .as_deref()
                    .filter(|text| !text.is_empty())
                    .map(Instruction::of),
            },
        }
    }

    pub(super) fn bare_model(&self) -> &str {
        bare_model(&self.model)
    }
}

/// A model's name as it stands in paths.
pub(super) fn bare_model(name: &str) -> &str {
    name.strip_prefix("models/").unwrap_or(name)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: &'a [Turn],
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
    generation_config: Generation<'a>,
    /// Projects made since October 2026 keep logs of prompts unless told not to.
    store: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<&'a Thinking>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Count<'a> {
    generate_content_request: Counted<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counted<'a> {
    model: String,
    contents: &'a [Turn],
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
}

#[derive(Serialize)]
struct Instruction<'a> {
    parts: [InstructionPart<'a>; 1],
}

#[derive(Serialize)]
struct InstructionPart<'a> {
    text: &'a str,
}

impl<'a> Instruction<'a> {
    fn of(text: &'a str) -> Self {
        Self { parts: [InstructionPart { text }] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_sent() {
        let request = Request { model: "m".into(), contents: vec![Turn::user("hi")], ..Request::default() };
        let body = serde_json::to_value(request.body()).expect("a body is JSON");
        assert_eq!(
            body,
            serde_json::json!({
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                "generationConfig": {},
                "store": false,
            })
        );
    }

    #[test]
    fn a_file_goes_as_base64() {
        let file = Inline { mime_type: "image/png", data: Bytes::from_static(b"\x89PNG?>") };
        assert_eq!(format!("{file:?}"), "image/png of 6 bytes");
        let turn = Turn { role: Role::User, parts: vec![Part::InlineData(file), Part::Text("hi".into())] };
        let expected = serde_json::json!({"role": "user", "parts": [
            {"inlineData": {"mimeType": "image/png", "data": "iVBORz8+"}}, {"text": "hi"},
        ]});
        assert_eq!(serde_json::to_value(turn).expect("JSON"), expected);
    }

    #[test]
    fn all_that_is_set_is_sent() {
        let request = Request {
            model: "models/m".into(),
            contents: vec![Turn::user("hi"), Turn::model("yes?"), Turn::user("नमस्ते")],
            system_instruction: Some("be kind".into()),
            max_output_tokens: Some(8),
            thinking: Some(Thinking { include_thoughts: true, budget: Some(-1), level: None }),
        };
        let body = serde_json::to_value(request.body()).expect("a body is JSON");
        assert_eq!(
            body,
            serde_json::json!({
                "contents": [
                    {"role": "user", "parts": [{"text": "hi"}]},
                    {"role": "model", "parts": [{"text": "yes?"}]},
                    {"role": "user", "parts": [{"text": "नमस्ते"}]},
                ],
                "systemInstruction": {"parts": [{"text": "be kind"}]},
                "generationConfig": {"maxOutputTokens": 8, "thinkingConfig": {"includeThoughts": true, "thinkingBudget": -1}},
                "store": false,
            })
        );
        assert_eq!(request.bare_model(), "m");
    }
}
