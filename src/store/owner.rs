//! One server per SQLite file: a lock on the file `<database>.lock`, held as long as the process lives.
//!
//! The system lets go of it when the process ends, however it ends. Short commands take no lock: they run beside a server.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For as long as this a lock may be somebody's who only looks.
const GLANCE: Duration = Duration::from_millis(100);

/// The right to serve from a file; given back when it is dropped.
#[derive(Debug)]
pub struct Owner(#[expect(dead_code, reason = "holding it is its use")] File);

#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error("another process serves from {0} already: one at a time, or take PostgreSQL for more (DATABASE_URL)")]
    Taken(PathBuf),
    #[error("cannot lock {0}: {1}")]
    Lock(PathBuf, #[source] std::io::Error),
}

/// Takes a database file for this process, however its path is spelled.
///
/// # Errors
/// When another process has it, or the folder cannot be written to.
pub fn own(database: &Path) -> Result<Owner, OwnError> {
    let failed = |cause| OwnError::Lock(database.to_owned(), cause);
    let deadline = Instant::now() + GLANCE;
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = File::options().create(true).append(true).open(lock_of(database)).map_err(failed)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Owner(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(GLANCE / 10),
            Err(TryLockError::WouldBlock) => return Err(OwnError::Taken(database.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
    }
}

/// Whether a process serves from a database file now. Takes nothing from whoever wants to begin meanwhile.
///
/// # Errors
/// When the lock cannot be looked at.
pub fn is_owned(database: &Path) -> Result<bool, OwnError> {
    let failed = |cause| OwnError::Lock(database.to_owned(), cause);
    let file = match File::open(lock_of(database)) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(failed)?,
    };
    // Shared, and let go of at once: an owner-to-be tries for longer than that.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

fn lock_of(database: &Path) -> PathBuf {
    super::beside(&database.canonicalize().unwrap_or_else(|_| database.to_owned()), ".lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_takes_nothing_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("chat.db");
        assert!(!is_owned(&file).expect("nobody has it"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
        let owner = own(&file).expect("nobody has it");
        assert!(is_owned(&file).expect("somebody has it"));
        drop(owner);
        let looking = File::open(lock_of(&file)).expect("the lock's file");
        looking.lock_shared().expect("a look");
        std::thread::scope(|scope| {
            let owner = scope.spawn(|| own(&file));
            drop(looking);
            assert!(owner.join().expect("no panic").is_ok(), "a look in between is waited out");
        });
    }

    #[test]
    fn the_second_owner_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("data/chat.db");
        let first = own(&file).expect("nobody has it");
        assert!(matches!(own(&file), Err(OwnError::Taken(_))));
        assert!(matches!(own(&folder.path().join("data/../data/chat.db")), Err(OwnError::Taken(_))));
        drop(first);
        assert!(own(&file).is_ok());
    }
}
