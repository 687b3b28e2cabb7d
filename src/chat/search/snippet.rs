//! The part of a message that shows why it was found.

use std::ops::{ControlFlow, Range};

use super::terms::Query;
use super::tokens::{self, Kind, Token};

/// Characters of the text that are shown, and how many of them stand before the first hit.
const LENGTH: usize = 160;
const BEFORE: usize = 50;

/// About 160 characters around the first hit, as HTML: every hit between `<mark>` and `</mark>`, the text itself escaped
/// (`&amp; &lt; &gt; &quot; &#39;`), white space made one space, `…` where something was left away.
pub(super) fn snippet(text: &str, query: &Query) -> String {
    let Window { shown, hits } = window(text, query);
    let mut html = String::new();
    if shown.start > 0 {
        html.push('…');
    }
    let mut at = shown.start;
    for hit in hits {
        escape(&text[at..hit.start], &mut html);
        html.push_str("<mark>");
        escape(&text[hit.clone()], &mut html);
        html.push_str("</mark>");
        at = hit.end;
    }
    escape(&text[at..shown.end], &mut html);
    if shown.end < text.len() {
        html.push('…');
    }
    html
}

struct Window {
    shown: Range<usize>,
    /// In their order, none in another.
    hits: Vec<Range<usize>>,
}

fn window(text: &str, query: &Query) -> Window {
    let mut hits: Vec<Range<usize>> = Vec::new();
    let mut shown = None;
    let mut before: Option<Token> = None;
    tokens::each(text, |token| {
        if shown.as_ref().is_some_and(|shown: &Range<usize>| token.place.start >= shown.end) {
            return ControlFlow::Break(());
        }
        if let Some(hit) = hit(query, before.as_ref(), &token) {
            let shown = shown.get_or_insert_with(|| around(text, &hit));
            // A word longer than the window is marked as far as it is shown.
            let hit = hit.start..hit.end.min(shown.end);
            match hits.last_mut() {
                Some(last) if last.end >= hit.start => last.end = last.end.max(hit.end),
                _ => hits.push(hit),
            }
        }
        before = Some(token);
        ControlFlow::Continue(())
    });
    Window { shown: shown.unwrap_or_else(|| around(text, &(0..0))), hits }
}

/// Where the query is met by a token, with the letter before it where both are looked for together.
fn hit(query: &Query, before: Option<&Token>, token: &Token) -> Option<Range<usize>> {
    match (token.kind, before) {
        (Kind::Word, _) => {
            let is_hit =
                query.whole.contains(&token.text) || query.begun.iter().any(|word| token.text.starts_with(word));
            is_hit.then(|| token.place.clone())
        }
        (Kind::Letter { joined: true }, Some(before))
            if query.whole.contains(&format!("{}{}", before.text, token.text)) =>
        {
            Some(before.place.start..token.place.end)
        }
        _ => query.whole.contains(&token.text).then(|| token.place.clone()),
    }
}

fn around(text: &str, hit: &Range<usize>) -> Range<usize> {
    let start = text[..hit.start].char_indices().rev().take(BEFORE).last().map_or(hit.start, |(at, _)| at);
    let start = if start == 0 { 0 } else { word_start(text, start, hit.start) };
    let end = text[start..].char_indices().nth(LENGTH).map_or(text.len(), |(at, _)| start + at);
    // A hit wider than all of it is cut, one that sticks out is not.
    start..if hit.end > end && hit.end - hit.start < LENGTH { hit.end } else { end }
}

/// Behind the first white space, if there is any before the hit: no word is shown by its end alone.
fn word_start(text: &str, from: usize, hit: usize) -> usize {
    let part = &text[from..hit];
    part.char_indices()
        .find(|(_, letter)| letter.is_whitespace())
        .map_or(from, |(at, space)| from + at + space.len_utf8())
}

fn escape(text: &str, html: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            space if space.is_whitespace() => {
                if !html.ends_with(' ') {
                    html.push(' ');
                }
            }
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, query: &str) -> String {
        snippet(text, &Query::of(query))
    }

    #[test]
    fn hits_are_marked_and_the_rest_is_only_text() {
        assert_eq!(
            shown("Crème <b>& co</b>", "creme co"),
            "<mark>Crème</mark> &lt;b&gt;&amp; <mark>co</mark>&lt;/b&gt;"
        );
        assert_eq!(shown("a\n\n \"Tokyo's\" b", "tok"), "a &quot;<mark>Tokyo</mark>&#39;s&quot; b");
        assert_eq!(shown("今天天气很好", "天气好"), "今天<mark>天气</mark>很好");
        assert_eq!(shown("ok 👍🏽!", "👍"), "ok <mark>👍🏽</mark>!");
        assert_eq!(shown("天气预报员", "天气预"), "<mark>天气预</mark>报员");
    }

    #[test]
    fn it_lies_around_the_first_hit() {
        let text = format!("{} needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let snippet = shown(&text, "needle");
        assert!(snippet.starts_with("…hay ") && snippet.ends_with('…'), "{snippet}");
        assert!(snippet.contains(" <mark>needle</mark> straw "), "{snippet}");
        assert!((120..=190).contains(&snippet.chars().count()), "{snippet}");
        assert_eq!(shown(&"é".repeat(500), "eee").chars().filter(|letter| *letter == 'é').count(), LENGTH);
    }
}
