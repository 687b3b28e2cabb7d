//! What the person has told earlier in the conversation.

use super::tongues::{self, TONGUES, Tongue};

/// Answers whoever asks for their name, or tells it. `earlier` is what they said before, newest first.
pub(super) fn about_the_name(question: &str, earlier: &[String]) -> Option<String> {
    let lower = question.to_lowercase();
    let asked = TONGUES.iter().find(|tongue| tongue.asks_name.iter().any(|asks| lower.contains(asks)));
    if let Some(tongue) = asked {
        return Some(match name(earlier).or_else(|| told_name(question)) {
            Some((name, _)) => tongue.your_name.replace("{}", &name),
            None => tongue.no_name.to_owned(),
        });
    }
    let (name, tongue) = told_name(question)?;
    Some(tongue.nice_to_meet.replace("{}", &name))
}

/// The name told last, and the language in which it was.
pub(super) fn name(said: &[String]) -> Option<(String, &'static Tongue)> {
    said.iter().find_map(|text| told_name(text))
}

fn told_name(text: &str) -> Option<(String, &'static Tongue)> {
    let lower = text.to_ascii_lowercase();
    if TONGUES.iter().any(|tongue| tongue.asks_name.iter().any(|asks| text.to_lowercase().contains(asks))) {
        return None;
    }
    for tongue in TONGUES {
        for (before, after) in tongue.tells_name {
            if let Some(at) = lower.rfind(before) {
                let name = value(&text[at + before.len()..], after);
                if !name.is_empty() {
                    return Some((name, tongue));
                }
            }
        }
    }
    introduced(text).map(|name| (name, &tongues::ENGLISH))
}

/// "I'm Ada" names somebody, "I'm hungry" does not.
fn introduced(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = ["i'm ", "i’m ", "i am "].iter().find_map(|before| Some(lower.find(before)? + before.len()))?;
    let name = value(&text[at..], &[]);
    let is_name = name.split(' ').all(|word| word.starts_with(char::is_uppercase));
    (is_name && !name.is_empty()).then_some(name)
}

/// Answers "what is my X?" from "my X is Y", and takes note of the latter.
pub(super) fn about_a_fact(question: &str, earlier: &[String]) -> Option<String> {
    if let Some((thing, is)) = facts(question).pop() {
        return Some(format!("I will remember that your {thing} is {is}."));
    }
    let lower = question.to_ascii_lowercase();
    let at = lower.find("my ")?;
    let asks = ["what", "who", "which", "where", "when", "remember", "know", "tell me", "recall"];
    if !asks.iter().any(|word| lower[..at].contains(word)) {
        return None;
    }
    let wanted = value(&question[at + 3..], &[]).to_lowercase();
    let known = earlier.iter().flat_map(|text| facts(text).into_iter().rev());
    let (thing, is) = known.into_iter().find(|(thing, _)| thing.to_lowercase() == wanted)?;
    Some(format!("Your {thing} is {is}."))
}

/// Answers what was said before.
pub(super) fn about_the_conversation(question: &str, earlier: &[String]) -> Option<String> {
    let lower = question.to_ascii_lowercase();
    let asks = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if asks(&["my first message", "my first question", "did i say first", "did i ask first"]) {
        return earlier.last().map(|text| format!("You said: “{text}”"));
    }
    if asks(&["did i just say", "did i say", "did i ask", "my last message", "my last question", "my previous"]) {
        return earlier.first().map(|text| format!("You said: “{text}”"));
    }
    None
}

/// Each "my X is Y" in a text.
fn facts(text: &str) -> Vec<(String, String)> {
    let lower = text.to_ascii_lowercase();
    let mut facts = Vec::new();
    for (at, _) in lower.match_indices("my ") {
        let starts_a_word = lower[..at].chars().next_back().is_none_or(|letter| !letter.is_alphanumeric());
        let rest = &text[at + 3..];
        let Some((thing, is)) = rest.split_once(" is ").filter(|_| starts_a_word) else { continue };
        let is = value(is, &[]);
        if !thing.contains(['.', '!', '?', ',', '\n']) && thing.split(' ').count() <= 4 && !is.is_empty() {
            facts.push((thing.trim().to_owned(), is));
        }
    }
    facts
}

/// The beginning of `text` up to the end of its clause, or to one of `ends`.
fn value(text: &str, ends: &[&str]) -> String {
    const CLAUSES: &[&str] =
        &[". ", ".\n", "!", "?", ",", ";", "\n", "。", "，", "！", "？", "、", "।", " and ", " but "];
    let end = CLAUSES.iter().chain(ends).filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    let value = text[..end].trim().trim_end_matches('.');
    value.chars().take(60).collect::<String>().trim().to_owned()
}
