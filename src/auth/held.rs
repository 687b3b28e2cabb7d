//! What is held of a person, for their own copy of it.

use super::sql::{self, HeldSession};
use crate::app::App;
use crate::ids::{SessionId, UserId};
use crate::store::{On, Result};

/// Sessions read at a time.
const PAGE: i64 = 200;

/// Some of a person's sessions, those that have ended too, the oldest first, behind one of them; none at the end.
pub async fn sessions_after(app: &App, user: UserId, after: Option<SessionId>) -> Result<Vec<HeldSession>> {
    let after = after.unwrap_or(SessionId(uuid::Uuid::nil()));
    sql::held_sessions(&mut app.store.read().await?, user, after, PAGE).await
}

/// How many there are.
pub async fn count_sessions(on: &mut impl On, user: UserId) -> Result<i64> {
    sql::count_sessions(on, user).await
}
