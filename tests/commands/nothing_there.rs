//! Commands in a folder without a database: they say so, and leave the folder as it was.

use std::path::Path;

use crate::process::{error, folder, run, succeed};

const NOBODY: &str = "+919876543210";
const REPLY: &str = "0193a1b2-0000-7000-8000-000000000000";

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("the folder").count() == 0
}

#[test]
fn a_short_command_says_that_there_is_no_database_and_makes_none() {
    let folder = folder();
    for arguments in [
        &["users", "list"][..],
        &["users", "add", NOBODY],
        &["users", "set-plan", NOBODY, "pro"],
        &["replies", "list-failed"],
        &["replies", "retry", REPLY],
        &["backup", "copy.db"],
        &["worker"],
        &["migrate", "--dry-run"],
    ] {
        let output = run(folder.path(), arguments, &[]);
        let told = error(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        for word in ["there is no database yet", "data/gemini-backend.db", "gemini-backend serve", "migrate"] {
            assert!(told.contains(word), "{arguments:?}: {told}");
        }
        assert!(is_empty(folder.path()), "{arguments:?}");
    }
}

#[test]
fn what_needs_no_database_works_without_one() {
    let folder = folder();
    for arguments in [&["config"][..], &["config", "--example"], &["openapi"], &["completions", "bash"], &["--help"]] {
        succeed(folder.path(), arguments, &[]);
        assert!(is_empty(folder.path()), "{arguments:?}");
    }
}

#[test]
fn an_empty_file_is_no_database_either() {
    let folder = folder();
    let file = folder.path().join("data/gemini-backend.db");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    std::fs::write(&file, "").expect("an empty file");
    let output = run(folder.path(), &["users", "list"], &[]);
    assert!(error(&output).contains("there is no database yet"), "{}", error(&output));
    assert_eq!(std::fs::metadata(&file).expect("the file").len(), 0);
}

#[test]
fn migrate_makes_one_and_short_commands_need_no_secret_of_their_own() {
    let folder = folder();
    succeed(folder.path(), &["migrate"], &[]);
    succeed(folder.path(), &["users", "list"], &[]);
    assert!(!folder.path().join("data/secret").exists());
}
