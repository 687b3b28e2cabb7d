//! The messages: what was to be sent to whom, and how that was answered. Bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Twilio,
    Webhook,
}

/// One request to send a message, whether it was taken or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Counts from 1.
    pub id: u64,
    pub way: Way,
    pub to: String,
    /// Twilio's `From`.
    pub from: Option<String>,
    /// Twilio's `MessagingServiceSid`.
    pub service: Option<String>,
    pub text: String,
    /// The rest of what a webhook says.
    pub webhook: serde_json::Value,
    /// How it was answered; 0 when it was not.
    pub status: u16,
    /// Twilio's code of the refusal.
    pub error: Option<u32>,
}

impl Kept {
    pub(super) fn new(way: Way, to: &str, text: &str) -> Self {
        let (to, text, webhook) = (to.to_owned(), text.to_owned(), serde_json::Value::Null);
        Self { id: 0, way, to, from: None, service: None, text, webhook, status: 0, error: None }
    }
}

#[derive(Debug)]
pub(super) struct Messages {
    kept: Mutex<(u64, VecDeque<Kept>)>,
    most: usize,
}

impl Messages {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: Mutex::default(), most: most.max(1) }
    }

    /// Keeps one, and forgets the oldest when there are too many; its id.
    pub(super) fn keep(&self, message: Kept) -> u64 {
        let mut kept = self.lock();
        kept.0 += 1;
        let id = kept.0;
        kept.1.push_back(Kept { id, ..message });
        while kept.1.len() > self.most {
            kept.1.pop_front();
        }
        id
    }

    /// Those after `id` to a number that begins with `to`, oldest first.
    pub(super) fn all(&self, after: u64, to: &str) -> Vec<Kept> {
        let kept = self.lock();
        kept.1.iter().filter(|message| message.id > after && message.to.starts_with(to)).cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.lock().1.clear();
    }

    fn lock(&self) -> MutexGuard<'_, (u64, VecDeque<Kept>)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_remembered() {
        let messages = Messages::new(2);
        for to in ["+911", "+912", "+13"] {
            messages.keep(Kept::new(Way::Twilio, to, "Hello"));
        }
        let numbers = |after, to| messages.all(after, to).into_iter().map(|kept| kept.to).collect::<Vec<_>>();
        assert_eq!(numbers(0, ""), ["+912", "+13"]);
        assert_eq!(numbers(2, ""), ["+13"]);
        assert_eq!(numbers(0, "+91"), ["+912"]);
    }
}
