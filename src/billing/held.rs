//! What is held of a person, for their own copy of it and for the receipt when it goes.

use super::sql::{self, HeldSubscription, PromptDay, TokenDay};
use crate::app::App;
use crate::ids::UserId;
use crate::store::{On, Result};

/// What is held by the day, a row a day at most as long as days are kept; and the subscriptions.
#[derive(Clone, Debug)]
pub struct Held {
    pub prompts: Vec<PromptDay>,
    pub tokens: Vec<TokenDay>,
    pub subscriptions: Vec<HeldSubscription>,
}

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub struct HeldCounts {
    pub prompt_days: i64,
    pub subscriptions: i64,
    pub checkouts: i64,
    pub history: i64,
}

pub async fn held(app: &App, user: UserId) -> Result<Held> {
    let mut reader = app.store.read().await?;
    Ok(Held {
        prompts: sql::prompt_days(&mut reader, user).await?,
        tokens: sql::token_days(&mut reader, user).await?,
        subscriptions: sql::held_subscriptions(&mut reader, user).await?,
    })
}

pub async fn count_held(on: &mut impl On, user: UserId) -> Result<HeldCounts> {
    let (prompt_days, subscriptions, checkouts, history) = sql::counts(on, user).await?;
    Ok(HeldCounts { prompt_days, subscriptions, checkouts, history })
}
