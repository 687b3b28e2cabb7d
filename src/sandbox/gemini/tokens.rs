//! How the sandbox counts tokens: near Gemini's counts, and always the same.
//!
//! | what | tokens |
//! |---|---|
//! | a run of ASCII letters, with the one space before it | 1 per 4 letters begun |
//! | a digit | 1 |
//! | another ASCII sign, a line break | 1 |
//! | spaces beyond the one before a word | 1 per 4 begun |
//! | a Latin letter with a mark, Greek, Cyrillic, Hebrew, Arabic, Thai and other alphabets | 1 per 2 begun in a run |
//! | Devanagari and the other scripts of India, Chinese, Japanese, Korean | 1 each |
//! | emoji and everything beyond the basic plane | 2 each |
//! | joiners, variation selectors and other signs | 1 each |
//!
//! A conversation costs one more per turn. No text counts more than its UTF-8 bytes.

/// Tokens of one text.
#[must_use]
pub fn count(text: &str) -> u64 {
    let mut counter = Counter::default();
    counter.push(text);
    counter.total()
}

/// Counts a text that comes in pieces; where it is cut makes no difference.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    before: u64,
    run: Run,
}

impl Counter {
    pub(super) fn push(&mut self, text: &str) {
        for letter in text.chars() {
            let kind = Kind::of(letter);
            if kind != self.run.kind {
                self.before += self.run.tokens(kind);
                self.run = Run { kind, length: 0 };
            }
            self.run.length += 1;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.before + self.run.tokens(Kind::Sign)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Kind {
    Space,
    Ascii,
    Alphabet,
    #[default]
    Sign,
    Wide,
}

impl Kind {
    fn of(letter: char) -> Self {
        match letter {
            ' ' => Self::Space,
            'a'..='z' | 'A'..='Z' => Self::Ascii,
            // Between these lie the scripts of India.
            '\u{c0}'..='\u{8ff}' | '\u{e00}'..='\u{10ff}' | '\u{1e00}'..='\u{1fff}' => Self::Alphabet,
            '\u{10000}'.. => Self::Wide,
            _ => Self::Sign,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Run {
    kind: Kind,
    length: u64,
}

impl Run {
    fn tokens(&self, followed_by: Kind) -> u64 {
        match self.kind {
            Kind::Space => {
                let alone = if followed_by == Kind::Ascii { self.length.saturating_sub(1) } else { self.length };
                alone.div_ceil(4)
            }
            Kind::Ascii => self.length.div_ceil(4),
            Kind::Alphabet => self.length.div_ceil(2),
            Kind::Sign => self.length,
            Kind::Wide => 2 * self.length,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rule_as_it_is_written_down() {
        for (text, tokens) in [
            ("", 0),
            ("hi", 1),
            ("hello world", 4),
            ("The quick brown fox jumps over the lazy dog.", 13),
            ("2026", 4),
            ("fn main() {\n    let x = 1;\n}", 17),
            ("über", 2),
            ("Привет", 3),
            ("नमस्ते", 6),
            ("你好，世界", 5),
            ("こんにちは", 5),
            ("👩‍👩‍👧", 8),
            ("❤️", 2),
            ("        x", 3),
        ] {
            assert_eq!(count(text), tokens, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_counts_more_than_its_bytes(text in any::<String>()) {
            prop_assert!(count(&text) <= text.len() as u64);
        }
    }
}
