//! The two databases, and a fresh one of either for each measurement.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// An engine to measure on.
#[derive(Debug)]
pub(crate) enum Engine {
    Sqlite,
    /// The address of a server without the name of a database behind its slash.
    Postgres(String),
}

/// An empty database, and a folder to start a server in; gone when dropped (PostgreSQL's goes with its private server).
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

impl Engine {
    /// SQLite, and the PostgreSQL at `BENCH_POSTGRES_URL`.
    pub(crate) fn all() -> anyhow::Result<[Self; 2]> {
        #[expect(clippy::disallowed_methods, reason = "the measurement has no settings of its own")]
        let url = std::env::var("BENCH_POSTGRES_URL").context("BENCH_POSTGRES_URL: scripts/bench sets it")?;
        let (server, _) = url.rsplit_once('/').context("BENCH_POSTGRES_URL names no database")?;
        Ok([Self::Sqlite, Self::Postgres(server.to_owned())])
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    pub(crate) async fn fresh(&self) -> anyhow::Result<Fresh> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir()?;
        let url = match self {
            Self::Sqlite => format!("sqlite:///{}/bench.db", folder.path().display()),
            Self::Postgres(server) => {
                let name = format!("bench_{}", MADE.fetch_add(1, Ordering::Relaxed));
                let mut connection = PgConnection::connect(&format!("{server}/postgres")).await?;
                for statement in [format!("drop database if exists {name}"), format!("create database {name}")] {
                    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
                }
                connection.close().await?;
                format!("{server}/{name}")
            }
        };
        Ok(Fresh { url, folder })
    }
}
