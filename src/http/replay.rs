//! `Idempotency-Key`: what a key was used for, kept with what it made, in the transaction that made it.
//!
//! Callers hold a lock of the user's before they look, so two requests with one key cannot both find nothing.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Moment;
use crate::ids::UserId;
use crate::store::{Result, Store, Tx};
use crate::{execute, fetch_optional};

/// The header of an answer that was given before.
pub const REPLAYED: (&str, &str) = ("idempotency-replayed", "true");

/// A request that carries a key: the key, and a hash of what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    key: String,
    hash: String,
}

/// What the key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Never,
    /// For the same request, which made this.
    Same(Uuid),
    /// For another request.
    Other,
}

impl Request {
    /// `parts` are the operation, what it is done to, and the body with aliases resolved.
    #[must_use]
    pub fn new(key: String, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // The length before each part keeps ("ab", "c") apart from ("a", "bc").
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self { key, hash: hex::encode(hash.finalize()) }
    }
}

pub async fn look_up(tx: &mut Tx, user: UserId, request: &Request) -> Result<Before> {
    let row = fetch_optional!(
        tx,
        (String, Uuid),
        "select request_hash, resource from idempotency_keys where user_id = $1 and key = $2",
        user,
        &request.key
    )?;
    Ok(match row {
        None => Before::Never,
        Some((hash, resource)) if hash == request.hash => Before::Same(resource),
        Some(_) => Before::Other,
    })
}

/// Keeps what the request made. Refusals are not kept.
pub async fn keep(tx: &mut Tx, user: UserId, request: &Request, resource: Uuid, now: Moment) -> Result<()> {
    execute!(
        tx,
        "insert into idempotency_keys (user_id, key, request_hash, resource, created_at) values ($1, $2, $3, $4, $5)",
        user,
        &request.key,
        &request.hash,
        resource,
        now
    )?;
    Ok(())
}

/// Deletes all keys of a user.
pub async fn forget(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(tx, "delete from idempotency_keys where user_id = $1", user)?;
    Ok(())
}

/// Deletes keys older than `before`, at most `most`; how many went.
pub async fn sweep(store: &Store, before: Moment, most: u32) -> Result<u64> {
    crate::transaction!(store, |tx| {
        execute!(
            tx,
            "delete from idempotency_keys where (user_id, key) in
                 (select user_id, key from idempotency_keys where created_at < $1 order by created_at limit $2)",
            before,
            i64::from(most)
        )
    })
}
