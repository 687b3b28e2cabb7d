//! The database: SQLite or PostgreSQL behind one door, one set of statements for both.
//!
//! Statements are written once, with `$1` and `returning`, and run by the macros of [`sql`]: [`execute!`](crate::execute),
//! [`fetch_one!`](crate::fetch_one), [`fetch_optional!`](crate::fetch_optional), [`fetch_all!`](crate::fetch_all).
//! Reads go through [`Store::read`], writes through [`transaction!`](crate::transaction).

mod connect;
mod copy;
mod leased;
mod migrate;
mod owner;
mod reach;
mod signal;
pub mod sql;
mod words;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Sqlite, SqliteConnection, SqlitePool, Transaction};

pub use connect::{ConnectError, connect, look_into};
pub use copy::{CopyError, backup, restore};
pub use leased::{Leased, in_time};
pub use migrate::{MigrateError, migrate, pending};
pub use owner::{OwnError, Owner, is_owned, own};
pub use signal::{Announced, Signal};

/// The name of a file beside the database's.
fn beside(database: &std::path::Path, suffix: &str) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// One database, shared by all of a process.
#[derive(Clone, Debug)]
pub enum Store {
    /// One writing connection behind the pool's fair queue, readers apart.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction: dropped without [`Tx::commit`], it never was.
#[derive(Debug)]
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Leased),
}

/// A connection for reads that need no transaction.
#[derive(Debug)]
pub enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(Leased),
}

/// The connection below a [`Tx`] or a [`Reader`]; what the macros match on.
#[derive(Debug)]
pub enum Engine<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// What a statement can run on.
pub trait On: Send {
    fn engine(&mut self) -> Engine<'_>;
}

impl On for Tx {
    fn engine(&mut self) -> Engine<'_> {
        match self {
            Self::Sqlite(tx) => Engine::Sqlite(tx),
            Self::Postgres(tx) => Engine::Postgres(tx.connection()),
        }
    }
}

impl On for Reader {
    fn engine(&mut self) -> Engine<'_> {
        match self {
            Self::Sqlite(connection) => Engine::Sqlite(connection),
            Self::Postgres(connection) => Engine::Postgres(connection.connection()),
        }
    }
}

/// What may break beneath any statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or no connection came free in time: worth trying again.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// PostgreSQL gave this transaction up for another (40001, 40P01): it may be repeated from its beginning.
    #[error("the transaction lost against another one: {0}")]
    Conflict(#[source] sqlx::Error),
    /// A unique index refused the row; its name, where the engine tells.
    #[error("a row like that is there already: {0}")]
    Taken(#[source] sqlx::Error),
    #[error(transparent)]
    Other(sqlx::Error),
}

impl Error {
    /// The same once more, for each who waited for one statement.
    #[must_use]
    pub fn again(&self) -> Self {
        let cause = sqlx::Error::Io(std::io::Error::other(self.to_string()));
        match self {
            Self::Unavailable(_) => Self::Unavailable(cause),
            Self::Conflict(_) => Self::Conflict(cause),
            Self::Taken(_) => Self::Taken(cause),
            Self::Other(_) => Self::Other(cause),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::PoolTimedOut | E::PoolClosed | E::Io(_) | E::Tls(_) | E::WorkerCrashed => Self::Unavailable(error),
            E::Database(cause) => match cause.code().as_deref() {
                Some("40001" | "40P01") => Self::Conflict(error),
                Some(code) if is_passing(code) => Self::Unavailable(error),
                _ if cause.is_unique_violation() => Self::Taken(error),
                _ => Self::Other(error),
            },
            _ => Self::Other(error),
        }
    }
}

/// What a second try may not meet again. By PostgreSQL's classes: the connection broke (08), a standby (25006), no room
/// (53), somebody intervened (57), the system failed (58). By SQLite's primary codes: busy, locked, out of memory, a failed
/// read or write, full, cannot open.
fn is_passing(code: &str) -> bool {
    if code.len() == 5 {
        return code == "25006" || ["08", "53", "57", "58"].contains(&&code[..2]);
    }
    code.parse::<u32>().is_ok_and(|code| [5, 6, 7, 10, 13, 14].contains(&(code & 0xff)))
}

pub type Result<T> = std::result::Result<T, Error>;

impl Store {
    /// A transaction for writing. On SQLite it holds the one writing connection from its first moment
    /// (`begin immediate`), so that reading before writing cannot fail half-way.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("begin immediate").await?),
            Self::Postgres(pool) => Tx::Postgres(Leased::begin(pool).await?),
        })
    }

    /// A connection for reading; each statement sees its own moment.
    pub async fn read(&self) -> Result<Reader> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Reader::Sqlite(readers.acquire().await?),
            Self::Postgres(pool) => Reader::Postgres(Leased::take(pool).await?),
        })
    }

    /// Whether this is the embedded engine: one process owns the file.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// The database's file, of the embedded engine.
    #[must_use]
    pub fn file(&self) -> Option<std::path::PathBuf> {
        match self {
            Self::Sqlite { writer, .. } => Some(writer.connect_options().get_filename().to_owned()),
            Self::Postgres(_) => None,
        }
    }

    /// Connections in use and open, for the metrics.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        let idle = |pool_idle: usize| u32::try_from(pool_idle).unwrap_or(u32::MAX);
        let (open, idle) = match self {
            Self::Sqlite { writer, readers } => {
                (writer.size() + readers.size(), idle(writer.num_idle() + readers.num_idle()))
            }
            Self::Postgres(pool) => (pool.size(), idle(pool.num_idle())),
        };
        (open.saturating_sub(idle), open)
    }

    /// Ends every connection; later calls fail.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Whether PostgreSQL gave the transaction up for another one, wherever that stands in the chain of causes.
#[must_use]
pub fn lost_to_another(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(sqlx::Error::Database(database)) = error.downcast_ref::<sqlx::Error>() {
            return matches!(database.code().as_deref(), Some("40001" | "40P01"));
        }
        cause = error.source();
    }
    false
}

impl Tx {
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::is_passing;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for code in ["08006", "08P01", "25006", "53100", "57014", "57P01", "58030", "5", "517", "13", "266", "14"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["23505", "42P01", "22021", "25P02", "1", "11", "19", "2067", "26", ""] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
