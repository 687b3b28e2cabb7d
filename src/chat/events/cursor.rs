//! [`Cursor`]: what a reader has seen. Clients keep it as the id of the last event and hand it back to go on from there.

use std::fmt;
use std::str::FromStr;

use crate::ids::MessageId;

/// Replies that one cursor may follow: more than anybody has written at once.
const MOST_PLACES: usize = 64;

/// What a reader has seen: every change through `rev`, and the text of replies as far as their places say.
///
/// Written `rev.reply.attempt.offset`, with the last three again for each further reply, or `rev.-.0.0` without one; with
/// `rev~seq` that change is seen as far as the message with this `seq` only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub rev: i64,
    /// Of the change `rev` only messages up to this `seq` were seen, and not what comes after them.
    pub part: Option<i64>,
    /// Replies that were begun and whose end was not seen.
    pub places: Vec<Place>,
}

/// How much of a reply was seen; attempt 0: that it was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub reply: MessageId,
    pub attempt: i64,
    /// UTF-8 bytes of that attempt's text.
    pub offset: usize,
}

/// An id that no event had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of an event")]
pub struct BadCursor;

impl Cursor {
    /// After all that a transaction did.
    #[must_use]
    pub fn after(rev: i64) -> Self {
        Self { rev, ..Self::default() }
    }

    #[must_use]
    pub fn with(mut self, reply: MessageId, attempt: i64, offset: usize) -> Self {
        self.places.push(Place { reply, attempt, offset });
        self
    }

    /// The newest change that was seen whole.
    pub(super) fn whole(&self) -> i64 {
        if self.part.is_some() { self.rev - 1 } else { self.rev }
    }

    pub(super) fn place(&self, reply: MessageId) -> Option<Place> {
        self.places.iter().find(|place| place.reply == reply).copied()
    }

    pub(super) fn set_place(&mut self, place: Place) {
        match self.places.iter_mut().find(|kept| kept.reply == place.reply) {
            Some(kept) => *kept = place,
            None => self.places.push(place),
        }
    }

    /// Whether what a change did to the message with this `seq` is news.
    pub(super) fn is_news(&self, rev: i64, seq: i64) -> bool {
        rev > self.rev || (rev == self.rev && self.part.is_some_and(|part| seq > part))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.rev)?;
        if let Some(part) = self.part {
            write!(out, "~{part}")?;
        }
        if self.places.is_empty() {
            return out.write_str(".-.0.0");
        }
        for Place { reply, attempt, offset } in &self.places {
            write!(out, ".{reply}.{attempt}.{offset}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let mut parts = text.split('.');
        let rev = parts.next().ok_or(BadCursor)?;
        let (rev, part) = match rev.split_once('~') {
            Some((rev, part)) => (number(rev)?, Some(number(part)?)),
            None => (number(rev)?, None),
        };
        let mut cursor = Self { rev, part, places: Vec::new() };
        let parts: Vec<_> = parts.collect();
        if parts == ["-", "0", "0"] {
            return Ok(cursor);
        }
        if parts.is_empty() || parts.len() % 3 != 0 || parts.len() / 3 > MOST_PLACES {
            return Err(BadCursor);
        }
        for place in parts.chunks(3) {
            let [reply, attempt, offset] = place else { return Err(BadCursor) };
            let offset = usize::try_from(number(offset)?).map_err(|_| BadCursor)?;
            let reply = reply.parse().map_err(|_| BadCursor)?;
            cursor.set_place(Place { reply, attempt: number(attempt)?, offset });
        }
        Ok(cursor)
    }
}

/// Digits alone: no sign, no space.
fn number(text: &str) -> Result<i64, BadCursor> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain).ok_or(BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn what_is_written_is_read() {
        let reply = || MessageId::new(Moment::from_millis(7));
        let none = Cursor::after(7);
        assert_eq!(none.to_string(), "7.-.0.0");
        let one = Cursor::after(8).with(reply(), 2, 31);
        let more = Cursor { part: Some(4), ..one.clone().with(reply(), 1, 0) };
        for cursor in [none, one, more] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_no_event_had_is_refused() {
        let id = MessageId::new(Moment::from_millis(7));
        let long = format!("1{}", format!(".{id}.1.0").repeat(MOST_PLACES + 1));
        for text in ["", "7", "x.-.0.0", "7.-.0", "7.-.0.0.0", "-7.-.0.0", "+7.-.0.0", "7~.-.0.0", "7.x.1.1", &long] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
        assert_eq!(format!("7.{id}.-1.0").parse::<Cursor>(), Err(BadCursor));
        assert_eq!(format!("7.{id}.1.99999999999999999999").parse::<Cursor>(), Err(BadCursor));
    }
}
