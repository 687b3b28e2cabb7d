//! The `.env` file: `NAME=value` lines as Python's and Node's readers take them.
//!
//! A `$` stands for itself, since generated secrets contain it, and a value may contain spaces without quotes.
//! Errors name the line and never show it: it may hold a secret.

use std::iter::Peekable;
use std::str::Lines;

/// One `NAME=value`, or the number of a line that is none.
pub(super) type Line = Result<(String, String), usize>;

/// Reads a whole file. `'literal'`, `"with \n escapes"` (both may span lines), or bare up to ` #`.
pub(super) fn parse(text: &str) -> Vec<Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Numbered { lines: text.lines().peekable(), number: 0 };
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let number = lines.number;
            found.push(pair(line, &mut lines).ok_or(number));
        }
    }
    found
}

struct Numbered<'t> {
    lines: Peekable<Lines<'t>>,
    number: usize,
}

impl<'t> Numbered<'t> {
    fn next(&mut self) -> Option<&'t str> {
        self.number += 1;
        self.lines.next()
    }
}

fn pair(line: &str, rest: &mut Numbered<'_>) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_name) {
        return None;
    }
    let value = value.trim_start();
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote, rest)?,
        _ => bare(value).to_owned(),
    };
    Some((name.to_owned(), value))
}

fn bare(value: &str) -> &str {
    if value.starts_with('#') {
        return "";
    }
    let comment = value.char_indices().find(|&(at, c)| c == '#' && value[..at].ends_with([' ', '\t']));
    comment.map_or(value, |(at, _)| &value[..at]).trim_end()
}

fn quoted(first: &str, quote: char, rest: &mut Numbered<'_>) -> Option<String> {
    let mut value = String::new();
    let mut line = first;
    loop {
        let mut chars = line.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                let after = line[at + 1..].trim_start();
                return (after.is_empty() || after.starts_with('#')).then_some(value);
            }
            match c {
                '\\' if quote == '"' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, same @ ('"' | '\\' | '$' | '\''))) => value.push(same),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => value.push('\\'),
                },
                _ => value.push(c),
            }
        }
        value.push('\n');
        line = rest.next()?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    fn one(text: &str) -> (String, String) {
        let mut found = parse(text);
        assert_eq!(found.len(), 1, "{text:?}");
        found.remove(0).expect("a pair")
    }

    #[test]
    fn values_are_read_as_the_older_readers_read_them() {
        for (line, value) in [
            ("A=plain", "plain"),
            ("  export A = spaced out value  # a comment", "spaced out value"),
            ("A=with#hash", "with#hash"),
            ("A=  # nothing", ""),
            ("A=", ""),
            ("A=x==", "x=="),
            ("A='lit\\n$x' # c", "lit\\n$x"),
            ("A=\"a\\nb\\\"c\\d\"", "a\nb\"c\\d"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=django-insecure-$a#b", "django-insecure-$a#b"),
            ("\u{feff}A=first", "first"),
        ] {
            assert_eq!(one(line), ("A".to_owned(), value.to_owned()), "{line:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_pair_is_told_by_its_number() {
        assert_eq!(
            parse("# c\nA=1\nnonsense\n9=x\nB=2"),
            [Ok(("A".into(), "1".into())), Err(3), Err(4), Ok(("B".into(), "2".into()))]
        );
        assert_eq!(parse("A=1\nB=\"never closed\nC=3"), [Ok(("A".into(), "1".into())), Err(2)]);
        assert_eq!(parse("A='x' y"), [Err(1)]);
    }

    proptest! {
        #[test]
        fn any_text_survives_single_quotes(value in "[^'\r\n]*") {
            prop_assert_eq!(one(&format!("A='{value}'")).1, value);
        }

        #[test]
        fn no_file_breaks_the_reader(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
