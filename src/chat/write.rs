//! Writing a reply: the worker's part, from its claim to its end in the database.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::ask::{self, Asked, Prepared};
use super::end::{Seen, Verdict, count_for_nothing, settle};
use super::judge;
use crate::app::App;
use crate::ids::MessageId;
use crate::jobs::{Claim, EndError, MOST_CRASHES};
use crate::live::Stop;
use crate::store;
use crate::traces::{Record, SpanKind, Status};

/// Between two tries to read while the database is away; the lease bounds how long that goes on.
const DATABASE_PAUSE: Duration = Duration::from_millis(250);

/// How the worker stops a reply's writing.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The lease is gone: nothing may be written any more.
    pub lost: CancellationToken,
    /// The process ends: the job goes back to the queue.
    pub hand_back: CancellationToken,
}

/// Writes one reply to its end, or puts it back into the queue. Safe to run again after any death: every end is
/// fenced by the claim's attempt.
///
/// # Errors
/// When the claim is in other hands; then nothing was written.
pub async fn write_reply(app: &App, claim: &Claim, reply: MessageId, stop: &Stopped) -> Result<(), EndError> {
    let mut asked = Asked::default();
    // Before the first look at the reply: a cancel that is not seen there is heard here.
    let cancel = app.live.hear_stop(reply, claim.attempt);
    let ended = write_and_settle(app, claim, reply, (&cancel, stop), &mut asked).await;
    if matches!(ended, Err(EndError::Lost)) {
        count_for_nothing(app, claim, asked.usage).await;
    }
    put_away(app, claim, reply, ended.as_ref().is_ok_and(|outcome| *outcome == Verdict::COMPLETE));
    ended.map(drop)
}

/// The live text has served: readers find the end, or that another attempt follows, in the database.
fn put_away(app: &App, claim: &Claim, reply: MessageId, is_complete: bool) {
    match claim.lane {
        Some((_, room)) if is_complete => app.live.complete(room, reply, claim.attempt),
        _ => app.live.forget(reply, claim.attempt),
    }
    if let Some((owner, room)) = claim.lane {
        app.live.ring(owner, room);
    }
}

/// Ends a reply whose job cannot be done (its code broke, its payload cannot be read): failed, the prompt given back.
///
/// # Errors
/// When the claim is in other hands; then nothing was written.
pub async fn give_up(app: &App, claim: &Claim) -> Result<(), EndError> {
    let reply = MessageId(claim.id.0);
    let verdict = Verdict::failed("internal", "Something broke on our side.", true);
    let ended = settle(app, claim, reply, &verdict, Seen::default(), None, &CancellationToken::new()).await;
    put_away(app, claim, reply, false);
    ended.map(drop)
}

async fn write_and_settle(
    app: &App,
    claim: &Claim,
    reply: MessageId,
    (cancel, stop): (&Stop, &Stopped),
    asked: &mut Asked,
) -> Result<&'static str, EndError> {
    let (began, since) = (app.clock.now(), Instant::now());
    let time_left = judge::last(claim).since(app.clock.now());
    let verdict = tokio::select! {
        biased;
        () = stop.lost.cancelled() => return Err(EndError::Lost),
        // What was asked is dropped with it, and its connection closed: Gemini stops.
        () = cancel.told() => Verdict::Cancelled,
        () = stop.hand_back.cancelled() => Verdict::HandBack,
        () = pass(time_left) => {
            Verdict::failed("reply_overdue", "The answer could not be written in time.", true)
        }
        verdict = write(app, claim, reply, asked) => verdict?,
    };
    // Taken: what is counted with the verdict is not counted once more if the claim is lost meanwhile.
    let usage = asked.usage.take();
    let seen = Seen::of(asked);
    let settled = settle(app, claim, reply, &verdict, seen, usage, &stop.lost).await;
    app.traces.record(began, since, || Record {
        name: "reply".to_owned(),
        kind: SpanKind::Consumer,
        status: if matches!(verdict, Verdict::Failed { .. }) { Status::error("") } else { Status::Unset },
        facts: [
            ("reply.attempt", claim.attempt.into()),
            ("reply.outcome", settled.as_ref().map_or("lost", |outcome| outcome).into()),
            ("gen_ai.request.model", asked.model.take().unwrap_or_default().into()),
        ],
    });
    settled
}

/// A timer alone takes a millisecond even when there is nothing to wait for, and a question would be quicker.
async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

async fn write(app: &App, claim: &Claim, reply: MessageId, asked: &mut Asked) -> Result<Verdict, EndError> {
    if claim.crashes > MOST_CRASHES {
        return Ok(Verdict::failed("worker_crashed", "The answer could not be written.", true));
    }
    loop {
        match ask::prepare(app, claim, reply).await {
            Ok(Prepared::Request(chosen, line)) => {
                return ask::ask(app, claim, reply, *chosen, &line, asked).await;
            }
            Ok(Prepared::Ended(verdict)) => return Ok(verdict),
            Err(store::Error::Unavailable(cause)) => {
                tracing::warn!(%cause, %reply, "a reply waits for the database");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            Err(cause) => return Err(cause.into()),
        }
    }
}
