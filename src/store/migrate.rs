//! The schema, brought up to date: `migrations/` for both engines, a folder apart for what only one of them can say.

use std::borrow::Cow;

use sqlx::migrate::Migrator;

use super::sql::Fork;
use super::{Result, Store};
use crate::{fetch_all, fetch_one};

static BOTH: Migrator = sqlx::migrate!("./migrations");
static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("cannot migrate the database: {0}")]
    Failed(#[from] sqlx::migrate::MigrateError),
}

fn migrator(own: &Migrator) -> Migrator {
    let mut migrations: Vec<_> = BOTH.migrations.iter().chain(own.migrations.iter()).cloned().collect();
    migrations.sort_by_key(|migration| migration.version);
    Migrator {
        migrations: Cow::Owned(migrations),
        // A node older than the schema still starts: upgrades expand first.
        ignore_missing: true,
        ..Migrator::DEFAULT
    }
}

/// Brings the schema up to date, under a lock: many nodes may start at once.
///
/// # Errors
/// When a migration fails or was changed after it ran.
pub async fn migrate(store: &Store) -> std::result::Result<(), MigrateError> {
    match store {
        Store::Sqlite { writer, .. } => migrator(&SQLITE).run(writer).await?,
        Store::Postgres(pool) => migrator(&POSTGRES).run(pool).await?,
    }
    Ok(())
}

/// How many migrations have not run yet. Only reads: it may be asked every second, beside whoever writes.
pub async fn pending(store: &Store) -> Result<usize> {
    let own = match store {
        Store::Sqlite { .. } => &SQLITE,
        Store::Postgres(_) => &POSTGRES,
    };
    let mut reader = store.read().await?;
    let (is_begun,) = fetch_one!(&mut reader, (bool,), IS_BEGUN)?;
    let done = if is_begun {
        fetch_all!(&mut reader, (i64,), "select version from _sqlx_migrations where success")?
    } else {
        Vec::new()
    };
    let wanted = BOTH.migrations.iter().chain(own.migrations.iter());
    Ok(wanted.filter(|migration| !done.contains(&(migration.version,))).count())
}

/// How many migrations ran here that this version does not know.
pub(super) async fn unknown(store: &Store) -> Result<usize> {
    let mut reader = store.read().await?;
    let (is_begun,) = fetch_one!(&mut reader, (bool,), IS_BEGUN)?;
    if !is_begun {
        return Ok(0);
    }
    let done = fetch_all!(&mut reader, (i64,), "select version from _sqlx_migrations")?;
    let known = || BOTH.migrations.iter().chain(SQLITE.migrations.iter()).chain(POSTGRES.migrations.iter());
    Ok(done.iter().filter(|(version,)| known().all(|migration| migration.version != *version)).count())
}

/// Each engine lists its tables in a place of its own.
const IS_BEGUN: Fork = Fork {
    sqlite: "select exists(select 1 from sqlite_master where name = '_sqlx_migrations')",
    postgres: "select to_regclass('_sqlx_migrations') is not null",
};
