//! What the model is asked beside the replies, when there is time: names of rooms, summaries.
//!
//! It costs nobody a prompt; its tokens count for the operator like any. It may fail: then there is none.

use std::time::Duration;

use super::end::count_tokens;
use super::{Usage, judge};
use crate::app::App;
use crate::billing::{self, Budget, Tokens};
use crate::clock::Moment;
use crate::gemini::{self, Request, Turn};
use crate::ids::UserId;
use crate::jobs::{self, Claim, EndError, Locked};
use crate::store::{self, Tx};

/// Tries, and the time in which they are made.
const MOST_FAULTS: i64 = 2;
const PATIENCE: Duration = Duration::from_hours(1);

/// What came of asking.
pub(super) enum Asked {
    Answer {
        text: String,
        model: String,
        usage: Option<Usage>,
    },
    /// Nothing will: why.
    Nothing(&'static str),
    /// It may, later.
    Later(Moment, &'static str),
}

/// Asks the deployment's model one thing, unless today's tokens are spent or the model may not be asked.
pub(super) async fn ask(
    app: &App,
    claim: &Claim,
    instruction: &str,
    text: String,
    max_output_tokens: u32,
) -> store::Result<Asked> {
    if billing::budget(app).await? == Budget::Exhausted {
        return Ok(Asked::Nothing("budget_exhausted"));
    }
    let now = app.clock.now();
    let last = claim.first_claimed_at.plus(PATIENCE);
    let request = Request {
        model: app.settings.gemini.model.clone(),
        contents: vec![Turn::user(text)],
        system_instruction: Some(instruction.to_owned()),
        max_output_tokens: Some(max_output_tokens.min(app.settings.gemini.max_output_tokens)),
        thinking: None,
    };
    if let Some(held) = app.gate.held(&request.model, now, last) {
        return Ok(again(claim, &held.error, held.due, last));
    }
    match app.gemini.generate(&request, &format!("{}.{}", claim.id, claim.attempt)).await {
        Ok(answer) => Ok(Asked::Answer {
            text: answer.text,
            model: answer.outcome.model_version.unwrap_or(request.model),
            usage: answer.outcome.usage.map(Usage::from),
        }),
        Err(error) => {
            let now = app.clock.now();
            let place = app.gate.heed(&request.model, &error, now, last);
            let due = error.not_before(now).unwrap_or_else(|| now.plus(judge::pause(claim.faults)));
            Ok(again(claim, &error, place.map_or(due, |place| place.max(due)), last))
        }
    }
}

fn again(claim: &Claim, error: &gemini::Error, due: Moment, last: Moment) -> Asked {
    if error.is_passing() && claim.faults < MOST_FAULTS && due <= last {
        Asked::Later(due, error.code())
    } else {
        Asked::Nothing(error.code())
    }
}

/// Counts tokens for the operator, under the person's lock, which comes first. None: the person is gone, and the job with
/// them.
pub(super) async fn count_usage(
    tx: &mut Tx,
    app: &App,
    user: UserId,
    usage: Option<Usage>,
) -> store::Result<Option<Locked>> {
    let Some(queue) = jobs::lock(tx, user).await? else { return Ok(None) };
    if let Some(usage) = usage {
        billing::count_tokens(tx, user, &app.clock.now().day(), Tokens::from(usage)).await?;
    }
    Ok(Some(queue))
}

/// Ends a job that came to nothing, or puts it back.
pub(super) async fn give_up(app: &App, claim: &Claim, asked: &Asked) -> Result<(), EndError> {
    let now = app.clock.now();
    crate::transaction!(app.store, |tx| {
        match asked {
            Asked::Later(due, note) => jobs::retry_house(tx, app.node, claim, *due, note).await,
            Asked::Nothing(_) | Asked::Answer { .. } => jobs::finish_house(tx, app.node, claim, "", now).await,
        }
    })?;
    if let Asked::Nothing(why) = asked {
        tracing::info!(job = %claim.id, why, "what was asked in the background came to nothing");
    }
    Ok(())
}

/// The metric of what was spent, once it is stored.
pub(super) fn count(app: &App, usage: Option<Usage>) {
    if let Some(usage) = usage {
        count_tokens(app, usage);
    }
}
