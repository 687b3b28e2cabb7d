//! A text as a search sees it: words without accents and case, the letters of scripts that are written without spaces,
//! and symbols such as emoji. Indexing, querying and the marks in a snippet all see it so.
//!
//! The text is read a grapheme cluster at a time (UAX #29), so that each token knows where in the text it stands.

use std::ops::{ControlFlow, Range};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// One letter of a script without spaces; `joined` when it follows another directly.
    Letter {
        joined: bool,
    },
    Symbol,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Folded.
    pub(super) text: String,
    /// Bytes of the original.
    pub(super) place: Range<usize>,
}

/// Gives every token of a text to `take`, in their order, until it breaks.
pub(super) fn each(text: &str, mut take: impl FnMut(Token) -> ControlFlow<()>) {
    let mut reading = Reading { word: None, is_after_letter: false };
    let mut folded = String::new();
    for (at, cluster) in text.grapheme_indices(true) {
        fold(cluster, &mut folded);
        let place = at..at + cluster.len();
        if folded.chars().next().is_some_and(is_regional) {
            let flag = Token { kind: Kind::Symbol, text: folded.clone(), place };
            reading.is_after_letter = false;
            if reading.end_word(&mut take).is_break() || take(flag).is_break() {
                return;
            }
            continue;
        }
        for letter in folded.chars() {
            if reading.read(letter, &place, &mut take).is_break() {
                return;
            }
        }
    }
    let _ = reading.end_word(&mut take);
}

struct Reading {
    word: Option<Token>,
    is_after_letter: bool,
}

impl Reading {
    fn read(
        &mut self,
        letter: char,
        place: &Range<usize>,
        take: &mut impl FnMut(Token) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if is_ignored(letter) {
            return ControlFlow::Continue(());
        }
        if is_unspaced(letter) {
            self.end_word(take)?;
            let kind = Kind::Letter { joined: std::mem::replace(&mut self.is_after_letter, true) };
            return take(Token { kind, text: letter.into(), place: place.clone() });
        }
        self.is_after_letter = false;
        if letter.is_alphanumeric() || is_combining_mark(letter) {
            let word =
                self.word.get_or_insert_with(|| Token { kind: Kind::Word, text: String::new(), place: place.clone() });
            word.text.push(letter);
            word.place.end = place.end;
            return ControlFlow::Continue(());
        }
        self.end_word(take)?;
        if is_symbol(letter) {
            return take(Token { kind: Kind::Symbol, text: letter.into(), place: place.clone() });
        }
        ControlFlow::Continue(())
    }

    fn end_word(&mut self, take: &mut impl FnMut(Token) -> ControlFlow<()>) -> ControlFlow<()> {
        self.word.take().map_or(ControlFlow::Continue(()), take)
    }
}

/// Compatibility forms, case and accents fall away; what is left is composed again.
fn fold(cluster: &str, folded: &mut String) {
    folded.clear();
    if let [byte] = cluster.as_bytes() {
        folded.push(char::from(byte.to_ascii_lowercase()));
        return;
    }
    let lower = cluster.nfkd().flat_map(char::to_lowercase).nfkd().filter(|letter| !is_accent(*letter));
    let mut plain = String::with_capacity(cluster.len());
    for letter in lower {
        match letter {
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'þ' => plain.push_str("th"),
            'ı' => plain.push('i'),
            'ς' => plain.push('σ'),
            other => plain.push(other),
        }
    }
    folded.extend(plain.nfc());
}

/// The combining marks of Latin, Greek and Cyrillic, and of any script's transcription; the vowel points of Hebrew and
/// Arabic. Not those of Indic scripts: there they are vowels that make another word.
fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'..='\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Joiners, variation selectors, skin tones, soft hyphens: a text is the same without them.
fn is_ignored(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200c}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e01ef}')
}

/// Scripts whose words no space tells apart, and Korean, whose words carry endings: Thai, Lao, Burmese, Khmer, Japanese,
/// Chinese.
fn is_unspaced(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30fa}' | '\u{30fc}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}' | '\u{aa60}'..='\u{aa7f}'
        | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{1b000}'..='\u{1b16f}' | '\u{20000}'..='\u{3ffff}')
}

/// Arrows, mathematical operators, pictures.
fn is_symbol(letter: char) -> bool {
    matches!(letter, '©' | '®' | '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

/// Two of them are a flag.
fn is_regional(letter: char) -> bool {
    matches!(letter, '\u{1f1e6}'..='\u{1f1ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        each(text, |token| {
            found.push(token.text);
            ControlFlow::Continue(())
        });
        found
    }

    #[test]
    fn case_accents_and_compatibility_forms_fall_away() {
        assert_eq!(words("Crème BRÛLÉE, Straße İstanbul"), ["creme", "brulee", "strasse", "istanbul"]);
        assert_eq!(words("ﬁn ⑫ Ｔｏｋｙｏ"), ["fin", "12", "tokyo"]);
        assert_eq!(words("cafe\u{301} ΌΔΟΣ"), ["cafe", "οδοσ"]);
        assert_eq!(words("Bjørn's snake_case 3.14"), ["bjorn", "s", "snake", "case", "3", "14"]);
    }

    #[test]
    fn vowels_of_indic_scripts_stay() {
        assert_eq!(words("हिन्दी में किताब।"), ["हिन्दी", "में", "किताब"]);
        assert_ne!(words("कि"), words("की"));
    }

    #[test]
    fn scripts_without_spaces_come_letter_by_letter() {
        assert_eq!(words("我喜欢iPhone手机"), ["我", "喜", "欢", "iphone", "手", "机"]);
        let mut joins = Vec::new();
        each("a我喜 欢。x手", |token| {
            joins.push(token.kind);
            ControlFlow::Continue(())
        });
        let (first, next) = (Kind::Letter { joined: false }, Kind::Letter { joined: true });
        assert_eq!(joins, [Kind::Word, first, next, first, Kind::Word, first]);
        assert_eq!(words("\u{1112}\u{1161}\u{11ab}"), ["한"]);
    }

    #[test]
    fn emoji_are_found_whatever_their_skin() {
        assert_eq!(words("👍🏽 ok ❤️"), ["👍", "ok", "❤"]);
        assert_eq!(words("👩\u{200d}🚀🇮🇳🇫🇷"), ["👩", "🚀", "🇮🇳", "🇫🇷"]);
        assert_eq!(words("?! … — 'x'"), ["x"]);
    }

    #[test]
    fn tokens_know_where_they_stand() {
        let text = "Ça, 机é 👍🏽";
        let mut places = Vec::new();
        each(text, |token| {
            places.push(&text[token.place]);
            ControlFlow::Continue(())
        });
        assert_eq!(places, ["Ça", "机", "é", "👍🏽"]);
    }
}
