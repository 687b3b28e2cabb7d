//! Keeping what is held: one statement renews all of a worker's leases.

use std::collections::HashMap;

use super::sql;
use crate::clock::Moment;
use crate::execute;
use crate::ids::{JobId, NodeId};
use crate::store::sql::Ids;
use crate::store::{Result, Store, Tx};

/// What the database says this holder has: each job with the attempt it is held for.
pub type Renewed = HashMap<JobId, i64>;

/// Renews the leases of `holder` on the jobs `held` until `until`. What is missing from the answer is lost: its work must
/// stop. A claim whose answer never arrived is not among `held`, so it lapses and is claimed again.
pub async fn renew(store: &Store, holder: NodeId, held: &[JobId], until: Moment) -> Result<Renewed> {
    let held = Ids(held.iter().map(|id| id.0).collect());
    crate::transaction!(store, |tx| {
        relax(tx).await?;
        Ok(sql::renew(tx, holder, until, &held).await?.into_iter().collect())
    })
}

/// Persists the highest start tag that was claimed, about once a second.
pub async fn raise_floor(store: &Store, tag: i64) -> Result<()> {
    crate::transaction!(store, |tx| { sql::raise_floor(tx, tag).await })
}

/// A renewal that a crash of the database forgets only lets the job run again, so it need not wait for the disk.
async fn relax(tx: &mut Tx) -> Result<()> {
    if matches!(tx, Tx::Postgres(_)) {
        execute!(tx, "set local synchronous_commit = off")?;
    }
    Ok(())
}
