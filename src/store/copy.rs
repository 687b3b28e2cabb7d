//! Copies of an SQLite database: made beside a running server, put back when none runs.
//!
//! PostgreSQL has its own tools for this (`pg_dump`, `pg_restore`), and they are better.

use std::path::{Path, PathBuf};

use super::{ConnectError, OwnError, Store, connect, own};

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the database is PostgreSQL: take pg_dump and pg_restore, or your provider's backups")]
    NotSqlite,
    #[error("{0} is there already; nothing was written")]
    Exists(PathBuf),
    #[error("{0} is damaged: {1}; nothing was changed")]
    Damaged(PathBuf, String),
    #[error("cannot copy to {0}: {1}")]
    Write(PathBuf, #[source] std::io::Error),
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Writes all that is committed now to a new file, readable by its owner alone. Its size in bytes.
///
/// # Errors
/// When the file is there already, or cannot be written; what was written of it is removed.
pub async fn backup(store: &Store, to: &Path) -> Result<u64, CopyError> {
    let Store::Sqlite { writer, .. } = store else { return Err(CopyError::NotSqlite) };
    let failed = |cause| CopyError::Write(to.to_owned(), cause);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(to).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => CopyError::Exists(to.to_owned()),
        _ => failed(cause),
    })?;
    let name = to.to_string_lossy().into_owned();
    if let Err(cause) = sqlx::query("vacuum into $1").bind(name).execute(writer).await {
        // Half a copy is worse than none.
        let _ = std::fs::remove_file(to);
        return Err(cause.into());
    }
    file.sync_all().map_err(failed)?;
    Ok(file.metadata().map_err(failed)?.len())
}

/// Puts a copy in a database's place, after looking it over; what stood there is gone.
///
/// # Errors
/// When a server runs on the database, or the copy is not one of ours or damaged: then nothing is changed.
pub async fn restore(database: &Path, from: &Path) -> Result<(), CopyError> {
    let _owner = own(database)?;
    let beside = with_suffix(database, "-restoring");
    let failed = |cause| CopyError::Write(beside.clone(), cause);
    std::fs::copy(from, &beside).map_err(|cause| CopyError::Write(from.to_owned(), cause))?;
    let looked_over = look_over(&beside, from).await;
    for left in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(with_suffix(&beside, left));
    }
    if let Err(fault) = looked_over {
        let _ = std::fs::remove_file(&beside);
        return Err(fault);
    }
    std::fs::File::open(&beside).and_then(|file| file.sync_all()).map_err(failed)?;
    // The old log must be gone first: SQLite would play it into the new file.
    for left in ["-wal", "-shm"] {
        match std::fs::remove_file(with_suffix(database, left)) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(failed(cause)),
            _ => {}
        }
    }
    std::fs::rename(&beside, database).map_err(failed)
}

async fn look_over(copy: &Path, from: &Path) -> Result<(), CopyError> {
    if copy.metadata().map_or(0, |file| file.len()) == 0 {
        return Err(CopyError::Damaged(from.to_owned(), "it is empty".to_owned()));
    }
    let store = connect(&format!("sqlite://{}", copy.display()), 1).await.map_err(|fault| match fault {
        ConnectError::NotOurs(_) => ConnectError::NotOurs(from.to_owned()),
        ConnectError::NotSqlite(_) => ConnectError::NotSqlite(from.to_owned()),
        other => other,
    })?;
    let Store::Sqlite { writer, .. } = &store else { return Err(CopyError::NotSqlite) };
    let checked = sqlx::query_as::<_, (String,)>("pragma integrity_check(1)").fetch_one(writer).await;
    store.close().await;
    match checked {
        Ok((word,)) if word == "ok" => Ok(()),
        Ok((fault,)) => Err(CopyError::Damaged(from.to_owned(), fault)),
        Err(fault) => Err(CopyError::Damaged(from.to_owned(), fault.to_string())),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Left in the write-ahead log, as by a server that was killed.
        let killed = with_user(&file, "after").await;
        std::mem::forget(killed);
        restore(&file, &copy).await.expect("put back");
        let store = connect(&format!("sqlite://{}", file.display()), 1).await.expect("opened");
        assert_eq!(mobile(&store).await, "before");
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
        assert!(fault.to_string().contains("theirs.db is a database of another program"), "{fault}");
        let owner = own(&file).expect("no server runs");
        assert!(matches!(restore(&file, &theirs).await, Err(CopyError::Own(OwnError::Taken(_)))));
        drop(owner);
        let store = connect(&format!("sqlite://{}", file.display()), 1).await.expect("opened");
        assert_eq!(mobile(&store).await, "kept");
    }
}
