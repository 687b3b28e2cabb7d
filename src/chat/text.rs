//! What a person may say: 1 to 32,000 characters, any Unicode but NUL, not only white space.

/// Characters (Unicode scalar values) a message may have at most.
pub(super) const LONGEST: usize = 32_000;

/// A message's text that keeps those rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {LONGEST} characters")]
    TooLong,
    #[error("must not contain U+0000")]
    Nul,
}

impl Text {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        if text.trim().is_empty() {
            Err(TextError::Empty)
        } else if text.contains('\0') {
            Err(TextError::Nul)
        // No character is longer than four bytes: most texts need no counting.
        } else if text.len() > LONGEST && text.chars().count() > LONGEST {
            Err(TextError::TooLong)
        } else {
            Ok(Self(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        assert!(Text::try_from("🙂".repeat(LONGEST)).is_ok());
        assert_eq!(Text::try_from("🙂".repeat(LONGEST + 1)), Err(TextError::TooLong));
        assert_eq!(Text::try_from("a".repeat(LONGEST + 1)), Err(TextError::TooLong));
    }

    #[test]
    fn nothing_is_no_message() {
        assert_eq!(Text::try_from(String::new()), Err(TextError::Empty));
        assert_eq!(Text::try_from(" \n\u{3000}".to_owned()), Err(TextError::Empty));
        assert_eq!(Text::try_from("a\0b".to_owned()), Err(TextError::Nul));
    }
}
