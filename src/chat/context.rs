//! What the model gets to see: the ancestors of the reply, the newest whole turns that fit, and before them, where there
//! is one, the summary of what came earlier.
//!
//! A turn is a person's message and the answer to it. A failed one is no context, nor one that was cancelled before its
//! first word. The question itself is always there; if it alone is too long, nothing is asked. Our estimate is an upper
//! bound; near the limit Gemini counts, so that nothing is forgotten which would have fitted.

use std::time::Duration;

use super::attachments::{self, ByTurn, Room, Shown};
use super::receipt::{Receipt, runs};
use super::sql::{self, Place, Step, Summary, Task};
use super::{Attachment, SendError, Thinking, estimate};
use crate::app::App;
use crate::gemini::{Listed, Part, Request, Role, Turn};
use crate::ids::MessageId;
use crate::store;

/// How many ancestors are read at a time.
const PAGE: i64 = 64;
/// From this part of the limit on, in percent, Gemini is asked to count.
const NEAR: u64 = 90;
/// Our estimate is hardly ever more than so many times what Gemini counts: what is longer is not offered to be counted.
const FURTHEST: u64 = 2;
/// How often Gemini counts for one question; after that our own estimate decides.
const MOST_COUNTS: usize = 3;
/// How long a count is waited for: people wait behind it.
const PATIENCE: Duration = Duration::from_secs(2);
/// What stands before a summary.
const SUMMARY: &str = "[What was said before, summed up]\n";

/// The question alone is longer than what fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow {
    pub estimated: u64,
    pub fits: u64,
}

/// What was decided about one question.
#[derive(Debug)]
pub(super) struct Chosen {
    pub request: Request,
    /// What is still to be read into it.
    pub files: ByTurn,
    pub receipt: Receipt,
    /// Something no longer fitted.
    pub is_outgrown: bool,
}

/// What a message was to be sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    model: Option<String>,
    system_instruction: Option<String>,
}

/// A message that is too long even without what came before it, as far as we can tell.
#[derive(Debug)]
pub(super) struct TooLong {
    pub estimated: u64,
    pub fits: u64,
    pub setting: Setting,
    text: String,
    /// What its files cost, which are not offered to be counted.
    files: u64,
}

/// Refuses files that are too much for one question by themselves.
pub(super) fn may_carry(app: &App, files: &[Attachment]) -> Result<(), SendError> {
    let bytes = files.iter().map(Attachment::size).sum();
    let most = app.settings.gemini.context_max_attachment_bytes;
    if bytes > most { Err(SendError::AttachmentsTooLarge { bytes, most }) } else { Ok(()) }
}

/// Refuses a message that could not be asked even without what came before it. Asks nobody, for a transaction is open:
/// what the models take in was `listed` before, and the setting in which Gemini `counted` the message and let it pass.
pub(super) fn must_fit(
    app: &App,
    place: &Place,
    (text, files): (&str, &[Attachment]),
    listed: &Listed,
    counted: Option<&Setting>,
) -> Result<(), TooLong> {
    let model = place.model.as_deref().unwrap_or(&app.settings.gemini.model);
    let fits = room_for(app, model, listed);
    let files = files.iter().map(Attachment::cost).sum();
    let estimated = fixed(place.system_instruction.as_deref()) + turn(text) + files;
    let setting = Setting { model: place.model.clone(), system_instruction: place.system_instruction.clone() };
    if estimated <= fits || counted == Some(&setting) {
        return Ok(());
    }
    Err(TooLong { estimated, fits, setting, text: text.to_owned(), files })
}

/// Whether a message that we took for too long fits by Gemini's own count. False when Gemini does not tell, or when the
/// message is so long that it is not worth a question.
pub(super) async fn does_fit(app: &App, message: &TooLong) -> bool {
    let TooLong { estimated, fits, setting, text, files } = message;
    let request = Request {
        model: setting.model.clone().unwrap_or_else(|| app.settings.gemini.model.clone()),
        contents: vec![Turn::user(text)],
        system_instruction: setting.system_instruction.clone(),
        ..Request::default()
    };
    *estimated <= fits.saturating_mul(FURTHEST)
        && count(app, &request).await.is_some_and(|counted| counted + files <= *fits)
}

/// Tokens that fit into a question: the smaller of `CONTEXT_MAX_TOKENS` and what the model takes less what its answer
/// may need.
pub(super) fn room_for(app: &App, model: &str, listed: &Listed) -> u64 {
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

/// A question of before with its answer, or the question to be answered now.
#[derive(Debug)]
pub(super) struct Exchange {
    pub question: Step,
    /// The question's files.
    pub shown: Shown,
    pub answer: Option<Step>,
}

impl Exchange {
    pub(super) fn estimated(&self) -> u64 {
        let question = turn(&self.question.content) + self.shown.tokens();
        question + self.answer.as_ref().map_or(0, |answer| turn(&answer.content))
    }
}

impl Exchange {
    /// The question as a turn, without the files that go with it.
    fn asked(&self) -> Turn {
        let words = self.shown.words().chain([Part::Text(self.question.content.clone())]);
        Turn { role: Role::User, parts: words.collect() }
    }
}

/// Reads a conversation backwards, exchange by exchange, without those that got no answer. The first is the newest: a
/// question that has no answer yet, if `from` is one. Each may be changed before it is `wanted`; files are shown as far as
/// there is room for their bytes, those of the question in any case.
pub(super) async fn exchanges(
    app: &App,
    from: MessageId,
    mut wanted: impl FnMut(&mut Exchange) -> bool,
    end: Option<MessageId>,
) -> store::Result<Vec<Exchange>> {
    let mut room = Room::of(app.settings.gemini.context_max_attachment_bytes);
    let mut found: Vec<Exchange> = Vec::new();
    let mut answer: Option<Step> = None;
    let mut is_first = true;
    let mut next = Some(from);
    while let Some(from) = next {
        let page = sql::ancestors(&mut app.store.read().await?, from, PAGE).await?;
        next = page.last().and_then(|step| step.parent_id);
        for step in page {
            if Some(step.id) == end {
                return Ok(found);
            }
            if step.role == "model" {
                is_first = false;
                answer = Some(step);
                continue;
            }
            let answered = answer.take().filter(Step::is_answer);
            if answered.is_none() && !is_first {
                continue;
            }
            is_first = false;
            let files = match step.files {
                0 => Vec::new(),
                _ => attachments::of_message(&mut app.store.read().await?, step.id).await?,
            };
            let shown = if answered.is_none() { room.take_all(files) } else { room.take_some(files) };
            let mut exchange = Exchange { question: step, shown, answer: answered };
            if !wanted(&mut exchange) {
                return Ok(found);
            }
            found.push(exchange);
        }
    }
    Ok(found)
}

/// The turns to send, oldest first, the question last.
pub(super) async fn choose(
    app: &App,
    task: &Task,
    model: &str,
    listed: &Listed,
) -> store::Result<Result<Chosen, Overflow>> {
    let limit = room_for(app, model, listed);
    let mut summary = None;
    if app.settings.gemini.context_summary {
        summary = sql::nearest_summary(&mut app.store.read().await?, task.parent_id).await?;
    }
    let mut told = fixed(task.system_instruction.as_deref());
    let furthest = limit.saturating_mul(FURTHEST);
    let (mut offered, mut is_outgrown, mut is_full) = (told, false, false);
    let wanted = |exchange: &mut Exchange| {
        let is_question = exchange.answer.is_none();
        // The words of what was said stay longer than its files.
        is_full |= !is_question && offered + exchange.estimated() > limit;
        if is_full {
            exchange.shown.leave_out();
        }
        is_outgrown = !is_question && offered + exchange.estimated() > furthest;
        offered += exchange.estimated();
        !is_outgrown
    };
    let end = summary.as_ref().map(|summary| summary.message_id);
    let exchanges = exchanges(app, task.parent_id, wanted, end).await?;
    let question = exchanges.first().map_or(0, Exchange::estimated);
    if let Some(found) = &summary {
        let cost = turn(&summary_text(found));
        // It is there to make room, not to take it.
        if told + cost + question > limit {
            summary = None;
            is_outgrown = true;
        } else {
            told += cost;
        }
    }
    let mut offer = Offer { app, task, model, limit, told, summary, exchanges: &exchanges };
    let (kept, counted) = match offer.fitting().await {
        Ok(fitting) => fitting,
        Err(overflow) => return Ok(Err(overflow)),
    };
    let (request, files) = (offer.request(kept), offer.files(kept));
    let receipt = offer.receipt(kept, counted);
    Ok(Ok(Chosen { request, files, receipt, is_outgrown: is_outgrown || kept < exchanges.len() }))
}

/// What could be sent: `exchanges`, newest first, of which so many are kept.
struct Offer<'a> {
    app: &'a App,
    task: &'a Task,
    model: &'a str,
    limit: u64,
    /// The estimate of what is sent whatever is kept.
    told: u64,
    summary: Option<Summary>,
    exchanges: &'a [Exchange],
}

impl Offer<'_> {
    /// How many of the exchanges are kept, and what Gemini counted them to be, when it was asked.
    async fn fitting(&mut self) -> Result<(usize, Option<u64>), Overflow> {
        let all = self.exchanges.len();
        if self.estimated(all) <= self.limit * NEAR / 100 {
            return Ok((all, None));
        }
        let mut kept = all;
        for _ in 0..MOST_COUNTS {
            let Some(counted) = count(self.app, &self.request(kept)).await else { break };
            // They would be megabytes for a number that is known.
            let counted =
                counted + self.exchanges[..kept].iter().map(|exchange| exchange.shown.cost_of_files()).sum::<u64>();
            if counted <= self.limit {
                return Ok((kept, Some(counted)));
            }
            if kept <= 1 {
                return Err(Overflow { estimated: counted, fits: self.limit });
            }
            // By how much too long it was, what is left should just fit.
            let target = u128::from(self.estimated(kept)) * u128::from(self.limit) / u128::from(counted);
            kept = self.most_within(u64::try_from(target).unwrap_or(u64::MAX)).clamp(1, kept - 1);
        }
        match self.most_within(self.limit) {
            0 => Err(Overflow { estimated: self.estimated(1), fits: self.limit }),
            kept => Ok((kept, None)),
        }
    }

    fn estimated(&self, kept: usize) -> u64 {
        self.told + self.exchanges[..kept].iter().map(Exchange::estimated).sum::<u64>()
    }

    /// How many exchanges are within so many tokens by our estimate.
    fn most_within(&self, tokens: u64) -> usize {
        let mut sum = self.told;
        let within = self.exchanges.iter().take_while(|exchange| {
            sum += exchange.estimated();
            sum <= tokens
        });
        within.count()
    }

    fn request(&self, kept: usize) -> Request {
        let gemini = &self.app.settings.gemini;
        let summary = self.summary.iter().map(|summary| Turn::user(summary_text(summary)));
        let kept = self.exchanges[..kept].iter().rev().flat_map(|exchange| {
            let answer = exchange.answer.as_ref().map(|answer| Turn::model(&answer.content));
            std::iter::once(exchange.asked()).chain(answer)
        });
        Request {
            model: self.model.to_owned(),
            contents: summary.chain(kept).collect(),
            system_instruction: self.task.system_instruction.clone(),
            max_output_tokens: Some(gemini.max_output_tokens),
            thinking: self.task.thinking.map(Thinking::to_gemini),
        }
    }

    /// The files of what is kept, by the place of their turn in the request.
    fn files(&self, kept: usize) -> ByTurn {
        let mut place = usize::from(self.summary.is_some());
        let mut files = ByTurn::new();
        for exchange in self.exchanges[..kept].iter().rev() {
            if !exchange.shown.whole.is_empty() {
                files.push((place, exchange.shown.whole.clone()));
            }
            place += 1 + usize::from(exchange.answer.is_some());
        }
        files
    }

    fn receipt(&self, kept: usize, counted: Option<u64>) -> Receipt {
        let seqs = self.exchanges[..kept].iter().rev().flat_map(|exchange| {
            std::iter::once(exchange.question.seq).chain(exchange.answer.as_ref().map(|answer| answer.seq))
        });
        Receipt {
            model: self.model.to_owned(),
            instruction: self.task.system_instruction.clone(),
            thinking: self.task.thinking,
            summary: self.summary.as_ref().map(|summary| summary.message_id),
            sent: runs(seqs),
            limit: self.limit,
            estimated: self.estimated(kept),
            counted,
        }
    }
}

fn summary_text(summary: &Summary) -> String {
    format!("{SUMMARY}{}", summary.content)
}

/// Gemini's own count; None when it does not tell.
async fn count(app: &App, request: &Request) -> Option<u64> {
    match tokio::time::timeout(PATIENCE, app.gemini.count_tokens(request)).await {
        Ok(Ok(tokens)) => Some(tokens),
        Ok(Err(error)) => {
            tracing::info!(code = error.code(), "Gemini did not count, so our estimate decides");
            None
        }
        Err(_) => {
            tracing::info!("Gemini did not count within {PATIENCE:?}, so our estimate decides");
            None
        }
    }
}
