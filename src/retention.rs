//! What is over goes: a bounded sweep, again and again, so that no table grows without end.
//!
//! Runs beside the worker. Many processes may sweep at once; each statement takes at most a batch, so that nobody waits
//! long behind it.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::auth::{self, Swept};
use crate::billing;
use crate::chat;
use crate::clock::Moment;
use crate::files;
use crate::http::replay;
use crate::jobs;
use crate::sms;
use crate::store;

/// Between two batches, so that whoever writes comes in between.
const BREATH: Duration = Duration::from_millis(50);

/// What grows with use, by the name its metric carries.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Jobs,
    IdempotencyKeys,
    PromptDays,
    TokenDays,
    Codes,
    Sessions,
    Signups,
    Marks,
    StripeEvents,
    Checkouts,
    SmsMinutes,
    SmsDays,
    DeletedRooms,
    UnusedAttachments,
    Objects,
}

impl Kept {
    const ALL: [Self; 15] = [
        Self::Jobs,
        Self::IdempotencyKeys,
        Self::PromptDays,
        Self::TokenDays,
        Self::Codes,
        Self::Sessions,
        Self::Signups,
        Self::Marks,
        Self::StripeEvents,
        Self::Checkouts,
        Self::SmsMinutes,
        Self::SmsDays,
        Self::DeletedRooms,
        Self::UnusedAttachments,
        // Last: of what went before, the objects.
        Self::Objects,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::IdempotencyKeys => "idempotency_keys",
            Self::PromptDays => "prompt_days",
            Self::TokenDays => "token_days",
            Self::Codes => "codes",
            Self::Sessions => "sessions",
            Self::Signups => "signups",
            Self::Marks => "number_marks",
            Self::StripeEvents => "stripe_events",
            Self::Checkouts => "checkouts",
            Self::SmsMinutes => "sms_minutes",
            Self::SmsDays => "sms_days",
            Self::DeletedRooms => "messages",
            Self::UnusedAttachments => "attachments",
            Self::Objects => "objects_to_delete",
        }
    }

    /// Removes one batch; how many rows went.
    async fn sweep(self, app: &App, now: Moment) -> store::Result<u64> {
        let kept = &app.settings.retention;
        let (store, most) = (&app.store, kept.batch);
        match self {
            Self::Jobs => jobs::sweep(store, now.minus(kept.finished_jobs), most).await,
            Self::IdempotencyKeys => replay::sweep(store, now.minus(kept.idempotency_keys), most).await,
            Self::PromptDays => billing::sweep_prompts(store, &now.minus(kept.prompt_days).day(), most).await,
            Self::TokenDays => billing::sweep_tokens(store, &now.minus(kept.token_days).day(), most).await,
            Self::Codes => auth::sweep(app, Swept::Codes, now, most).await,
            Self::Sessions => auth::sweep(app, Swept::Sessions, now, most).await,
            Self::Signups => auth::sweep(app, Swept::Signups, now, most).await,
            Self::Marks => auth::sweep(app, Swept::Marks, now, most).await,
            Self::StripeEvents => billing::sweep_events(store, now.minus(kept.stripe_events), most).await,
            Self::Checkouts => billing::sweep_checkouts(store, now.minus(kept.stripe_events), most).await,
            Self::SmsMinutes => sms::sweep_minutes(store, now, most).await,
            Self::SmsDays => sms::sweep_days(store, &now.minus(kept.token_days).day(), most).await,
            // In batches of its own.
            Self::DeletedRooms => chat::sweep_deleted(app).await,
            Self::UnusedAttachments => {
                chat::attachments::sweep_unused(app, now.minus(kept.unused_attachments), most).await
            }
            Self::Objects => files::sweep(&app.files, store, now, most).await,
        }
    }
}

/// Sweeps every `RETENTION_SWEEP_SECONDS` until the app stops.
pub async fn run(app: Arc<App>) {
    while !app.stop.is_cancelled() {
        let next = app.clock.now().plus(app.settings.retention.sweep_every);
        if let Err(cause) = sweep(&app).await {
            tracing::warn!(%cause, "the sweep was cut short");
        }
        match chat::index_older(&app).await {
            Ok(0) => {}
            Ok(messages) => tracing::info!(messages, "older messages can be found now"),
            Err(cause) => tracing::warn!(%cause, "older messages wait to be found"),
        }
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = app.clock.sleep_until(next) => {}
        }
    }
}

/// One sweep over everything, each table in batches until one is not full; how many rows went.
pub async fn sweep(app: &App) -> store::Result<u64> {
    let now = app.clock.now();
    let mut swept = 0;
    for kept in Kept::ALL {
        loop {
            let gone = kept.sweep(app, now).await?;
            metrics::counter!("swept_rows_total", "table" => kept.name()).increment(gone);
            swept += gone;
            if gone < u64::from(app.settings.retention.batch) || app.stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
    }
    Ok(swept)
}
