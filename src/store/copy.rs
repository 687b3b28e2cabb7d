//! Copies of an SQLite database: made beside a running server, put back when none runs.
//!
//! PostgreSQL has its own tools for this (`pg_dump`, `pg_restore`), and they are better.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, SqlitePool};

use super::migrate::unknown;
use super::{ConnectError, OwnError, Store, beside, look_into, own};

/// How long another process may hold the database.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the database is PostgreSQL: take pg_dump and pg_restore, or your provider's backups")]
    NotSqlite,
    #[error("{0} is there already; nothing was written")]
    Exists(PathBuf),
    #[error("{0} cannot be read: {1}; nothing was changed")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} is not a backup: it is no SQLite file; nothing was changed")]
    NoDatabase(PathBuf),
    #[error("{0} is not a backup: it is a database of another program; nothing was changed")]
    NotOurs(PathBuf),
    #[error("{0} is of a newer version of gemini-backend: restore it with that version; nothing was changed")]
    Newer(PathBuf),
    #[error("{0} is damaged: {1}; nothing was changed")]
    Damaged(PathBuf, String),
    #[error(
        "{0} is not whole: what was written last is in {0}-wal. `backup` makes copies that are; nothing was changed"
    )]
    Unfinished(PathBuf),
    #[error("a server runs on {0}: stop it first; nothing was changed")]
    Served(PathBuf),
    #[error("another command works on {0}: try again when it has ended; nothing was changed")]
    InUse(PathBuf),
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Writes all that is committed now to a new file, readable by its owner alone. Its size in bytes.
///
/// The file appears under its name when it is whole and on the disk; a process killed before leaves `*.partial`.
///
/// # Errors
/// When the file is there already, or cannot be written; what was written of it is removed.
pub async fn backup(store: &Store, to: &Path) -> Result<u64, CopyError> {
    let Store::Sqlite { writer, .. } = store else { return Err(CopyError::NotSqlite) };
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(CopyError::Exists(to.to_owned()));
    }
    let partial = beside(to, &format!("-{}.partial", uuid::Uuid::now_v7().simple()));
    let written = write_whole(writer, &partial, to).await;
    // Under its own name it stays; half a copy is worse than none.
    let _ = std::fs::remove_file(&partial);
    written
}

async fn write_whole(writer: &SqlitePool, partial: &Path, to: &Path) -> Result<u64, CopyError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AlreadyExists => CopyError::Exists(to.to_owned()),
        _ => CopyError::Write(to.to_owned(), cause),
    };
    let file = private().create_new(true).open(partial).map_err(failed)?;
    sqlx::query("vacuum into $1").bind(partial.to_string_lossy().into_owned()).execute(writer).await?;
    file.sync_all().map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    // Unlike a rename, a link replaces nothing that appeared meanwhile.
    std::fs::hard_link(partial, to)
        .or_else(|cause| match cause.kind() {
            // Not every disk knows links, a memory stick's for example.
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied if !to.exists() => {
                std::fs::rename(partial, to)
            }
            _ => Err(cause),
        })
        .map_err(failed)?;
    sync_folder(to).map_err(failed)?;
    Ok(bytes)
}

/// Puts a copy in a database's place, after looking it over; what stood there is gone. Killed at any moment, it leaves
/// the one or the other, whole.
///
/// # Errors
/// When a server runs on the database, or the copy is not one of ours, newer than this program, or damaged: then nothing
/// is changed.
pub async fn restore(database: &Path, from: &Path) -> Result<(), CopyError> {
    let mut copy = File::open(from).map_err(|cause| CopyError::Read(from.to_owned(), cause))?;
    let _owner = own(database).map_err(|fault| match fault {
        OwnError::Taken(database) => CopyError::Served(database),
        lock @ OwnError::Lock(..) => lock.into(),
    })?;
    let laid = beside(database, "-restoring");
    let ready = match lay_beside(&mut copy, from, &laid).await {
        Ok(()) => fold_log_in(database).await,
        fault => fault,
    };
    if let Err(fault) = ready {
        let _ = std::fs::remove_file(&laid);
        return Err(fault);
    }
    let failed = |cause| CopyError::Write(database.to_owned(), cause);
    std::fs::rename(&laid, database).map_err(failed)?;
    sync_folder(database).map_err(failed)
}

/// The copy, whole and looked over, on the same disk as the database.
async fn lay_beside(copy: &mut File, from: &Path, laid: &Path) -> Result<(), CopyError> {
    let unread = |cause| CopyError::Read(from.to_owned(), cause);
    let failed = |cause| CopyError::Write(laid.to_owned(), cause);
    if std::fs::metadata(beside(from, "-wal")).is_ok_and(|log| log.len() > 0) {
        return Err(CopyError::Unfinished(from.to_owned()));
    }
    // A restore that was killed left one of any mode.
    match std::fs::remove_file(laid) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
        _ => {}
    }
    let mut file = private().create_new(true).open(laid).map_err(failed)?;
    let bytes = io::copy(copy, &mut file).map_err(unread)?;
    file.sync_all().map_err(failed)?;
    if bytes == 0 {
        return Err(CopyError::Damaged(from.to_owned(), "it is empty".to_owned()));
    }
    look_over(laid, from).await
}

async fn look_over(laid: &Path, from: &Path) -> Result<(), CopyError> {
    let store = look_into(&format!("sqlite://{}", laid.display())).await.map_err(|fault| match fault {
        ConnectError::NotOurs(_) => CopyError::NotOurs(from.to_owned()),
        ConnectError::NotSqlite(_) => CopyError::NoDatabase(from.to_owned()),
        other => other.into(),
    })?;
    let damaged = |fault: String| CopyError::Damaged(from.to_owned(), fault);
    let Store::Sqlite { readers, .. } = &store else { return Err(CopyError::NotSqlite) };
    let checked = sqlx::query_as::<_, (String,)>("pragma integrity_check(1)").fetch_one(readers).await;
    let newer = unknown(&store).await;
    store.close().await;
    let (word,) = checked.map_err(|fault| damaged(fault.to_string()))?;
    if word != "ok" {
        return Err(damaged(word));
    }
    match newer.map_err(|fault| damaged(fault.to_string()))? {
        0 => Ok(()),
        _ => Err(CopyError::Newer(from.to_owned())),
    }
}

/// Makes the database that is to be replaced one whole file. Its log must not be there when another file takes the name:
/// SQLite would play it into that one. Nor may it go first, with what was committed in it.
async fn fold_log_in(database: &Path) -> Result<(), CopyError> {
    if std::fs::metadata(database).is_ok_and(|file| file.len() > 0) {
        let options = SqliteConnectOptions::new().filename(database).busy_timeout(PATIENCE);
        let folded = match options.journal_mode(SqliteJournalMode::Delete).connect().await {
            Ok(connection) => connection.close().await,
            Err(fault) => Err(fault),
        };
        match folded {
            Err(sqlx::Error::Database(fault)) if fault.code().as_deref() == Some("5") => {
                return Err(CopyError::InUse(database.to_owned()));
            }
            // What is damaged beyond opening has nothing to keep, and is why somebody restores.
            Err(fault) => tracing::warn!(%fault, "the database that is replaced cannot be opened"),
            Ok(()) => {}
        }
    }
    for left in ["-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(database, left)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(CopyError::Write(database.to_owned(), cause));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is written here is nobody else's to read.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A name is on the disk when its folder is; systems whose folders cannot be opened see to that by themselves.
fn sync_folder(of: &Path) -> io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;

    async fn with_user(file: &Path, mobile: &str) -> Store {
        let store = connect(&format!("sqlite://{}", file.display()), 1).await.expect("opened");
        crate::store::migrate(&store).await.expect("migrated");
        let Store::Sqlite { writer, .. } = &store else { unreachable!("an SQLite file") };
        sqlx::query("delete from users").execute(writer).await.expect("emptied");
        let insert =
            "insert into users (id, mobile, role, plan, created_at, rooms_rev) values ($1, $2, 'user', 'basic', 0, 0)";
        sqlx::query(insert).bind(uuid::Uuid::nil()).bind(mobile).execute(writer).await.expect("written");
        store
    }

    async fn mobile(store: &Store) -> String {
        let Store::Sqlite { readers, .. } = store else { unreachable!("an SQLite file") };
        sqlx::query_as::<_, (String,)>("select mobile from users").fetch_one(readers).await.expect("one user").0
    }

    #[tokio::test]
    async fn what_was_backed_up_comes_back_and_nothing_newer() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, copy) = (folder.path().join("chat.db"), folder.path().join("copy.db"));
        let store = with_user(&file, "before").await;
        assert!(backup(&store, &copy).await.expect("copied beside an open database") > 0);
        assert!(matches!(backup(&store, &copy).await, Err(CopyError::Exists(_))));
        store.close().await;
        let command = with_user(&file, "after").await;
        assert!(matches!(restore(&file, &copy).await, Err(CopyError::InUse(_))));
        command.close().await;
        restore(&file, &copy).await.expect("put back");
        let store = connect(&format!("sqlite://{}", file.display()), 1).await.expect("opened");
        assert_eq!(mobile(&store).await, "before");
    }

    #[tokio::test]
    async fn killed_before_its_last_step_a_restore_leaves_the_old_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, copy) = (folder.path().join("chat.db"), folder.path().join("copy.db"));
        let store = with_user(&file, "before").await;
        backup(&store, &copy).await.expect("copied");
        store.close().await;
        // As a killed server leaves it: what it committed last stands in the log alone.
        let killed = folder.path().join("killed");
        std::fs::create_dir(&killed).expect("a folder");
        let writing = with_user(&file, "after").await;
        for left in ["", "-wal"] {
            std::fs::copy(beside(&file, left), beside(&killed.join("chat.db"), left)).expect("copied");
        }
        writing.close().await;
        let file = killed.join("chat.db");
        let laid = beside(&file, "-restoring");
        let mut from = File::open(&copy).expect("the copy");
        lay_beside(&mut from, &copy, &laid).await.expect("a good copy");
        fold_log_in(&file).await.expect("folded in");
        assert!(!beside(&file, "-wal").exists());
        let store = look_into(&format!("sqlite://{}", file.display())).await.expect("opened");
        assert_eq!(mobile(&store).await, "after");
        store.close().await;
        restore(&file, &copy).await.expect("what was left does not stand in the way");
        let store = look_into(&format!("sqlite://{}", file.display())).await.expect("opened");
        assert_eq!(mobile(&store).await, "before");
        assert!(!laid.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn copies_and_what_is_restored_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (file, copy) = (folder.path().join("chat.db"), folder.path().join("copy.db"));
        let mode = |path: &Path| std::fs::metadata(path).expect("the file").permissions().mode() & 0o777;
        let store = with_user(&file, "before").await;
        backup(&store, &copy).await.expect("copied");
        store.close().await;
        assert_eq!(mode(&copy), 0o600);
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o644)).expect("opened to all");
        restore(&file, &copy).await.expect("put back");
        assert_eq!(mode(&file), 0o600);
    }

    #[tokio::test]
    async fn a_copy_made_under_load_is_of_one_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("chat.db");
        let store = with_user(&file, "kept").await;
        let Store::Sqlite { writer, .. } = &store else { unreachable!("an SQLite file") };
        sqlx::raw_sql("create table a (n int); create table b (n int)").execute(writer).await.expect("made");
        let write = async {
            for n in 0..400 {
                let mut tx = writer.begin().await.expect("begun");
                sqlx::query("insert into a values ($1)").bind(n).execute(&mut *tx).await.expect("written");
                sqlx::query("insert into b values ($1)").bind(n).execute(&mut *tx).await.expect("written");
                tx.commit().await.expect("committed");
            }
        };
        let beside_it = connect(&format!("sqlite://{}", file.display()), 1).await.expect("opened");
        let copy = async {
            for n in 0..10 {
                backup(&beside_it, &folder.path().join(format!("{n}.db"))).await.expect("copied");
            }
        };
        tokio::join!(write, copy);
        for n in 0..10 {
            let copy = look_into(&format!("sqlite://{}", folder.path().join(format!("{n}.db")).display())).await;
            let Ok(Store::Sqlite { readers, .. }) = &copy else { panic!("{copy:?}") };
            let both = "select (select count(*) from a), (select count(*) from b)";
            let (a, b): (i64, i64) = sqlx::query_as(both).fetch_one(readers).await.expect("counted");
            assert_eq!(a, b);
        }
        let left = std::fs::read_dir(folder.path()).expect("the folder").map(|file| file.expect("a file").file_name());
        assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("partial")));
    }

    #[tokio::test]
    async fn a_copy_of_a_newer_version_or_without_its_log_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, copy) = (folder.path().join("chat.db"), folder.path().join("copy.db"));
        with_user(&file, "kept").await.close().await;
        let store = with_user(&copy, "newer").await;
        let Store::Sqlite { writer, .. } = &store else { unreachable!("an SQLite file") };
        let later = "insert into _sqlx_migrations select 99991231235959, 'later', installed_on, 1, checksum, 0
                     from _sqlx_migrations limit 1";
        sqlx::query(later).execute(writer).await.expect("written");
        assert!(matches!(restore(&file, &copy).await, Err(CopyError::Unfinished(_))));
        store.close().await;
        assert!(matches!(restore(&file, &copy).await, Err(CopyError::Newer(_))));
        let missing = restore(&file, &folder.path().join("nothing")).await.expect_err("nothing there");
        assert!(missing.to_string().contains("nothing cannot be read"), "{missing}");
    }

    #[tokio::test]
    async fn a_copy_that_is_not_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, copy) = (folder.path().join("chat.db"), folder.path().join("copy.db"));
        with_user(&file, "kept").await.close().await;
        for wrong in
            [&b""[..], b"not a database at all, but long enough to have a header of seventy-two bytes, and more"]
        {
            std::fs::write(&copy, wrong).expect("written");
            restore(&file, &copy).await.expect_err("not a copy");
        }
        let theirs = folder.path().join("theirs.db");
        let url = format!("sqlite://{}?mode=rwc", theirs.display());
        let other = sqlx::SqlitePool::connect(&url).await.expect("opened");
        sqlx::query("create table theirs (id int)").execute(&other).await.expect("made");
        other.close().await;
        let fault = restore(&file, &theirs).await.expect_err("another program's");
        assert!(
            fault.to_string().contains("theirs.db is not a backup: it is a database of another program"),
            "{fault}"
        );
        let owner = own(&file).expect("no server runs");
        assert!(matches!(restore(&file, &theirs).await, Err(CopyError::Served(_))));
        drop(owner);
        let store = connect(&format!("sqlite://{}", file.display()), 1).await.expect("opened");
        assert_eq!(mobile(&store).await, "kept");
    }
}
