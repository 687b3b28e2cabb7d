//! What stands in the index, and what is asked of it. Both are made here and not by the database, so that either engine
//! finds the same.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use super::tokens::{self, Kind, Token};
use crate::ids::UserId;

/// Letters that count of a word: what is longer is seldom one, and PostgreSQL has room for 2 KB.
const LONGEST_WORD: usize = 40;
/// From so many letters on a word of a query stands for all that begin with it.
const SHORTEST_PREFIX: usize = 3;
/// Bytes of all terms of one message; what comes after is not found. A `tsvector` holds 1 MB.
const ROOM_FOR_TERMS: usize = 500_000;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a message of somebody's is found by: distinct terms, a space between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Terms(String);

impl Terms {
    pub(in crate::chat) fn of(owner: UserId, text: &str) -> Self {
        let (mut kept, mut bytes) = (BTreeSet::new(), 0);
        let tag = tag(owner);
        each_term(text, |term| {
            let size = tag.len() + term.len() + 1;
            if bytes + size > ROOM_FOR_TERMS {
                return ControlFlow::Break(());
            }
            if kept.insert(term) {
                bytes += size;
            }
            ControlFlow::Continue(())
        });
        let mut all = String::with_capacity(bytes);
        for term in kept {
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(&tag);
            all.push_str(&term);
        }
        Self(all)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Thirty bits of the owner: so short that it costs little in front of every term. Two people may share a tag; whose a
/// message is the statement asks besides.
fn tag(owner: UserId) -> String {
    let hash = Sha256::digest(owner.0.as_bytes());
    hash.iter().take(6).map(|byte| char::from(BASE32[usize::from(byte % 32)])).collect()
}

/// Every term of a text: words, letters of scripts without spaces with the pairs of them, symbols.
fn each_term(text: &str, mut take: impl FnMut(String) -> ControlFlow<()>) {
    let mut before = String::new();
    tokens::each(text, |Token { kind, text, .. }| {
        match kind {
            Kind::Word => return take(shortened(text)),
            Kind::Symbol => return take(text),
            Kind::Letter { joined: true } => take(format!("{before}{text}"))?,
            Kind::Letter { joined: false } => {}
        }
        before.clone_from(&text);
        take(text)
    });
}

fn shortened(mut word: String) -> String {
    if let Some((at, _)) = word.char_indices().nth(LONGEST_WORD) {
        word.truncate(at);
    }
    word
}

/// What somebody looks for: messages that have all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// Terms that must be there as they are.
    pub(super) whole: BTreeSet<String>,
    /// Words that a word must begin with.
    pub(super) begun: BTreeSet<String>,
}

impl Query {
    pub(super) fn of(text: &str) -> Self {
        let mut query = Self::default();
        // A letter of a script without spaces is looked for with its neighbours; alone only when it has none.
        let mut alone: Option<String> = None;
        let mut before = String::new();
        tokens::each(text, |Token { kind, text, .. }| {
            if kind == (Kind::Letter { joined: true }) {
                alone = None;
                query.whole.insert(format!("{before}{text}"));
                before = text;
                return ControlFlow::Continue(());
            }
            query.whole.extend(alone.take());
            match kind {
                Kind::Word => {
                    let word = shortened(text);
                    let is_begun = word.chars().count() >= SHORTEST_PREFIX;
                    if is_begun { &mut query.begun } else { &mut query.whole }.insert(word);
                }
                Kind::Symbol => {
                    query.whole.insert(text);
                }
                Kind::Letter { .. } => {
                    alone = Some(text.clone());
                    before = text;
                }
            }
            ControlFlow::Continue(())
        });
        query.whole.extend(alone);
        query
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.begun.is_empty()
    }

    /// As FTS5 reads it: what has every word as it is written, and what has one only in a longer word.
    pub(super) fn to_fts5(&self, owner: UserId) -> (String, Option<String>) {
        let said = |term: &str| format!("\"{}{term}\"", tag(owner));
        self.to_expressions(" AND ", said, |word| format!("{} *", said(word)), "NOT")
    }

    /// As PostgreSQL's `tsquery` reads it.
    pub(super) fn to_tsquery(&self, owner: UserId) -> (String, Option<String>) {
        let said = |term: &str| format!("'{}{term}'", tag(owner));
        self.to_expressions(" & ", said, |word| format!("{}:*", said(word)), "& !")
    }

    fn to_expressions(
        &self,
        and: &str,
        whole: impl Fn(&str) -> String,
        begun: impl Fn(&str) -> String,
        but_not: &str,
    ) -> (String, Option<String>) {
        let all = |word: &dyn Fn(&str) -> String| {
            let terms = self.whole.iter().map(|term| whole(term)).chain(self.begun.iter().map(|term| word(term)));
            terms.collect::<Vec<_>>().join(and)
        };
        let exact = all(&whole);
        let longer = (!self.begun.is_empty()).then(|| format!("({}) {but_not} ({exact})", all(&begun)));
        (exact, longer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> (Vec<String>, Vec<String>) {
        let Query { whole, begun } = Query::of(text);
        (whole.into_iter().collect(), begun.into_iter().collect())
    }

    fn terms(text: &str) -> Vec<String> {
        let owner = UserId(uuid::Uuid::nil());
        let tag = tag(owner);
        Terms::of(owner, text).as_str().split(' ').map(|term| term.replacen(&tag, "", 1)).collect()
    }

    #[test]
    fn letters_without_spaces_are_kept_alone_and_in_pairs() {
        assert_eq!(terms("天气好 天"), ["天", "天气", "好", "气", "气好"]);
        assert_eq!(query("天气好").0, ["天气", "气好"]);
        assert_eq!(query("天 气").0, ["天", "气"]);
        assert_eq!(query("天a气b").0, ["a", "b", "天", "气"]);
    }

    #[test]
    fn words_of_three_letters_are_beginnings() {
        assert_eq!(query("to Tok tokyo 👍"), (vec!["to".into(), "👍".into()], vec!["tok".into(), "tokyo".into()]));
    }

    #[test]
    fn queries_are_only_text() {
        assert!(Query::of("\"*'&|!():\\ -- NEAR/ ;").begun.iter().eq(["near"]));
        assert!(Query::of("?!").is_empty());
        let (exact, longer) = Query::of("a' OR \"b*\" : &").to_tsquery(UserId(uuid::Uuid::nil()));
        assert_eq!((exact.matches('\'').count(), longer), (6, None));
    }

    #[test]
    fn no_message_has_more_terms_than_there_is_room_for() {
        let text: String = (0..400_000_u32).filter_map(|n| char::from_u32(0x4e00 + n * 7919 % 20_000)).collect();
        assert!(Terms::of(UserId(uuid::Uuid::nil()), &text).as_str().len() <= ROOM_FOR_TERMS);
        assert_eq!(terms(&"x".repeat(1000))[0].len(), LONGEST_WORD);
    }
}
