//! How many connections the process may hold open.

/// As many as thousands of readers and replies in flight need; more would only cost the kernel.
#[cfg(unix)]
const WANTED: u64 = 65_536;

/// Raises this process's limit of open files as far as it may by itself. Debian starts processes with 1,024, which
/// leaves room for some 400 replies in flight.
#[cfg(unix)]
pub fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let Some(now) = limit.current else { return };
    let most = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if now >= most {
        return;
    }
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }) {
        tracing::warn!(%cause, now, "the limit of open files cannot be raised");
    }
}

/// `wanted`, or as many as half of this process's open files: the others are the database's, Gemini's and its own.
#[cfg(unix)]
pub(super) fn connections_within(wanted: usize) -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = files.and_then(|files| usize::try_from(files / 2).ok()).unwrap_or(usize::MAX);
    if most < wanted {
        tracing::warn!(wanted, most, "MAX_CONNECTIONS is more than the limit of open files allows");
    }
    wanted.min(most)
}

/// Elsewhere the system has no such limit, or none that can be raised from within.
#[cfg(not(unix))]
pub fn allow_many_connections() {}

#[cfg(not(unix))]
pub(super) fn connections_within(wanted: usize) -> usize {
    wanted
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let before = getrlimit(Resource::Nofile);
        let most = before.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
        // One less, so that no other test of this process runs short meanwhile.
        let lowered = Rlimit { current: Some(most - 1), maximum: before.maximum };
        setrlimit(Resource::Nofile, lowered).expect("lowering is always allowed");
        allow_many_connections();
        assert_eq!(getrlimit(Resource::Nofile).current, Some(most));
        let half = usize::try_from(most / 2).expect("a number of files");
        assert_eq!([1, half, half + 1, usize::MAX].map(connections_within), [1, half, half, half]);
    }
}
