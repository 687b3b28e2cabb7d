//! What keeps live readers right when a bell is not rung (the process that should have died, or Redis is away): one query
//! each second for all of them together.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::Live;
use crate::fetch_all;
use crate::ids::UserId;
use crate::store::sql::{Fork, Ids};
use crate::store::{Result, Store};

const EVERY: Duration = Duration::from_secs(1);

/// A person's changes and claims; it moves with each of them.
type Stamp = (i64, i64, i64);

macro_rules! stamps {
    ($these:literal) => {
        concat!("select user_id, rev, vtime, in_flight from queue_users where user_id ", $these)
    };
}

const STAMPS: Fork =
    Fork { sqlite: stamps!("in (select unhex(value) from json_each($1))"), postgres: stamps!("= any ($1)") };

impl Live {
    /// Rings for what changed without a bell, and ticks, until it is dropped.
    pub async fn watch(&self, store: &Store) {
        let mut known = HashMap::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let owners = self.bells.owners();
            if owners.is_empty() {
                known.clear();
                continue;
            }
            match stamps(store, &owners).await {
                Ok(stamps) => {
                    // Whoever began to listen since the last look has read the database later than that.
                    let is_news = |(owner, stamp): &(&UserId, &Stamp)| known.get(*owner) != Some(*stamp);
                    let changed = stamps.iter().filter(is_news).map(|(owner, _)| *owner).collect();
                    self.bells.ring_all_of(&changed);
                    known = stamps;
                }
                Err(cause) => tracing::warn!(%cause, "live readers could not be looked after"),
            }
            self.ticks.send_replace(());
        }
    }
}

async fn stamps(store: &Store, owners: &HashSet<UserId>) -> Result<HashMap<UserId, Stamp>> {
    let owners = Ids(owners.iter().map(|owner| owner.0).collect());
    let rows = fetch_all!(&mut store.read().await?, (UserId, i64, i64, i64), STAMPS, &owners)?;
    Ok(rows.into_iter().map(|(owner, rev, vtime, in_flight)| (owner, (rev, vtime, in_flight))).collect())
}
