//! What the model gets to see: the ancestors of the reply, the newest whole turns that fit.
//!
//! A turn is a person's message and the answer to it. A failed one is no context, nor one that was cancelled before its
//! first word. The question itself is always there; if it alone is too long, nothing is asked.

use super::sql::{self, Place, Step, Task};
use super::{SendError, estimate};
use crate::app::App;
use crate::gemini::{Listed, Turn};
use crate::store;

/// How many ancestors are read at a time.
const PAGE: i64 = 64;

/// The question alone is longer than what fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow {
    pub estimated: u64,
    pub fits: u64,
}

/// Refuses a message that could not be asked even without what came before it. Asks nobody, for a transaction is open:
/// what the models take in was `listed` before.
pub(super) fn must_fit(app: &App, place: &Place, text: &str, listed: &Listed) -> Result<(), SendError> {
    let model = place.model.as_deref().unwrap_or(&app.settings.gemini.model);
    let fits = room_for(app, model, listed);
    let estimated = fixed(place.system_instruction.as_deref()) + turn(text);
    if estimated > fits { Err(SendError::ContextOverflow { estimated, fits }) } else { Ok(()) }
}

/// Tokens that fit into a question: the smaller of `CONTEXT_MAX_TOKENS` and what the model takes less what its answer
/// may need.
fn room_for(app: &App, model: &str, listed: &Listed) -> u64 {
    let gemini = &app.settings.gemini;
    let ours = u64::from(gemini.context_max_tokens);
    listed.question_limit(model, gemini.max_output_tokens).map_or(ours, |limit| ours.min(limit))
}

fn fixed(system_instruction: Option<&str>) -> u64 {
    system_instruction.map_or(0, turn)
}

fn turn(text: &str) -> u64 {
    estimate::tokens(text) + estimate::PER_TURN
}

/// The turns to send, oldest first, the question last.
pub(super) async fn choose(
    app: &App,
    task: &Task,
    model: &str,
    listed: &Listed,
) -> store::Result<Result<Vec<Turn>, Overflow>> {
    let fits = room_for(app, model, listed);
    let mut used = fixed(task.system_instruction.as_deref());
    let mut chosen: Vec<Turn> = Vec::new();
    let mut answer: Option<Step> = None;
    let mut next = Some(task.parent_id);
    while let Some(from) = next {
        let page = sql::ancestors(&mut app.store.read().await?, from, PAGE).await?;
        next = page.last().and_then(|step| step.parent_id);
        for step in page {
            if step.role == "model" {
                answer = Some(step);
                continue;
            }
            let is_question = chosen.is_empty();
            let answered = answer.take().filter(is_context);
            if !is_question && answered.is_none() {
                continue;
            }
            let cost = turn(&step.content) + answered.as_ref().map_or(0, |answer| turn(&answer.content));
            if used + cost > fits {
                let overflow = Overflow { estimated: used + cost, fits };
                return Ok(if is_question { Err(overflow) } else { Ok(oldest_first(chosen)) });
            }
            used += cost;
            chosen.extend(answered.map(|answer| Turn::model(answer.content)));
            chosen.push(Turn::user(step.content));
        }
    }
    Ok(Ok(oldest_first(chosen)))
}

fn oldest_first(mut chosen: Vec<Turn>) -> Vec<Turn> {
    chosen.reverse();
    chosen
}

fn is_context(answer: &Step) -> bool {
    !answer.content.is_empty() && matches!(answer.status.as_str(), "complete" | "cancelled")
}
