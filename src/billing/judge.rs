//! From what is known to a plan: the one place where a plan changes.

use super::standing::{Known, counting};
use super::{Cause, Happened, What, plans, sql};
use crate::app::App;
use crate::auth::Plan;
use crate::clock::Moment;
use crate::ids::UserId;
use crate::jobs::{self, Claim, EndError};
use crate::store::{Result, Tx};

/// Gives a person the plan that is theirs by what is known now, and writes down what happened and what came of it.
/// Whether the plan changed; None: there is no such person. Call it with the person's row in the queue locked.
pub(super) async fn judge(
    app: &App,
    tx: &mut Tx,
    user: UserId,
    happened: &[Happened],
    cause: &Cause,
    now: Moment,
) -> Result<Option<bool>> {
    let Some(before) = sql::plan_of(tx, user).await? else { return Ok(None) };
    let is_granted = sql::account(tx, user).await?.is_some_and(|account| account.granted);
    let subs = sql::subscriptions(tx, user).await?;
    let grace = app.settings.stripe.grace;
    let is_pro = is_granted || subs.iter().any(|sub| sub.is_pro(grace, now));
    let plan = if is_pro { Plan::Pro } else { Plan::Basic };
    for one in happened {
        sql::insert_line(tx, user, one, plan, cause, now).await?;
    }
    if plan == before {
        return Ok(Some(false));
    }
    plans::set_plan(app, tx, user, plan).await?;
    let about = counting(&subs, grace, now);
    let change = Happened {
        subscription: about.map(|sub| sub.id.clone()),
        status: about.map(|sub| sub.status.clone()),
        ..Happened::just(What::PlanChanged)
    };
    sql::insert_line(tx, user, &change, plan, cause, now).await?;
    Ok(Some(true))
}

/// The job that judges a plan again when a period of grace is over; it waits when another one goes on longer.
pub async fn judge_again(app: &App, claim: &Claim, user: UserId) -> std::result::Result<(), EndError> {
    let now = app.clock.now();
    let change = app.people.change_beside(user);
    let judged: std::result::Result<bool, EndError> = crate::transaction!(app.store, |tx| {
        jobs::lock(tx, user).await?;
        let changed = judge(app, tx, user, &[], &Cause::Time, now).await?.unwrap_or(false);
        let later = next_end(app, &sql::subscriptions(tx, user).await?, now);
        match later {
            Some(due) => jobs::wait_house(tx, app.node, claim, due).await?,
            None => jobs::finish_house(tx, app.node, claim, "", now).await?,
        }
        Ok(changed)
    });
    let changed = judged?;
    change.all();
    if changed {
        app.live.ring_for_jobs_everywhere();
    }
    Ok(())
}

/// When the next period of grace ends, of those that last.
pub(super) fn next_end(app: &App, subs: &[Known], now: Moment) -> Option<Moment> {
    let ends = subs.iter().filter(|sub| sub.status == "past_due");
    ends.filter_map(|sub| sub.grace_until(app.settings.stripe.grace)).filter(|end| *end > now).min()
}
