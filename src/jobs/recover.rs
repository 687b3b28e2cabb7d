//! The start of the embedded shape: whoever held a lease is dead, for one process owns the file.

use super::sql;
use crate::store::{Result, Store};

/// Makes every job that was running when the last process died claimable again; how many there were.
/// Only for a process that holds the database alone.
pub async fn void_leases(store: &Store) -> Result<u64> {
    crate::transaction!(store, |tx| { sql::void_leases(tx).await })
}
