//! Changing a plan, and the share of the queue that goes with it.

use super::sql;
use crate::app::App;
use crate::auth::Plan;
use crate::config;
use crate::ids::UserId;
use crate::jobs;
use crate::store::{Result, Store, Tx};

const fn replies_at_once(quota: &config::Quota, plan: Plan) -> u32 {
    match plan {
        Plan::Basic => quota.basic_replies_at_once,
        Plan::Pro => quota.pro_replies_at_once,
    }
}

/// Gives a person a plan: prompts, replies at once and place in the queue change together. False: no such person.
pub async fn set_plan(app: &App, tx: &mut Tx, user: UserId, plan: Plan) -> Result<bool> {
    let at_once = replies_at_once(&app.settings.quota, plan);
    jobs::set_weight(tx, user, plan == Plan::Pro, at_once).await?;
    sql::set_plan(tx, user, plan).await
}

/// Gives a person a plan on an operator's word; it holds on their next request, also in a server beside this process.
/// False: no such person.
pub async fn grant_plan(app: &App, user: UserId, plan: Plan) -> Result<bool> {
    let change = app.people.change_beside(user);
    let changed = crate::transaction!(app.store, |tx| { set_plan(app, tx, user, plan).await })?;
    change.all();
    // More may be written at once now.
    app.live.ring_for_jobs_everywhere();
    Ok(changed)
}

/// Deletes what is counted by person. Tokens stay, under an id that leads to nobody: the deployment's budget sums them.
pub async fn forget(tx: &mut Tx, user: UserId) -> Result<()> {
    sql::delete_prompts(tx, user).await
}

/// Brings every user's replies at once in line with the settings, which may have changed since the last start.
pub async fn apply_limits(store: &Store, quota: &config::Quota) -> Result<()> {
    let (basic, pro) = (quota.basic_replies_at_once, quota.pro_replies_at_once);
    crate::transaction!(store, |tx| { jobs::set_replies_at_once(tx, basic, pro).await })
}
