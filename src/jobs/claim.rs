//! Taking work under a lease: what lapsed, what is next by virtual time, and what the house has to do.

use super::{Claim, Pool, sql};
use crate::clock::Moment;
use crate::ids::NodeId;
use crate::store::{Result, Store};

/// How much a claim may take, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub holder: NodeId,
    pub now: Moment,
    pub lease_until: Moment,
    pub most: usize,
    /// Only Basic users: every fifth claim of a worker is theirs while they wait, whatever Pro's weight.
    pub only_basic: bool,
}

/// Replies' jobs whose users are next by virtual time, each with its attempt raised and committed.
///
/// One call gives a user at most one job; the highest start tag among them comes beside, for the floor.
pub async fn claim_heads(store: &Store, wanted: Wanted) -> Result<(Vec<Claim>, i64)> {
    crate::transaction!(store, |tx| {
        sql::ripen(tx, wanted.now).await?;
        let claims = sql::take_heads(tx, wanted).await?;
        let tag = sql::count_taken(tx, &claims).await?;
        Ok((claims, tag))
    })
}

/// Jobs whose holder let its lease lapse. They still count for their users, so they come before any other claim.
pub async fn claim_lapsed(store: &Store, wanted: Wanted) -> Result<Vec<Claim>> {
    crate::transaction!(store, |tx| { sql::take_lapsed(tx, wanted).await })
}

/// Jobs of the house that are due, oldest first, of one pool.
pub async fn claim_house(store: &Store, pool: Pool, wanted: Wanted) -> Result<Vec<Claim>> {
    crate::transaction!(store, |tx| { sql::take_house(tx, pool, wanted).await })
}
