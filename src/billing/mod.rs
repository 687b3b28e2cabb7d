//! What the plans give: prompts a day, replies at once, the deployment's budget of tokens.
//!
//! Start reading at [`spend_one`]; everything that counts does so in the caller's transaction.

mod budget;
mod plans;
mod quota;
mod sql;

use serde::Serialize;

use crate::clock::Moment;

pub use budget::{Budget, Tokens, budget, count_tokens, sweep_tokens};
pub use plans::{apply_limits, forget, grant_plan, set_plan};
pub use quota::{daily_limit, give_back, prompts, spend_one, sweep_prompts};

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
