//! Reading the queue: its depth, when it next has something to do; and sweeping what is over.

use super::{Pool, sql};
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

/// Deletes finished jobs older than `before`, at most `most`; how many went.
pub async fn sweep(store: &Store, before: Moment, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| { sql::delete_finished(tx, before, i64::from(most)).await })
}
