//! Asking Gemini for a reply: what is asked, and the pieces of the answer on their way to `live`.
//!
//! No transaction is open while the network speaks.

use std::mem::take;
use std::time::Instant;

use super::context::Chosen;
use super::end::Verdict;
use super::fallback::Line;
use super::{Usage, attachments, context, judge, models, sql};
use crate::app::App;
use crate::billing::{self, Budget};
use crate::gemini::{self, Event, FinishReason};
use crate::ids::MessageId;
use crate::jobs::{Claim, EndError};
use crate::live::Written;
use crate::store;

/// No answer is longer; what comes after is cut, as by `MAX_TOKENS`.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Bytes of thoughts that are kept; they are there to be looked at, not to be complete.
const MOST_THOUGHTS: usize = 256 * 1024;

/// What there is to ask.
#[derive(Debug)]
pub(super) enum Prepared {
    Request(Box<Chosen>, Line),
    /// Nothing: the reply has its end without Gemini.
    Ended(Verdict),
}

/// Reads what the model gets to see.
pub(super) async fn prepare(app: &App, claim: &Claim, reply: MessageId) -> store::Result<Prepared> {
    let Some(task) = sql::task(&mut app.store.read().await?, reply).await? else {
        return Ok(Prepared::Ended(Verdict::Gone));
    };
    // Its holder died before it could, or has not heard of it yet.
    if task.is_cancelled {
        return Ok(Prepared::Ended(Verdict::Cancelled));
    }
    if billing::budget(app).await? == Budget::Exhausted {
        return Ok(Prepared::Ended(Verdict::failed("budget_exhausted", "Today's budget is spent.", true)));
    }
    let listed = models::listed(app).await;
    let mut line = Line::new(&app.settings.gemini, task.plan, task.model.as_deref(), task.fallback.as_deref());
    let chosen = loop {
        let now = app.clock.now();
        if let Some(held) = app.gate.held(line.model(), now, judge::last(claim)) {
            return Ok(Prepared::Ended(judge::held(claim, &line, &held, now)));
        }
        match context::choose(app, &task, line.model(), &listed).await? {
            Ok(chosen) => break chosen,
            Err(_) if line.is_own() => {
                let overflow = Verdict::failed("context_overflow", "The message is too long for the model.", false);
                return Ok(Prepared::Ended(overflow));
            }
            // Too small for what the room's own takes in: passed over.
            Err(_) => line = line.next().unwrap_or(line),
        }
    };
    Ok(Prepared::Request(Box::new(chosen), line))
}

/// What was asked so far, and what came of it. Its tokens are spent whatever becomes of the reply.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub model: Option<String>,
    pub usage: Option<Usage>,
    /// What readers have seen.
    pub text: String,
    /// What was thought before it, which they have not.
    pub thoughts: String,
    /// What the model was shown, as it is kept.
    pub receipt: Option<String>,
    /// The room's own model, when another was asked.
    pub fallback_for: Option<String>,
    /// Some of the conversation no longer fitted.
    pub is_outgrown: bool,
}

/// Streams the answer; each piece is live as soon as it is here, and what it has cost so far is in `asked`.
pub(super) async fn ask(
    app: &App,
    claim: &Claim,
    reply: MessageId,
    Chosen { mut request, files, receipt, is_outgrown }: Chosen,
    line: &Line,
    asked: &mut Asked,
) -> Result<Verdict, EndError> {
    *asked = Asked {
        model: Some(request.model.clone()),
        receipt: Some(receipt.to_text()),
        fallback_for: line.stands_in_for().map(str::to_owned),
        is_outgrown,
        ..Asked::default()
    };
    let (owner, _) = claim.lane.ok_or(EndError::Lost)?;
    let share = match attachments::load(app, owner, &mut request, files).await {
        Ok(share) => share,
        Err(why) => return Ok(judge::unreadable(claim, line, &why, app.clock.now())),
    };
    let since = Instant::now();
    let mut stream = match app.gemini.stream(&request, &format!("{reply}.{}", claim.attempt)).await {
        Ok(stream) => stream,
        Err(error) => return Ok(refused(app, claim, line, &error)),
    };
    // What was asked is with Gemini now; its answer may take long.
    request.contents = Vec::new();
    drop(share);
    // An empty text already says which attempt is being written.
    publish(app, claim, reply, &asked.text, "")?;
    loop {
        let event = stream.next().await;
        asked.usage = stream.usage().map(Usage::from);
        match event {
            Ok(Event::Text(piece)) if asked.text.len() + piece.len() > LONGEST_ANSWER => {
                return Ok(judge::complete(take(&mut asked.text), FinishReason::MaxTokens, request.model));
            }
            Ok(Event::Text(piece)) => {
                if asked.text.is_empty() {
                    metrics::histogram!("gemini_first_text_seconds").record(since.elapsed());
                }
                publish(app, claim, reply, &asked.text, &piece)?;
                asked.text.push_str(&piece);
            }
            Ok(Event::Thought(piece)) if asked.thoughts.len() + piece.len() <= MOST_THOUGHTS => {
                asked.thoughts.push_str(&piece);
            }
            Ok(Event::Thought(_)) => {}
            Ok(Event::End(outcome)) => {
                metrics::histogram!("gemini_answer_seconds").record(since.elapsed());
                app.live.note_answer(since.elapsed());
                return Ok(judge::finished(take(&mut asked.text), outcome, request.model));
            }
            Err(error) => return Ok(refused(app, claim, line, &error)),
        }
    }
}

/// Limits are the project's: what one reply is told, all heed.
fn refused(app: &App, claim: &Claim, line: &Line, error: &gemini::Error) -> Verdict {
    let now = app.clock.now();
    let place = app.gate.heed(line.model(), error, now, judge::last(claim));
    judge::refused(claim, line, error, place, now)
}

/// Puts a piece behind `so_far` into the live text; a later attempt that is writing there has the job.
fn publish(app: &App, claim: &Claim, reply: MessageId, so_far: &str, piece: &str) -> Result<(), EndError> {
    let lane = claim.lane.ok_or(EndError::Lost)?;
    let written = match app.live.write(lane, reply, claim.attempt, so_far.len(), piece) {
        Written::Gap => app.live.write(lane, reply, claim.attempt, 0, &format!("{so_far}{piece}")),
        written => written,
    };
    if written == Written::Outrun { Err(EndError::Lost) } else { Ok(()) }
}
