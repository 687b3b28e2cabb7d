//! `backup` beside a running server, `restore` without one.

use crate::process::{Running, error, folder, run, succeed};

#[test]
fn a_backup_is_made_beside_a_server_and_put_back_without_one() {
    let folder = folder();
    let server = Running::server(folder.path(), &[]);
    let told = succeed(folder.path(), &["backup", "copy.db", "--json"], &[]);
    assert!(told.contains("\"bytes\""), "{told}");
    let refused = run(folder.path(), &["restore", "copy.db"], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error(&refused).contains("another process serves"), "{}", error(&refused));
    server.stop();
    succeed(folder.path(), &["restore", "copy.db"], &[]);
    Running::server(folder.path(), &[]).stop();
}

#[test]
fn postgres_has_its_own_tools() {
    let folder = folder();
    let output = run(folder.path(), &["restore", "copy.db"], &[("DATABASE_URL", "postgres://db/chat")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("pg_restore"), "{}", error(&output));
}
