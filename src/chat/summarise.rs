//! What no longer fits is summed up by the model, once, so that the next questions need not forget it.
//!
//! A summary ends at a reply and tells all that was said up to there. It is used only where that reply is an ancestor, so
//! every branch has its own. Each tells on from the one before it.

use std::fmt::Write;

use super::background::{self, Asked};
use super::context::{self, Exchange};
use super::models;
use super::sql::{self, Summary};
use crate::app::App;
use crate::ids::{ChatroomId, MessageId, UserId};
use crate::jobs::{self, Claim, EndError};
use crate::store;

const INSTRUCTION: &str = "You keep the memory of a conversation. Sum up what is below, so that the conversation can go on \
                           from your words alone: names, facts, numbers, wishes, decisions and open questions, in the \
                           conversation's own language. Answer with the summary alone.";
/// A summary's length in tokens, at most, and at most this part of what fits.
const MOST_TOKENS: u32 = 1_024;
const SHARE: u64 = 4;
/// Of what fits, this part stays as it was said: what is summed up at once lasts for a while.
const KEPT: u64 = 2;

/// Sums up what no longer fits before the question of `reply`, in as many steps as it takes. What goes wrong leaves the
/// conversation without a summary, or with the one before.
///
/// # Errors
/// When the claim is in other hands; then nothing more was written.
pub async fn summarise(
    app: &App,
    claim: &Claim,
    (user, room): (UserId, ChatroomId),
    reply: MessageId,
) -> Result<(), EndError> {
    while let Some(step) = next(app, user, room, reply).await? {
        let (text, model, usage) = match background::ask(app, claim, INSTRUCTION, step.text, step.most_tokens).await? {
            Asked::Answer { text, model, usage } => (text, model, usage),
            other => return background::give_up(app, claim, &other).await,
        };
        let text = text.trim().to_owned();
        let now = app.clock.now();
        let is_last = step.is_last || text.is_empty();
        let kept = crate::transaction!(app.store, |tx| {
            let Some(_) = background::count_usage(tx, app, user, usage).await? else { return Ok(false) };
            // Deleted meanwhile: nothing of it is kept.
            let is_there = sql::room(tx, user, room).await?.is_some();
            if is_last || !is_there {
                jobs::finish_house(tx, app.node, claim, "", now).await?;
            } else {
                jobs::hold(tx, app.node, claim).await?;
            }
            if is_there && !text.is_empty() {
                sql::insert_summary(tx, (room, step.ends_at), &text, &model, now).await?;
            }
            Ok::<_, EndError>(is_there)
        })?;
        background::count(app, usage);
        if is_last || !kept {
            return Ok(());
        }
    }
    background::give_up(app, claim, &Asked::Nothing("nothing_to_sum_up")).await
}

/// What is summed up next.
struct Next {
    text: String,
    /// The reply that it ends at.
    ends_at: MessageId,
    most_tokens: u32,
    /// After this, all fits.
    is_last: bool,
}

/// None when nothing needs to be summed up (any more).
async fn next(app: &App, user: UserId, room: ChatroomId, reply: MessageId) -> store::Result<Option<Next>> {
    let mut reader = app.store.read().await?;
    let Some(found) = sql::room(&mut reader, user, room).await? else { return Ok(None) };
    let summary = sql::nearest_summary(&mut reader, reply).await?;
    drop(reader);
    let listed = models::listed(app).await;
    let fits = context::room_for(app, found.model.as_deref().unwrap_or(&app.settings.gemini.model), &listed);
    let end = summary.as_ref().map(|summary| summary.message_id);
    let mut exchanges = context::exchanges(app, reply, |_| true, end).await?;
    // Oldest first; what stays is the newest that takes up no more than its part.
    let mut stays = 0;
    let newest = exchanges.iter().take_while(|exchange| {
        stays += exchange.estimated();
        stays <= fits / KEPT
    });
    let kept = newest.count();
    let told = exchanges.split_off(kept.min(exchanges.len()));
    Ok(step(summary.as_ref(), &told, fits))
}

/// As many of `told` (newest first) as can be shown at once, the oldest first, behind the summary there is.
fn step(summary: Option<&Summary>, told: &[Exchange], fits: u64) -> Option<Next> {
    let most_tokens = u32::try_from(fits / SHARE).unwrap_or(MOST_TOKENS).min(MOST_TOKENS);
    let mut text = summary.map_or_else(String::new, |summary| format!("Summary so far: {}\n\n", summary.content));
    let mut used = 0;
    let mut taken = 0;
    for exchange in told.iter().rev() {
        used += exchange.estimated();
        if taken > 0 && used > fits {
            break;
        }
        taken += 1;
        let _ = write!(text, "User: {}{}\n\n", exchange.shown.all_in_words(), exchange.question.content);
        if let Some(answer) = &exchange.answer {
            let _ = write!(text, "Model: {}\n\n", answer.content);
        }
    }
    let last = told.iter().rev().take(taken).next_back()?;
    let ends_at = last.answer.as_ref()?.id;
    Some(Next { text, ends_at, most_tokens, is_last: taken == told.len() })
}
