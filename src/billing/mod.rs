//! Plans and payment: what Basic and Pro give, the daily prompts, and Stripe, whose news comes in by one function.
//!
//! Start reading at [`spend_one`] for what is counted, in the caller's transaction; at [`look`] for what is paid.

mod attempt;
mod budget;
mod cause;
mod change;
mod checkout;
mod end;
mod events;
mod fulfil;
mod held;
pub mod http;
mod judge;
mod look;
mod plans;
mod quota;
mod sql;
mod standing;
mod status;
mod sync;
mod taken_back;
mod work;

use serde::Serialize;

use crate::clock::Moment;

pub use budget::{Budget, Tokens, budget, count_tokens, sweep_tokens};
pub use cause::{Cause, Happened, What};
pub use change::{ChangeError, portal, set_cancels};
pub use checkout::{Leading, Open, SubscribeError, subscribe};
pub use end::forget;
pub use events::{events, replay, sweep_events, take_in};
pub use fulfil::{ReturnError, Returned, come_back, sweep_checkouts};
pub use held::{Held, HeldCounts, count_held, held};
pub use look::{LookError, Looked, look};
pub use plans::{apply_limits, attachment_bytes, grant_plan, replies_at_once};
pub use quota::{daily_limit, give_back, prompts, spend_one, sweep_prompts};
pub use sql::{HeldSubscription, KeptEvent, Line, Outcome, PromptDay, Source, Stage, TokenDay};
pub use standing::Known;
pub use status::{Status, history, status};
pub use sync::{Report, SyncError, keep_syncing, sync};
pub use work::{NotConfigured, work};

/// A person's prompts of the current UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(example = json!({"limit": 5, "used": 1, "remaining": 4, "resets_at": "2026-11-22T00:00:00.000Z"}))]
pub struct Prompts {
    /// Prompts a day; null: no limit.
    #[schema(required)]
    pub limit: Option<u32>,
    pub used: i64,
    /// What is left; null: no limit.
    #[schema(required)]
    pub remaining: Option<i64>,
    /// The next midnight UTC.
    pub resets_at: Moment,
}

impl Prompts {
    fn new(limit: Option<u32>, used: i64, now: Moment) -> Self {
        let remaining = limit.map(|limit| (i64::from(limit) - used).max(0));
        Self { limit, used, remaining, resets_at: now.next_midnight() }
    }
}
