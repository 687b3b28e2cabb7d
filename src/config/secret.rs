//! The secret that development makes for itself, so that a second start still knows the tokens of the first.

use std::io::Write;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{AppEnv, Settings};

/// The data folder cannot keep the secret.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the development secret in {path}: {cause}; set SECRET_KEY, or make the folder writable")]
pub struct SecretError {
    path: PathBuf,
    #[source]
    cause: std::io::Error,
}

/// Fills in a missing `SECRET_KEY` from the file `secret` in the data folder, made now if it is not there.
/// Two processes that start at once get the same one. Production never comes here without a key.
///
/// # Errors
/// When the file can be neither read nor made.
pub fn keep_development_secret(settings: &mut Settings) -> Result<(), SecretError> {
    if settings.server.env == AppEnv::Development && settings.auth.secret_keys.is_empty() {
        let path = settings.database.folder().join("secret");
        let secret = find_or_make(&path).map_err(|cause| SecretError { path, cause })?;
        settings.auth.secret_keys.push(secret);
    }
    Ok(())
}

/// A secret that is gone with this process, where development has none: for commands that neither sign nor check.
pub fn take_passing_secret(settings: &mut Settings) {
    if settings.server.env == AppEnv::Development && settings.auth.secret_keys.is_empty() {
        settings.auth.secret_keys.push(random());
    }
}

fn find_or_make(path: &Path) -> std::io::Result<SecretString> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(text.trim().into()),
        Ok(_) => return Err(std::io::Error::other("the file is there and holds no secret")),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
        Err(cause) => return Err(cause),
    }
    // Written whole under another name and linked into place: whoever comes second finds the first one's, complete.
    let secret = random();
    let own = path.with_extension(&random().expose_secret()[..16]);
    let mut file = owner_only().write(true).create_new(true).open(&own)?;
    file.write_all(secret.expose_secret().as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&own, path);
    std::fs::remove_file(&own)?;
    match linked {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => Err(cause),
        _ => Ok(std::fs::read_to_string(path)?.trim().into()),
    }
}

fn owner_only() -> std::fs::OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[must_use]
pub fn random() -> SecretString {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system's random numbers are there as long as it runs");
    hex::encode(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_once_agree_and_a_later_one_finds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data/secret");
        let many: Vec<SecretString> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| find_or_make(&path).expect("a secret"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let later = find_or_make(&path).expect("a secret");
        assert!(many.iter().all(|one| one.expose_secret() == later.expose_secret()));
        assert_eq!(later.expose_secret().len(), 64);
        let left: Vec<_> = std::fs::read_dir(folder.path().join("data")).expect("the folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn an_empty_file_is_not_taken_for_a_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "").expect("written");
        assert!(find_or_make(&path).is_err());
    }
}
