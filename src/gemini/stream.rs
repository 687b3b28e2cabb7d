//! An answer while it is being written.

use std::collections::VecDeque;

use super::frames::Frames;
use super::incoming::Incoming;
use super::reading::Reading;
use super::{Answer, Error, Outcome, Usage};

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Whole characters, never empty, without NULs.
    Text(String),
    /// What the model thought; not part of the answer.
    Thought(String),
    /// The answer is over and Gemini said so.
    End(Outcome),
}

/// A running answer. Dropping it hangs up, and Gemini stops writing.
#[derive(Debug)]
pub struct Stream {
    incoming: Incoming,
    frames: Frames,
    reading: Reading,
    events: VecDeque<Event>,
    failed: Option<Error>,
}

impl Stream {
    pub(super) fn of(incoming: Incoming) -> Self {
        let (frames, reading, events) = (Frames::default(), Reading::default(), VecDeque::new());
        Self { incoming, frames, reading, events, failed: None }
    }

    /// The next step; after [`Event::End`] or an error the same again.
    ///
    /// Safe to drop and call again, as `select!` does: nothing is lost and no time limit starts anew.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if let Some(outcome) = self.reading.outcome().filter(|_| self.incoming.is_over()) {
                return Ok(Event::End(outcome));
            }
            if let Err(error) = self.read().await {
                self.incoming.hang_up();
                // Once Gemini has said why it ended, what breaks afterwards takes nothing away.
                self.failed = (!self.reading.is_finished()).then_some(error);
            }
        }
    }

    /// Tokens as last counted, also for an answer that was cut or is given up.
    pub fn usage(&self) -> Option<Usage> {
        self.reading.usage
    }

    /// Reads to the end.
    pub(super) async fn collect(mut self) -> Result<Answer, Error> {
        let (mut text, mut thoughts) = (String::new(), String::new());
        loop {
            match self.next().await? {
                Event::Text(piece) => text += &piece,
                Event::Thought(piece) => thoughts += &piece,
                Event::End(outcome) => return Ok(Answer { text, thoughts, outcome }),
            }
        }
    }

    /// Reads the next bytes and whatever is whole with them.
    async fn read(&mut self) -> Result<(), Error> {
        match self.incoming.next(self.reading.is_finished()).await? {
            Some(bytes) => self.frames.feed(&bytes).map_err(|_| Error::Cut("a frame had no end".to_owned()))?,
            None => self.frames.end(),
        }
        while let Some(document) = self.frames.next() {
            self.reading.take(&document, &mut self.events, self.incoming.key())?;
        }
        if self.incoming.is_over() && !self.reading.is_finished() {
            return Err(Error::Cut("it ended without a finish reason".to_owned()));
        }
        Ok(())
    }
}
