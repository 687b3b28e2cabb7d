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

/// Elsewhere the system has no such limit, or none that can be raised from within.
#[cfg(not(unix))]
pub fn allow_many_connections() {}

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
    }
}
