//! What is held of a person, for the person.

use crate::clock::Moment;
use crate::ids::UserId;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_one};

/// Prompts of a UTC day.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct PromptDay {
    #[schema(example = "2026-11-21")]
    pub day: String,
    pub used: i64,
}

/// Tokens of a UTC day.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct TokenDay {
    #[schema(example = "2026-11-21")]
    pub day: String,
    pub replies: i64,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    pub thought_tokens: i64,
    pub total_tokens: i64,
}

/// A subscription, as Stripe told of it last.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct HeldSubscription {
    pub id: String,
    pub customer: String,
    pub status: String,
    #[schema(required)]
    pub price: Option<String>,
    /// In the currency's smallest unit.
    #[schema(required)]
    pub amount: Option<i64>,
    #[schema(required)]
    pub currency: Option<String>,
    #[schema(required)]
    pub current_period_start: Option<Moment>,
    #[schema(required)]
    pub current_period_end: Option<Moment>,
    pub cancel_at_period_end: bool,
    pub created_at: Moment,
}

pub(in crate::billing) async fn prompt_days(on: &mut impl On, user: UserId) -> Result<Vec<PromptDay>> {
    fetch_all!(on, PromptDay, "select day, used from prompt_days where user_id = $1 order by day", user)
}

pub(in crate::billing) async fn token_days(on: &mut impl On, user: UserId) -> Result<Vec<TokenDay>> {
    fetch_all!(
        on,
        TokenDay,
        "select day, replies, prompt_tokens, completion_tokens, thought_tokens, total_tokens
         from token_days where user_id = $1 order by day",
        user
    )
}

pub(in crate::billing) async fn held_subscriptions(on: &mut impl On, user: UserId) -> Result<Vec<HeldSubscription>> {
    fetch_all!(
        on,
        HeldSubscription,
        "select id, customer, status, price, amount, currency, current_period_start, current_period_end,
                cancels as cancel_at_period_end, created_at
         from subscriptions where user_id = $1 order by created_at, id",
        user
    )
}

/// Days of prompts, subscriptions, checkouts and lines of the history.
pub(in crate::billing) async fn counts(on: &mut impl On, user: UserId) -> Result<(i64, i64, i64, i64)> {
    fetch_one!(
        on,
        (i64, i64, i64, i64),
        "select (select count(*) from prompt_days where user_id = $1),
                (select count(*) from subscriptions where user_id = $1),
                (select count(*) from checkouts where user_id = $1),
                (select count(*) from billing_history where user_id = $1)",
        user
    )
}

/// Adds a person's tokens to those of nobody: the deployment's budget sums them, and they lead to nobody.
pub(in crate::billing) async fn disown_tokens(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(
        tx,
        "insert into token_days (user_id, day, replies, prompt_tokens, completion_tokens, thought_tokens, total_tokens)
         select $2, day, replies, prompt_tokens, completion_tokens, thought_tokens, total_tokens
         from token_days where user_id = $1
         on conflict (user_id, day) do update set replies = token_days.replies + excluded.replies,
             prompt_tokens = token_days.prompt_tokens + excluded.prompt_tokens,
             completion_tokens = token_days.completion_tokens + excluded.completion_tokens,
             thought_tokens = token_days.thought_tokens + excluded.thought_tokens,
             total_tokens = token_days.total_tokens + excluded.total_tokens",
        user,
        UserId(uuid::Uuid::nil())
    )?;
    execute!(tx, "delete from token_days where user_id = $1", user)?;
    Ok(())
}
