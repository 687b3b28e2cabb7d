//! How many tokens a text is at most, without asking Gemini.
//!
//! An upper bound by design: a context that was thought to fit and does not is a refusal from Gemini, one that was
//! thought too long only forgets a turn early. Tokenizers of this family give Latin words about a token for four
//! letters (three are taken here), digits and signs one each, other scripts up to one a character, emoji two or three.

/// What a turn costs beside its text: role and separators.
pub(super) const PER_TURN: u64 = 4;

/// At most this many tokens.
#[must_use]
pub fn tokens(text: &str) -> u64 {
    let mut sum = Sum::default();
    for character in text.chars() {
        match character {
            'a'..='z' | 'A'..='Z' => {
                // The one space before a word is part of it.
                sum.end_spaces(1);
                sum.letters += 1;
            }
            ' ' => {
                sum.end_letters();
                sum.spaces += 1;
            }
            other => {
                sum.end_letters();
                sum.end_spaces(0);
                sum.thirds += match other {
                    '\u{0}'..='\u{7ff}' => 3,
                    '\u{800}'..='\u{ffff}' => 4,
                    _ => 9,
                };
            }
        }
    }
    sum.end_letters();
    sum.end_spaces(0);
    sum.thirds.div_ceil(3)
}

/// Thirds of a token so far, and the run of letters or spaces that is not over yet.
#[derive(Default)]
struct Sum {
    thirds: u64,
    letters: u64,
    spaces: u64,
}

impl Sum {
    const fn end_letters(&mut self) {
        self.thirds += self.letters.div_ceil(3) * 3;
        self.letters = 0;
    }

    const fn end_spaces(&mut self, free: u64) {
        self.thirds += self.spaces.saturating_sub(free).div_ceil(3) * 3;
        self.spaces = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn words_signs_and_scripts_have_their_price() {
        for (text, most) in [("", 0), ("hi", 1), ("hello world", 4), ("2026", 4), ("a b c", 3), ("你好", 3), ("🙂", 3)]
        {
            assert_eq!(tokens(text), most, "{text}");
        }
    }
}
