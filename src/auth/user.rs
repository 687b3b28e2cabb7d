//! Who somebody is, and the device they are asking from.

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use super::{Mobile, Plan, Role, sql};
use crate::app::App;
use crate::clock::Moment;
use crate::http::{ApiError, ClientAddress};
use crate::ids::{SessionId, UserId};
use crate::store;

/// What is shown of a browser's own name.
const LONGEST_AGENT: usize = 200;

/// A person whose number is verified.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct User {
    pub id: UserId,
    pub mobile: Mobile,
    pub username: Option<String>,
    pub password_set: bool,
    pub role: Role,
    pub plan: Plan,
    pub created_at: Moment,
    pub suspended_at: Option<Moment>,
}

/// A person, while they are there.
pub async fn find(app: &App, id: UserId) -> store::Result<Option<User>> {
    sql::user(&mut app.store.read().await?, id).await
}

/// Gives a person another name, or none; false when there is no such person any more.
pub async fn rename(app: &App, id: UserId, username: Option<&str>) -> store::Result<bool> {
    crate::transaction!(app.store, |tx| { sql::set_username(tx, id, username).await })
}

/// A sign-in that has not ended.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Session {
    pub id: SessionId,
    pub created_at: Moment,
    pub last_seen_at: Moment,
    pub user_agent: Option<String>,
    pub address: String,
}

/// Where a request comes from. An extractor.
#[derive(Clone, Debug)]
pub struct Device {
    pub address: String,
    pub user_agent: Option<String>,
    /// What throttles by address count by.
    pub throttle_key: String,
    /// Somebody on this machine, with nothing in between.
    pub is_local_and_direct: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Device {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let client = ClientAddress::from_request_parts(parts, state).await?;
        let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self {
            address: client.ip.to_string(),
            user_agent: agent.map(|agent| agent.chars().take(LONGEST_AGENT).collect()),
            throttle_key: client.throttle_key(),
            is_local_and_direct: client.is_local_and_direct,
        })
    }
}
