//! A database of its own on the tests' PostgreSQL, if `TEST_DATABASE_URL` names one; else a file in the test's folder.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

pub(crate) struct Postgres {
    pub(crate) server: PgConnectOptions,
    pub(crate) name: String,
}

impl Postgres {
    pub(crate) async fn create() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "the tests' own setting, none of the service's")]
        let url = std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty())?;
        let server = PgConnectOptions::from_str(&url).expect("an address of PostgreSQL");
        let name = format!("gemini_backend_test_{}", uuid::Uuid::now_v7().simple());
        let postgres = Self { server, name };
        postgres.run("create database").await;
        Some(postgres)
    }

    async fn run(&self, what: &str) {
        let mut connection = self.server.clone().connect().await.expect("PostgreSQL answers");
        connection.execute(AssertSqlSafe(format!("{what} {}", self.name))).await.expect("done");
    }

    /// Its address, as the older systems or ours spell the scheme.
    pub(crate) fn url(&self, scheme: &str) -> String {
        let (host, port, user) = (self.server.get_host(), self.server.get_port(), self.server.get_username());
        format!("{scheme}://{user}@{host}:{port}/{}", self.name)
    }

    pub(crate) async fn drop(self) {
        self.run("drop database").await;
    }
}
