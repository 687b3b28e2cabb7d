//! What a plan gives, an operator's word for it, and the share of the queue that goes with it.

use super::judge::judge;
use super::{Cause, sql};
use crate::app::App;
use crate::auth::Plan;
use crate::config;
use crate::ids::UserId;
use crate::jobs;
use crate::store::{Result, Store, Tx};

/// Replies written at once by plan.
#[must_use]
pub const fn replies_at_once(quota: &config::Quota, plan: Plan) -> u32 {
    match plan {
        Plan::Basic => quota.basic_replies_at_once,
        Plan::Pro => quota.pro_replies_at_once,
    }
}

/// The largest file that may be attached, in bytes, by plan.
#[must_use]
pub const fn attachment_bytes(quota: &config::Quota, plan: Plan) -> u64 {
    match plan {
        Plan::Basic => quota.basic_attachment_bytes,
        Plan::Pro => quota.pro_attachment_bytes,
    }
}

/// Gives a person a plan: prompts, replies at once and place in the queue change together.
pub(super) async fn set_plan(app: &App, tx: &mut Tx, user: UserId, plan: Plan) -> Result<()> {
    let at_once = replies_at_once(&app.settings.quota, plan);
    jobs::set_weight(tx, user, plan == Plan::Pro, at_once).await?;
    sql::set_plan(tx, user, plan).await
}

/// Grants Pro on an operator's word, or takes that word back; it holds on the person's next request, also in a server
/// beside this process. The plan that they have then: a subscription stays Pro. None: no such person.
pub async fn grant_plan(app: &App, user: UserId, plan: Plan) -> Result<Option<Plan>> {
    let now = app.clock.now();
    let change = app.people.change_beside(user);
    let held = crate::transaction!(app.store, |tx| {
        if jobs::lock(tx, user).await?.is_none() {
            return Ok(None);
        }
        sql::open_account(tx, user).await?;
        sql::set_granted(tx, user, plan == Plan::Pro).await?;
        judge(app, tx, user, &[], &Cause::Operator, now).await?;
        sql::plan_of(tx, user).await
    })?;
    change.all();
    // More may be written at once now.
    app.live.ring_for_jobs_everywhere();
    Ok(held)
}

/// Brings every user's replies at once in line with the settings, which may have changed since the last start.
pub async fn apply_limits(store: &Store, quota: &config::Quota) -> Result<()> {
    let (basic, pro) = (quota.basic_replies_at_once, quota.pro_replies_at_once);
    crate::transaction!(store, |tx| { jobs::set_replies_at_once(tx, basic, pro).await })
}
