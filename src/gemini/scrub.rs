//! Takes API keys out of text that may be logged or shown: Gemini puts the key into some of its error messages.

/// How much of somebody else's message is kept.
const LONGEST: usize = 500;

/// `text` on one line, not too long, with whatever looks like a key of Google's, and `key` itself, as `[key]`.
pub(super) fn scrub(text: &str, key: Option<&str>) -> String {
    let mut text = text.to_owned();
    if let Some(key) = key.filter(|key| key.len() >= 4) {
        text = text.replace(key, "[key]");
    }
    for prefix in ["AIza", "AQ."] {
        text = without(&text, prefix);
    }
    let line: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let line = line.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(LONGEST).collect()
}

fn without(text: &str, prefix: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(prefix) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|letter: char| !is_of_a_key(letter)).unwrap_or(from.len());
        kept.push_str(before);
        // "AQ." may also end a sentence; a key goes on.
        kept.push_str(if end > prefix.len() { "[key]" } else { &from[..end] });
        rest = &from[end..];
    }
    kept + rest
}

fn is_of_a_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_out_wherever_they_stand() {
        let text =
            "Consumer 'api_key:AIzaSyD-0_x9' has been\nsuspended; AQ.Ab8RN6-x_y too, but FAQ. stays, and my-own-key?";
        assert_eq!(
            scrub(text, Some("my-own-key")),
            "Consumer 'api_key:[key]' has been suspended; [key] too, but FAQ. stays, and [key]?"
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(scrub(&"é".repeat(10_000), None), "é".repeat(LONGEST));
    }
}
