//! Reading the queue: its depth, when it next has something to do; and sweeping what is over.

use super::{Claim, Pool, sql};
use crate::clock::Moment;
use crate::store::{Result, Store};

/// What waits and what runs.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    pub queued: i64,
    pub oldest: Option<Moment>,
    pub running: i64,
}

pub async fn depth(store: &Store, now: Moment) -> Result<Depth> {
    let mut reader = store.read().await?;
    let (queued, oldest) = sql::depth(&mut reader, now).await?;
    Ok(Depth { queued, oldest, running: sql::running(&mut reader).await? })
}

/// When the queue next has something for a worker: for people below their limit (long ago when they need not wait), for
/// the house by its pools, or a lease that lapses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub heads: Option<Moment>,
    pub house: [(Pool, Option<Moment>); 3],
    pub lapse: Option<Moment>,
}

impl Look {
    /// The earliest of them.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        self.house.iter().map(|(_, due)| *due).chain([self.heads, self.lapse]).flatten().min()
    }
}

/// One read that tells whether a claim is worth its transaction.
pub async fn look(store: &Store) -> Result<Look> {
    sql::look(&mut store.read().await?).await
}

/// What a claim's own end made of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Ended,
    PutBack,
}

/// How a claim was settled by its holder: None while it was not, or when somebody took the job away.
pub async fn settled(store: &Store, claim: &Claim) -> Result<Option<Settled>> {
    let Some((state, attempt, crashes)) = sql::tries(&mut store.read().await?, claim.id).await? else {
        return Ok(None);
    };
    Ok(match state.as_str() {
        // Whoever takes it from a holder counts a crash; what was put back is begun again without.
        _ if attempt != claim.attempt => (crashes == claim.crashes).then_some(Settled::PutBack),
        "running" => None,
        "queued" => Some(Settled::PutBack),
        _ => Some(Settled::Ended),
    })
}

/// Deletes finished jobs older than `before`, at most `most`; how many went.
pub async fn sweep(store: &Store, before: Moment, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| { sql::delete_finished(tx, before, i64::from(most)).await })
}
