//! From a request and its rule to a plan: which words, at what pace, how it ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::error::Fault;
use super::script::{End, Rule};
use super::{Sandbox, answer, tokens, words};

/// Where the token counts stand.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageAt {
    /// In every chunk, growing.
    #[default]
    Each,
    /// Alone in a chunk after the finish reason.
    Last,
    Never,
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) model: String,
    pub(super) refuse: Option<Fault>,
    pub(super) block: Option<String>,
    pub(super) thoughts: Vec<String>,
    pub(super) chunks: Vec<String>,
    pub(super) first_byte: Duration,
    pub(super) word: Duration,
    pub(super) hold: Option<usize>,
    pub(super) end: End,
    pub(super) finish: String,
    pub(super) finish_message: Option<String>,
    pub(super) usage: UsageAt,
    pub(super) finish_with_text: bool,
    pub(super) bare_newlines: bool,
    pub(super) prompt_tokens: u64,
    /// Of thoughts, also of those that are not shown.
    pub(super) thought_tokens: u64,
}

/// Decides what to do with a request.
pub(super) fn make(sandbox: &Sandbox, model: &str, asked: &Asked) -> Result<Plan, Box<Fault>> {
    let rule = match sandbox.script.take("generateContent", asked.last()) {
        Some(rule) => rule,
        None => words::obey(asked, &sandbox.script)?.unwrap_or_default(),
    };
    let thoughts =
        rule.thoughts.as_deref().or(asked.include_thoughts.then_some("The question is clear, so I answer it."));
    let thoughts: Vec<String> = thoughts.map(pieces).unwrap_or_default();
    let mut finish = rule.finish.clone();
    let mut chunks = chunks(&rule, asked);
    if let Some(after) = rule.after {
        chunks.truncate(after);
    }
    let mut thought_tokens = thoughts.iter().map(|text| tokens::count(text)).sum();
    if let Some(most) = asked.max_output {
        if limit(&mut chunks, most.saturating_sub(thought_tokens)) {
            finish.get_or_insert_with(|| "MAX_TOKENS".to_owned());
        }
        // Without text, all that was allowed went into thinking.
        if chunks.is_empty() && finish.as_deref() == Some("MAX_TOKENS") {
            thought_tokens = most;
        }
    }
    let millis = |wanted: Option<u64>, usual| wanted.map_or(usual, Duration::from_millis);
    Ok(Plan {
        model: model.to_owned(),
        block: rule.block,
        thoughts,
        chunks,
        first_byte: millis(rule.first_byte_ms, sandbox.options.first_byte),
        word: millis(rule.word_ms, sandbox.options.word),
        hold: rule.hold,
        end: rule.end,
        finish: finish.unwrap_or_else(|| "STOP".to_owned()),
        finish_message: rule.finish_message,
        usage: rule.usage,
        finish_with_text: rule.finish_with_text,
        bare_newlines: rule.bare_newlines,
        prompt_tokens: asked.tokens,
        thought_tokens,
        refuse: rule.refuse,
    })
}

fn chunks(rule: &Rule, asked: &Asked) -> Vec<String> {
    if let Some(chunks) = &rule.chunks {
        return chunks.clone();
    }
    if let Some(count) = rule.words {
        return (1..=count).map(|at| format!("word{at} ")).collect();
    }
    if let Some(text) = &rule.text {
        return pieces(text);
    }
    let mut text = answer::answer(asked);
    if let Some(at) = asked.stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
        text.truncate(at);
    }
    if asked.wants_json {
        text = serde_json::json!({"answer": text}).to_string();
    }
    pieces(&text)
}

/// Longer stretches without a space are cut, as in Chinese.
const LONGEST_PIECE: usize = 6;

/// Words, each with the white space after it; nothing is lost.
pub(super) fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).flat_map(short).collect()
}

fn short(word: &str) -> Vec<String> {
    if word.is_ascii() {
        return vec![word.to_owned()];
    }
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(LONGEST_PIECE).map(|letters| letters.iter().collect()).collect()
}

/// Keeps as many pieces as `most` tokens allow; true when some had to go.
fn limit(chunks: &mut Vec<String>, most: u64) -> bool {
    let mut used = tokens::Counter::default();
    let fits = chunks.iter().take_while(|chunk| {
        used.push(chunk);
        used.total() <= most
    });
    let fits = fits.count();
    let is_cut = fits < chunks.len();
    chunks.truncate(fits);
    is_cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_join_up_to_the_text(text in any::<String>()) {
            prop_assert_eq!(pieces(&text).concat(), text);
        }
    }

    #[test]
    fn words_keep_the_space_after_them() {
        assert_eq!(pieces("one two\nthree"), ["one ", "two\n", "three"]);
        assert_eq!(pieces("这是一个很长的句子"), ["这是一个很长", "的句子"]);
    }
}
