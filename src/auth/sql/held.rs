//! What is held of a person, for the person: no hash, no secret.

use crate::clock::Moment;
use crate::ids::{SessionId, UserId};
use crate::store::{On, Result};
use crate::{fetch_all, fetch_one};

/// A sign-in, living or not.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = HeldSession)]
pub struct HeldSession {
    pub id: SessionId,
    pub created_at: Moment,
    pub last_seen_at: Moment,
    pub expires_at: Moment,
    /// Null while it lives.
    #[schema(required)]
    pub ended_at: Option<Moment>,
    #[schema(required)]
    pub user_agent: Option<String>,
    pub address: String,
}

/// All sessions of a person, the oldest first, behind one of them.
pub(in crate::auth) async fn held_sessions(
    on: &mut impl On,
    user: UserId,
    after: SessionId,
    most: i64,
) -> Result<Vec<HeldSession>> {
    fetch_all!(
        on,
        HeldSession,
        "select id, created_at, last_seen_at, expires_at, ended_at, user_agent, address from sessions
         where user_id = $1 and id > $2 order by id limit $3",
        user,
        after,
        most
    )
}

pub(in crate::auth) async fn count_sessions(on: &mut impl On, user: UserId) -> Result<i64> {
    Ok(fetch_one!(on, (i64,), "select count(*) from sessions where user_id = $1", user)?.0)
}
