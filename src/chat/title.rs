//! A name for a room that has none, from its first exchange.

use super::background::{self, Asked};
use super::{Status, sql};
use crate::app::App;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::jobs::{self, Claim, EndError};

const INSTRUCTION: &str = "Give the conversation below a title of two to six words, in its own language. \
                           Answer with the title alone: no quotation marks, no full stop, no explanation.";
/// Characters of either side that are shown.
const SHOWN: usize = 1_000;
/// A title is short; some models think before it, and thoughts count.
const MOST_TOKENS: u32 = 1_024;
const LONGEST: usize = 80;

/// Names the room, unless somebody was quicker. Nothing that goes wrong is anybody's concern: then it has no name.
///
/// # Errors
/// When the claim is in other hands; then nothing was written.
pub async fn name_room(
    app: &App,
    claim: &Claim,
    (user, room): (UserId, ChatroomId),
    reply: MessageId,
) -> Result<(), EndError> {
    let Some(exchange) = exchange(app, user, room, reply).await? else {
        return background::give_up(app, claim, &Asked::Nothing("nothing_to_name")).await;
    };
    let (text, usage) = match background::ask(app, claim, INSTRUCTION, exchange, MOST_TOKENS).await? {
        Asked::Answer { text, usage, .. } => (text, usage),
        other => return background::give_up(app, claim, &other).await,
    };
    let title = clean(&text);
    let now = app.clock.now();
    let people = app.people.change(user);
    let named = crate::transaction!(app.store, |tx| {
        let Some(queue) = background::count_usage(tx, app, user, usage).await? else { return Ok(None) };
        jobs::finish_house(tx, app.node, claim, "", now).await?;
        let Some(title) = &title else { return Ok(None) };
        if !sql::give_title(tx, (user, room), title, queue.rev, now).await? {
            return Ok(None);
        }
        Ok::<_, EndError>(Some(sql::raise_rooms_rev(tx, user).await?))
    });
    match &named {
        Ok(Some(rooms_rev)) => people.rooms(*rooms_rev),
        Ok(None) | Err(EndError::Lost) => people.nothing(),
        // Whether it was committed is not known.
        Err(EndError::Store(_)) => drop(people),
    }
    if named?.is_some() {
        app.live.ring(user, room);
    }
    background::count(app, usage);
    Ok(())
}

/// What was said first, as it is shown to the model. None when there is nothing to name any more.
async fn exchange(
    app: &App,
    user: UserId,
    room: ChatroomId,
    reply: MessageId,
) -> Result<Option<String>, crate::store::Error> {
    let mut reader = app.store.read().await?;
    if sql::room(&mut reader, user, room).await?.is_none_or(|room| room.name.is_some()) {
        return Ok(None);
    }
    let Some(answer) = sql::message(&mut reader, room, reply).await?.filter(|reply| reply.status == Status::Complete)
    else {
        return Ok(None);
    };
    let Some(parent) = answer.parent_id else { return Ok(None) };
    let Some(question) = sql::message(&mut reader, room, parent).await? else { return Ok(None) };
    let shown = |text: &str| text.chars().take(SHOWN).collect::<String>();
    Ok(Some(format!("User: {}\n\nModel: {}", shown(&question.content), shown(&answer.content))))
}

/// The first line that says something, without the ornaments that models like to add. None when nothing is left.
fn clean(answer: &str) -> Option<String> {
    let ornament = |letter: char| {
        letter.is_whitespace()
            || matches!(letter, '"' | '\'' | '“' | '”' | '‘' | '’' | '«' | '»' | '*' | '#' | '`' | '_')
    };
    answer.lines().find_map(|line| {
        let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
        let line = line.trim_matches(ornament);
        let line = ["Title:", "title:"].iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
        let line = line.trim_matches(ornament);
        let line = line.strip_suffix(['.', '。', '।']).unwrap_or(line).split_whitespace().collect::<Vec<_>>().join(" ");
        (!line.is_empty()).then(|| shorten(&line))
    })
}

/// Cut after a whole word where there are words.
fn shorten(line: &str) -> String {
    let Some((end, _)) = line.char_indices().nth(LONGEST) else { return line.to_owned() };
    let cut = &line[..end];
    let cut = cut.rfind(' ').filter(|at| *at > end / 2).map_or(cut, |at| &cut[..at]);
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, clean};

    #[test]
    fn only_the_title_is_left_of_an_answer() {
        for (answer, title) in [
            ("Trip to Rome", "Trip to Rome"),
            ("\"Trip to Rome.\"", "Trip to Rome"),
            ("\n**Title: Trip to Rome**\nBecause you asked for it.", "Trip to Rome"),
            ("# रोम की यात्रा।", "रोम की यात्रा"),
            ("「罗马之行」", "「罗马之行」"),
            ("Trip\u{1b}[31m to\tRome", "Trip[31m toRome"),
        ] {
            assert_eq!(clean(answer).as_deref(), Some(title), "{answer:?}");
        }
        for answer in ["", "\n \n", "\"\"", "***"] {
            assert_eq!(clean(answer), None, "{answer:?}");
        }
        let long = clean(&"word ".repeat(100)).expect("a title");
        assert!(long.chars().count() <= LONGEST + 1 && long.ends_with("word…"), "{long}");
        assert_eq!(clean(&"字".repeat(300)).map(|title| title.chars().count()), Some(LONGEST + 1));
    }
}
