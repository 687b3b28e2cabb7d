//! `backup` beside a running server, `restore` without one.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::process::{Running, command, error, folder, run, succeed};

#[test]
fn a_backup_is_made_beside_a_server_and_put_back_without_one() {
    let folder = folder();
    let server = Running::server(folder.path(), &[]);
    let told = succeed(folder.path(), &["backup", "copy.db", "--json"], &[]);
    assert!(told.contains("\"bytes\""), "{told}");
    let refused = run(folder.path(), &["restore", "copy.db"], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error(&refused).contains("a server runs on data/gemini-backend.db: stop it first"), "{}", error(&refused));
    server.stop();
    succeed(folder.path(), &["restore", "copy.db"], &[]);
    Running::server(folder.path(), &[]).stop();
}

#[tokio::test]
async fn with_its_secret_a_backup_keeps_people_signed_in_elsewhere() {
    let (here, there) = (folder(), folder());
    let server = Running::server(here.path(), &[]);
    let ada = Client::sign_in(server.base(), "+919876543210").await;
    succeed(here.path(), &["backup", "copy.db"], &[]);
    server.stop();
    let copy = here.path().join("copy.db").to_str().expect("a name").to_owned();
    succeed(there.path(), &["restore", &copy], &[]);
    std::fs::copy(here.path().join("data/secret"), there.path().join("data/secret")).expect("copied");
    let server = Running::server(there.path(), &[]);
    assert_eq!(ada.moved(server.base()).get("/user/me").await.0, 200);
    server.stop();
}

#[test]
fn killed_at_any_moment_a_restore_leaves_one_of_the_two_whole() {
    let folder = folder();
    let list = || -> Value {
        let told = succeed(folder.path(), &["users", "list", "--json"], &[]);
        serde_json::from_str::<Value>(&told).expect("JSON")["data"].clone()
    };
    succeed(folder.path(), &["migrate"], &[]);
    succeed(folder.path(), &["users", "add", "+919876543210"], &[]);
    let old = list();
    succeed(folder.path(), &["backup", "old.db"], &[]);
    succeed(folder.path(), &["users", "add", "+14155550123"], &[]);
    let new = list();
    succeed(folder.path(), &["backup", "new.db"], &[]);
    for millis in 0..30_u64 {
        let file = ["old.db", "new.db"][usize::from(millis % 2 == 0)];
        let mut restoring =
            command(folder.path(), &["restore", file], &[]).stdout(Stdio::null()).spawn().expect("begun");
        std::thread::sleep(Duration::from_millis(5 + 2 * millis));
        restoring.kill().expect("killed");
        restoring.wait().expect("gone");
        let found = list();
        assert!(found == old || found == new, "{found}");
    }
}

#[test]
fn a_backup_that_was_killed_is_not_there_by_its_name() {
    let folder = folder();
    succeed(folder.path(), &["migrate"], &[]);
    for millis in 0..20_u64 {
        let name = format!("{millis}.db");
        let mut copying = command(folder.path(), &["backup", &name], &[]).stdout(Stdio::null()).spawn().expect("begun");
        std::thread::sleep(Duration::from_millis(5 + 2 * millis));
        copying.kill().expect("killed");
        copying.wait().expect("gone");
        if folder.path().join(&name).exists() {
            succeed(folder.path(), &["restore", &name], &[]);
        }
    }
}

#[test]
fn postgres_has_its_own_tools() {
    let folder = folder();
    let output = run(folder.path(), &["restore", "copy.db"], &[("DATABASE_URL", "postgres://db/chat")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("pg_restore"), "{}", error(&output));
}
