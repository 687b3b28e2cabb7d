//! Opening the database that the settings name: creating the SQLite file, refusing one that is not ours.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlitePool};

use super::Store;

/// `GEMB`, in the header of every SQLite file of ours.
const APPLICATION_ID: i64 = 0x4745_4d42;
/// How long a request waits for a connection before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0} is a database of another program; nothing in it was touched. Point DATABASE_URL somewhere else")]
    NotOurs(PathBuf),
    #[error("{0} is not an SQLite file; nothing in it was touched. Point DATABASE_URL somewhere else")]
    NotSqlite(PathBuf),
    #[error("cannot create {0}: {1}")]
    Folder(PathBuf, #[source] std::io::Error),
    #[error("DATABASE_URL: {0}")]
    Url(#[source] sqlx::Error),
    #[error("cannot reach PostgreSQL at {0}: {1}")]
    Unreachable(String, String),
    #[error("cannot open the database: {0}")]
    Open(#[source] sqlx::Error),
}

/// Opens the database at `url`: `sqlite://path` (created when it is not there) or `postgres://...`.
///
/// # Errors
/// When the address is wrong, nothing answers there, or the file belongs to another program.
pub async fn connect(url: &str, max_connections: u32) -> Result<Store, ConnectError> {
    if url.starts_with("sqlite:") { sqlite(url, max_connections).await } else { postgres(url, max_connections).await }
}

async fn postgres(url: &str, max_connections: u32) -> Result<Store, ConnectError> {
    let options = PgConnectOptions::from_str(url).map_err(ConnectError::Url)?.application_name("gemini-backend");
    super::reach::reach(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(PATIENCE)
        // A broken connection is noticed when it is used; asking before every use would double every round trip.
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(ConnectError::Open)?;
    Ok(Store::Postgres(pool))
}

async fn sqlite(url: &str, max_connections: u32) -> Result<Store, ConnectError> {
    let options = SqliteConnectOptions::from_str(url).map_err(ConnectError::Url)?;
    let path = options.get_filename().to_owned();
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|cause| ConnectError::Folder(folder.to_owned(), cause))?;
    }
    let is_new = std::fs::metadata(&path).map_or(true, |file| file.len() == 0);
    if is_new {
        create_private(&path).map_err(|cause| ConnectError::Open(cause.into()))?;
    } else {
        refuse_foreign(&path).await?;
    }
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        .pragma("cache_size", "-16000");
    // Both write, and a reader that is opened while somebody writes must not wait for that.
    let ours = options.clone().pragma("application_id", APPLICATION_ID.to_string()).optimize_on_close(true, None);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        // Behind the one writing connection stands a fair queue; a burst of hundreds is served, not refused.
        .acquire_timeout(PATIENCE * 6)
        .idle_timeout(None)
        .max_lifetime(None);
    let writer = open(writer, ours).await?;
    let readers =
        SqlitePoolOptions::new().max_connections(max_connections).acquire_timeout(PATIENCE).test_before_acquire(false);
    let readers = open(readers, options.read_only(false).pragma("query_only", "on")).await?;
    Ok(Store::Sqlite { writer, readers })
}

/// Opens what is there only to look at it: not a byte of an SQLite database changes, nor do files appear beside it.
///
/// # Errors
/// As [`connect`], and when there is no such file.
pub async fn look_into(url: &str) -> Result<Store, ConnectError> {
    if !url.starts_with("sqlite:") {
        return postgres(url, 1).await;
    }
    let options = SqliteConnectOptions::from_str(url).map_err(ConnectError::Url)?;
    let path = options.get_filename().to_owned();
    refuse_foreign(&path).await?;
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
    let readers = open(pool, only_to_look(&path)).await?;
    Ok(Store::Sqlite { writer: readers.clone(), readers })
}

/// Without a log nobody writes, and SQLite need not make one only to read.
pub(super) fn only_to_look(path: &Path) -> SqliteConnectOptions {
    let is_at_rest = std::fs::metadata(super::beside(path, "-wal")).map_or(true, |log| log.len() == 0);
    SqliteConnectOptions::new().filename(path).read_only(true).immutable(is_at_rest).busy_timeout(PATIENCE)
}

/// A server that is just ending holds its file for a moment, and SQLite does not wait for that by itself.
async fn open(pool: SqlitePoolOptions, options: SqliteConnectOptions) -> Result<SqlitePool, ConnectError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(sqlx::Error::Database(cause)) if cause.code().as_deref() == Some("5") && Instant::now() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            opened => return opened.map_err(ConnectError::Open),
        }
    }
}

/// Numbers, hashes and conversations are nobody else's on this machine. SQLite gives its other files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Looks at a file that is there already, without leave to write.
async fn refuse_foreign(path: &Path) -> Result<(), ConnectError> {
    let not_sqlite = |_| ConnectError::NotSqlite(path.to_owned());
    let mut header = [0_u8; 72];
    {
        use std::io::Read;
        let mut file = std::fs::File::open(path).map_err(|cause| ConnectError::Open(cause.into()))?;
        file.read_exact(&mut header).map_err(|_| ConnectError::NotSqlite(path.to_owned()))?;
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(ConnectError::NotSqlite(path.to_owned()));
    }
    // The application id stands at byte 68 of the header, but a fresh one may still be in the write-ahead log only.
    if header[68..72] == [0x47, 0x45, 0x4d, 0x42] {
        return Ok(());
    }
    let mut connection = only_to_look(path).connect().await.map_err(not_sqlite)?;
    let (id,): (i64,) = sqlx::query_as("pragma application_id").fetch_one(&mut connection).await.map_err(not_sqlite)?;
    connection.close().await.map_err(ConnectError::Open)?;
    if id == APPLICATION_ID { Ok(()) } else { Err(ConnectError::NotOurs(path.to_owned())) }
}
