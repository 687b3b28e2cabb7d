//! What a file is called: as its person has it, without what a name must not have.

/// Characters (Unicode scalar values) a name may have at most.
const LONGEST: usize = 255;
/// What is kept of an ending when a name is cut.
const LONGEST_ENDING: usize = 16;
/// What remains of a name of which nothing may stay.
const OTHERWISE: &str = "file";

/// A name that is safe to show and to save under: no folders, no control characters, nothing that turns text around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Whatever was given, something of it becomes a name.
    #[must_use]
    pub fn of(given: &str) -> Self {
        let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
        let kept: String = last.chars().filter(|letter| !is_unsafe(*letter)).collect();
        let name = kept.trim_end().trim_start_matches(|letter: char| letter == '.' || letter.is_whitespace());
        if name.is_empty() { Self(OTHERWISE.to_owned()) } else { Self(cut(name)) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those by which a name would look like another: marks of direction, and such as cannot be seen.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Its beginning and its ending.
fn cut(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    let ending = name.rfind('.').map(|at| &name[at..]).filter(|ending| ending.chars().count() <= LONGEST_ENDING);
    let ending = ending.unwrap_or_default();
    let kept = LONGEST - ending.chars().count();
    let kept: String = name.chars().take(kept).collect();
    format!("{}{ending}", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_keeps_its_letters_and_loses_its_folders() {
        for (given, name) in [
            ("photo.png", "photo.png"),
            ("Réise 北京 नमस्ते 👩‍👩‍👧.jpg", "Réise 北京 नमस्ते 👩‍👩‍👧.jpg"),
            ("C:\\fakepath\\a b.pdf", "a b.pdf"),
            ("../../etc/passwd", "passwd"),
            (".htaccess", "htaccess"),
            ("evil\u{202e}gnp.exe", "evilgnp.exe"),
            ("a\r\nb\0.png", "ab.png"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            ("\"quoted\"; x.png", "\"quoted\"; x.png"),
        ] {
            assert_eq!(Name::of(given).as_str(), name, "{given:?}");
        }
        let long = format!("{}.jpeg", "ä".repeat(300));
        assert_eq!(Name::of(&long).as_str(), format!("{}.jpeg", "ä".repeat(250)));
    }

    proptest! {
        #[test]
        fn every_name_is_short_and_plain(given in any::<String>()) {
            let name = Name::of(&given);
            let name = name.as_str();
            prop_assert!((1..=LONGEST).contains(&name.chars().count()));
            prop_assert!(!name.contains(['/', '\\', '\0', '\n']) && !name.starts_with('.') && name == Name::of(name).as_str());
        }
    }
}
