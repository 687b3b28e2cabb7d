//! Makes findable what was said before there was a search, a batch at a time, beside the sweep.
//!
//! It goes through all messages in the order of their ids. The last hour is gone through again each time, and all of it
//! goes on for a day: during an upgrade older processes write messages without terms.

use std::time::Duration;

use super::sql;
use super::terms::Terms;
use crate::app::App;
use crate::clock::Moment;
use crate::ids::MessageId;
use crate::store;

/// Messages looked at in one transaction; all of them may be long.
const BATCH: i64 = 200;
/// Between two batches, so that whoever writes comes in between.
const BREATH: Duration = Duration::from_millis(20);
/// A message younger than this may still be written by an older process.
const SETTLED: Duration = Duration::from_hours(1);
/// How long after the schema changed older processes may be there.
const UPGRADE: Duration = Duration::from_hours(24);

/// Indexes messages that have no terms yet; how many. Nothing once an upgrade is a day past. Safe to run in many processes.
pub async fn index_older(app: &App) -> store::Result<u64> {
    let Some((mut from, since)) = sql::progress(&mut app.store.read().await?).await? else { return Ok(0) };
    let now = app.clock.now();
    let settled = first_at(now.minus(SETTLED));
    let mut indexed = 0;
    while !app.stop.is_cancelled() {
        let step = sql::step(&mut app.store.read().await?, from, BATCH).await?;
        let to = step.unwrap_or(MessageId(uuid::Uuid::max()));
        indexed += index_between(app, from, to, to.min(settled)).await?;
        if step.is_none() {
            end_pass(app, since, now).await?;
            break;
        }
        from = to;
        tokio::time::sleep(BREATH).await;
    }
    Ok(indexed)
}

async fn index_between(app: &App, from: MessageId, to: MessageId, keep: MessageId) -> store::Result<u64> {
    let missing = sql::unindexed(&mut app.store.read().await?, from, to).await?;
    let mut made = Vec::with_capacity(missing.len());
    for (id, owner, content) in missing {
        made.push((id, Terms::of(owner, &content)));
    }
    crate::transaction!(app.store, |tx| {
        for (id, terms) in &made {
            sql::index(tx, *id, terms).await?;
        }
        sql::set_progress(tx, keep).await
    })?;
    Ok(u64::try_from(made.len()).unwrap_or(u64::MAX))
}

async fn end_pass(app: &App, since: Option<Moment>, now: Moment) -> store::Result<()> {
    crate::transaction!(app.store, |tx| {
        match since {
            Some(since) if now.since(since) > UPGRADE + SETTLED => sql::end_progress(tx).await,
            _ => sql::begin_progress(tx, now).await,
        }
    })
}

/// The least id that is made at a moment.
fn first_at(moment: Moment) -> MessageId {
    let millis = u128::try_from(moment.millis()).unwrap_or(0);
    MessageId(uuid::Uuid::from_u128(millis << 80))
}
