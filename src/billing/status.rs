//! How somebody stands: the subscription that counts, and what has changed it.

use super::sql::{self, Line};
use super::standing::counting;
use crate::app::App;
use crate::clock::Moment;
use crate::ids::UserId;
use crate::store::Result;

/// The subscription that counts, in Stripe's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// None without any subscription.
    pub status: Option<String>,
    pub current_period_end: Option<Moment>,
    pub cancels: bool,
    /// Until when an overdue one stays Pro.
    pub grace_until: Option<Moment>,
}

pub async fn status(app: &App, user: UserId) -> Result<Status> {
    let subs = sql::subscriptions(&mut app.store.read().await?, user).await?;
    let grace = app.settings.stripe.grace;
    Ok(counting(&subs, grace, app.clock.now()).map_or_else(Status::default, |sub| Status {
        status: Some(sub.status.clone()),
        current_period_end: sub.current_period_end,
        cancels: sub.cancels,
        grace_until: sub.grace_until(grace),
    }))
}

/// What changed a person's plan or subscription, newest first, before one of the lines; at most `most`.
pub async fn history(app: &App, user: UserId, before: i64, most: i64) -> Result<Vec<Line>> {
    sql::lines(&mut app.store.read().await?, user, before, most).await
}
