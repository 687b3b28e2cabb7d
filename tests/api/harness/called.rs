//! Which operations the suite called, written down for `tests/operations.rs`, which runs after it.
//!
//! Only a run of the whole suite writes, so that a run of one test does not look like the whole.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::sync::{LazyLock, Mutex};
use std::time::UNIX_EPOCH;

use super::database;

struct Log {
    file: File,
    known: HashSet<String>,
}

static LOG: LazyLock<Option<Mutex<Log>>> = LazyLock::new(|| is_whole_suite().then(|| Mutex::new(open())));

/// Notes that an operation was called and answered as declared.
pub(crate) fn note(verb: &str, template: &str) {
    let Some(log) = LOG.as_ref() else { return };
    let mut log = log.lock().expect("no test died while it held this");
    let line = format!("{verb} {template}");
    if log.known.insert(line.clone()) {
        writeln!(log.file, "{line}").expect("the list of operations is written");
    }
}

fn is_whole_suite() -> bool {
    // Other programs of tests share this harness.
    let is_api = std::env::current_exe().is_ok_and(|program| program.file_name().is_some_and(is_named_api));
    is_api && asks_for_everything()
}

fn is_named_api(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("api-")
}

fn asks_for_everything() -> bool {
    std::env::args().skip(1).all(|argument| argument.starts_with("--test-threads") || argument == "--nocapture")
}

/// The first line tells which build of the suite wrote the list.
fn open() -> Log {
    let engine = if database::server().is_some() { "postgres" } else { "sqlite" };
    let path = format!("{}/operations-{engine}", env!("CARGO_TARGET_TMPDIR"));
    let suite = std::env::current_exe().expect("this program");
    let built = suite.metadata().and_then(|file| file.modified()).expect("when this program was built");
    let built = built.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let mut file = File::create(path).expect("a list of operations");
    writeln!(file, "{built} {}", suite.display()).expect("the list of operations is written");
    Log { file, known: HashSet::new() }
}
