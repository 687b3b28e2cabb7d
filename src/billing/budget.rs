//! Tokens: counted per user and day, and held against `DAILY_TOKEN_BUDGET`, which is the whole deployment's.

use super::sql;
use crate::app::App;
use crate::ids::UserId;
use crate::store::{Result, Store, Tx};

/// What one answer cost, as Gemini counted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: i64,
    pub completion: i64,
    pub thoughts: i64,
    pub total: i64,
}

/// Whether the deployment may still spend today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    Left,
    Exhausted,
}

/// Adds one answer to its user's day.
pub async fn count_tokens(tx: &mut Tx, user: UserId, day: &str, tokens: Tokens) -> Result<()> {
    sql::count_tokens(tx, user, day, tokens).await
}

/// Looks at what is spent, when there is a budget at all: to the second of what other processes spend, exactly of what this
/// one does. Replies in flight may still overshoot it.
pub async fn budget(app: &App) -> Result<Budget> {
    let Some(most) = app.settings.gemini.daily_token_budget else { return Ok(Budget::Left) };
    let now = app.clock.now();
    let sum = async { sql::tokens_of_day(&mut app.store.read().await?, &now.day()).await };
    let is_over = app.spent.is_over(i64::try_from(most).unwrap_or(i64::MAX), now, sum).await?;
    Ok(if is_over { Budget::Exhausted } else { Budget::Left })
}

/// Deletes counts of days before `before`, at most `most`; how many went.
pub async fn sweep_tokens(store: &Store, before: &str, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| { sql::delete_token_days(tx, before, most).await })
}
