//! Texts into values. Each answers with what it expected, as a phrase that follows the setting's name.

use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) type Parsed<T> = Result<T, String>;

#[expect(clippy::unnecessary_wraps, reason = "a parser like the others")]
pub(super) fn text(value: &str) -> Parsed<String> {
    Ok(value.to_owned())
}

pub(super) fn boolean(value: &str) -> Parsed<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

pub(super) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Parsed<T>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    move |value| match value.replace('_', "").parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("is not a whole number from {} to {}", range.start(), range.end())),
    }
}

pub(super) fn seconds(range: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<Duration> {
    move |value| number(range.clone())(value).map(Duration::from_secs)
}

pub(super) fn minutes(range: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<Duration> {
    move |value| number(range.clone())(value).map(Duration::from_mins)
}

pub(super) fn hours(range: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<Duration> {
    move |value| number(range.clone())(value).map(Duration::from_hours)
}

pub(super) fn days(range: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<Duration> {
    move |value| number(range.clone())(value).map(|days| Duration::from_hours(24 * days))
}

/// One of a few words, in any case.
pub(super) fn choice<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |value| {
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("is not {}", words.join(" or "))
        })
    }
}

/// Items apart by commas or white space; a JSON list is taken too.
pub(super) fn list(value: &str) -> Vec<String> {
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    let items = inner.split(|c: char| c == ',' || c.is_whitespace()).map(|item| item.trim_matches(['"', '\'']));
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

pub(super) fn web_address(value: &str) -> Parsed<url::Url> {
    match url::Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("is not an address like https://example.com".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_in_every_spelling() {
        for text in ["a,b", "a b", " a , b ,", r#"["a", "b"]"#, "['a','b']"] {
            assert_eq!(list(text), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert_eq!(number(1..=20)("20"), Ok(20));
        assert_eq!(number(1..=200_000)("32_000"), Ok(32_000));
        for wrong in ["0", "21", "-1", "1.5", "x", ""] {
            assert!(number(1..=20_u32)(wrong).is_err(), "{wrong}");
        }
    }
}
