//! What the model is shown of files: those of the question, and older ones as far as they fit; the others in words.

use super::Attachment;
use crate::app::App;
use crate::chat::estimate;
use crate::files::{self, Share};
use crate::gemini::{Inline, Part, Request};
use crate::ids::UserId;

/// How many bytes of files may still go with a question, as its conversation is walked from the newest message on.
#[derive(Clone, Copy, Debug)]
pub(in crate::chat) struct Room(u64);

/// The files of one message: those that go as they are, and those that only words are left of.
#[derive(Clone, Debug, Default)]
pub(in crate::chat) struct Shown {
    pub whole: Vec<Attachment>,
    left_out: Vec<Attachment>,
}

/// Files to be read, by the place of their turn.
pub(in crate::chat) type ByTurn = Vec<(usize, Vec<Attachment>)>;

impl Room {
    pub(in crate::chat) const fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// All of them, whether there is room or not: the question is nothing without them.
    pub(in crate::chat) fn take_all(&mut self, files: Vec<Attachment>) -> Shown {
        self.0 = self.0.saturating_sub(files.iter().map(Attachment::size).sum());
        Shown { whole: files, left_out: Vec::new() }
    }

    /// Those that there is room for. Behind the first that there is none for, older ones go no more.
    pub(in crate::chat) fn take_some(&mut self, files: Vec<Attachment>) -> Shown {
        let mut shown = Shown::default();
        for file in files {
            match self.0.checked_sub(file.size()).filter(|_| shown.left_out.is_empty()) {
                Some(left) => {
                    self.0 = left;
                    shown.whole.push(file);
                }
                None => shown.left_out.push(file),
            }
        }
        if !shown.left_out.is_empty() {
            self.0 = 0;
        }
        shown
    }
}

impl Shown {
    /// Leaves all of them out.
    pub(in crate::chat) fn leave_out(&mut self) {
        self.whole.append(&mut self.left_out);
        self.left_out = std::mem::take(&mut self.whole);
    }

    /// What those cost that go as they are.
    pub(in crate::chat) fn cost_of_files(&self) -> u64 {
        self.whole.iter().map(Attachment::cost).sum()
    }

    /// At most so many tokens.
    pub(in crate::chat) fn tokens(&self) -> u64 {
        self.cost_of_files() + self.left_out.iter().map(|file| estimate::tokens(&in_words(file))).sum::<u64>()
    }

    /// Words in place of what is left out, before what was said.
    pub(in crate::chat) fn words(&self) -> impl Iterator<Item = Part> + '_ {
        self.left_out.iter().map(|file| Part::Text(in_words(file)))
    }

    /// Words in place of all of them, for who reads words alone.
    pub(in crate::chat) fn all_in_words(&self) -> String {
        self.whole.iter().chain(&self.left_out).map(|file| in_words(file) + " ").collect()
    }
}

fn in_words(file: &Attachment) -> String {
    let what = if file.media_type.is_picture() { "image" } else { "document" };
    format!("[{what} left out: {}]", file.name)
}

/// Why the files of a question cannot be had.
#[derive(Debug)]
pub(in crate::chat) enum Unreadable {
    /// An object of the question's own is lost.
    Lost,
    /// For now.
    Unavailable,
}

/// Reads files into their turns, before what was said. The share of memory that comes back is held until they are sent; who
/// comes when there is no room waits here. An older one whose object is lost is left out.
pub(in crate::chat) async fn load(
    app: &App,
    owner: UserId,
    request: &mut Request,
    files: ByTurn,
) -> Result<Option<Share>, Unreadable> {
    if files.is_empty() {
        return Ok(None);
    }
    let bytes = files.iter().flat_map(|(_, files)| files).map(Attachment::size).sum();
    let share = app.files.outgoing.wait_for(owner, bytes).await;
    let last = request.contents.len().saturating_sub(1);
    for (turn, files) in files {
        let mut parts = Vec::with_capacity(files.len());
        for file in files {
            parts.push(match app.files.read(file.id).await {
                Ok(data) => Part::InlineData(Inline { mime_type: file.media_type.as_str(), data }),
                Err(files::Error::NotThere) if turn == last => {
                    tracing::error!(attachment = %file.id, "a question's attachment is lost");
                    return Err(Unreadable::Lost);
                }
                Err(files::Error::NotThere) => {
                    tracing::warn!(attachment = %file.id, "an attachment is lost, and left out");
                    Part::Text(in_words(&file))
                }
                Err(cause) => {
                    tracing::warn!(%cause, "a question waits for its attachments");
                    return Err(Unreadable::Unavailable);
                }
            });
        }
        if let Some(turn) = request.contents.get_mut(turn) {
            turn.parts.splice(0..0, parts);
        }
    }
    Ok(Some(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::attachments::Kind;
    use crate::ids::AttachmentId;

    fn file(name: &str, bytes: i64) -> Attachment {
        let id = AttachmentId(uuid::Uuid::now_v7());
        Attachment { id, name: name.into(), media_type: Kind::Png, bytes, tokens: 1_120 }
    }

    fn names(files: &[Attachment]) -> Vec<&str> {
        files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn the_oldest_are_left_out_first_and_the_questions_never() {
        let mut room = Room::of(10);
        let question = room.take_all(vec![file("a", 4), file("b", 4)]);
        assert_eq!((names(&question.whole), question.tokens()), (vec!["a", "b"], 2 * 1_120));
        let newer = room.take_some(vec![file("c", 1), file("d", 2), file("e", 1)]);
        assert_eq!((names(&newer.whole), names(&newer.left_out)), (vec!["c"], vec!["d", "e"]));
        let older = room.take_some(vec![file("f", 1)]);
        assert_eq!((names(&older.whole), names(&older.left_out)), (vec![], vec!["f"]), "it would have fitted");
        assert_eq!(older.words().collect::<Vec<_>>(), [Part::Text("[image left out: f]".into())]);
        let question = Room::of(1).take_all(vec![file("g", 4)]);
        assert_eq!(names(&question.whole), ["g"]);
    }

    #[test]
    fn what_does_not_fit_by_its_tokens_is_left_out_too() {
        let mut shown = Room::of(100).take_some(vec![file("a", 4), file("b", 4)]);
        shown.leave_out();
        assert_eq!((names(&shown.whole), names(&shown.left_out)), (vec![], vec!["a", "b"]));
        assert!(shown.tokens() < 30);
        assert_eq!(shown.all_in_words(), "[image left out: a] [image left out: b] ");
    }
}
