//! What JSON allows and no body may have: NUL, halves of surrogate pairs, nesting without end.
//!
//! Looks at the text and not at the values, so that it holds for fields nobody reads, too.

/// Deeper than any body of ours, shallower than any stack.
const MAX_DEPTH: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw<'t> {
    TooDeep,
    Nul { field: &'t str },
    LoneSurrogate { field: &'t str },
}

/// The first flaw in a text that is known to be JSON; `field` is the outermost one it lies in.
pub(super) fn first_flaw(text: &str) -> Option<Flaw<'_>> {
    let bytes = text.as_bytes();
    let (mut depth, mut field, mut last) = (0_usize, "", "");
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => field = last,
            b'"' => {
                let end = string_end(bytes, at + 1);
                let string = &text[at + 1..end];
                if let Some(flaw) = flaw_in(string, field) {
                    return Some(flaw);
                }
                last = string;
                at = end;
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(Flaw::TooDeep);
        }
        at += 1;
    }
    None
}

/// Where the string that begins at `from` has its closing quote.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

fn flaw_in<'t>(string: &str, field: &'t str) -> Option<Flaw<'t>> {
    let mut rest = string;
    let mut awaits_low_half = false;
    while let Some(at) = rest.find('\\') {
        if awaits_low_half && at > 0 {
            return Some(Flaw::LoneSurrogate { field });
        }
        let escape = &rest[at..];
        let unit = escape.strip_prefix("\\u").and_then(|hex| u16::from_str_radix(hex.get(..4)?, 16).ok());
        match (unit, awaits_low_half) {
            (Some(0), false) => return Some(Flaw::Nul { field }),
            (Some(0xD800..=0xDBFF), false) => awaits_low_half = true,
            (Some(0xDC00..=0xDFFF), true) => awaits_low_half = false,
            (Some(0xDC00..=0xDFFF), false) | (_, true) => return Some(Flaw::LoneSurrogate { field }),
            _ => {}
        }
        rest = escape.get(if unit.is_some() { 6 } else { 2 }..).unwrap_or_default();
    }
    awaits_low_half.then_some(Flaw::LoneSurrogate { field })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_pairs_and_escaped_backslashes_pass() {
        for text in [r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\\u0000"}"#, r#"{"a":"\\\\ud83d \"x\" \n"}"#, "{\"a\":\"😀\"}"]
        {
            assert_eq!(first_flaw(text), None, "{text}");
        }
    }

    #[test]
    fn each_flaw_is_found_where_it_hides() {
        assert_eq!(first_flaw(r#"{"b":1,"a":"x\\\u0000"}"#), Some(Flaw::Nul { field: "a" }));
        assert_eq!(first_flaw(r#"{"a":{"b\u0000":1}}"#), Some(Flaw::Nul { field: "a" }));
        for half in [r"\ud83d", r"\ude00", r"\ud83dx\ude00", r"\ud83d\n", r"\ud83d\ud83d", r"\ude00\ud83d"] {
            let text = format!("{{\"a\":\"{half}\"}}");
            assert_eq!(first_flaw(&text), Some(Flaw::LoneSurrogate { field: "a" }), "{half}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(first_flaw(&nested(64)), None);
        assert_eq!(first_flaw(&nested(65)), Some(Flaw::TooDeep));
    }

    proptest! {
        // serde_json refuses half pairs where it reads a string: the two must agree on every mix of escapes.
        #[test]
        fn agrees_with_a_full_parser(units in proptest::collection::vec(
            prop_oneof![Just("\\ud83d"), Just("\\ude00"), Just("x"), Just("\\\\"), Just("\\n"), Just("\\u0041")], 0..8)) {
            let text = format!("{{\"a\":\"{}\"}}", units.concat());
            let parsed = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(first_flaw(&text).is_none(), parsed, "{}", text);
        }
    }
}
