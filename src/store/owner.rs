//! One server per SQLite file: a lock on the file `<database>.lock`, held as long as the process lives.
//!
//! The system lets go of it when the process ends, however it ends. Short commands take no lock: they run beside a server.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

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
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut lock = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    lock.push(".lock");
    let file = File::options().create(true).append(true).open(lock).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Owner(file)),
        Err(TryLockError::WouldBlock) => Err(OwnError::Taken(database.to_owned())),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
