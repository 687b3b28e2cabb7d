//! PostgreSQL that cannot be reached: where it was looked for and why, within seconds, and never the password.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::database::Postgres;
use crate::process::{error, folder, run};

const PASSWORD: &str = "hunter2-77de";

/// What each command says of a database that is not there.
fn told(url: &str) -> Vec<String> {
    let folder = folder();
    let commands = [&["serve"][..], &["worker"], &["migrate"], &["users", "list"], &["doctor"]];
    let say = |arguments: &&[&str]| {
        let begun = Instant::now();
        let output = run(folder.path(), arguments, &[("DATABASE_URL", url), ("BIND", "127.0.0.1:0")]);
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), error(&output));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(begun.elapsed() < Duration::from_secs(9), "{arguments:?} took {:?}", begun.elapsed());
        assert!(!told.contains(PASSWORD), "{told}");
        told
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = commands.iter().map(|arguments| scope.spawn(move || say(arguments))).collect();
        threads.into_iter().map(|thread| thread.join().expect("as wanted")).collect()
    })
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    for told in told(&format!("postgres://ada:{PASSWORD}@127.0.0.1:{port}/chat")) {
        assert!(told.contains(&format!("127.0.0.1:{port}")) && told.contains("connection refused"), "{told}");
    }
}

#[test]
fn somebody_listens_and_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    for told in told(&format!("postgres://ada:{PASSWORD}@{address}/chat")) {
        assert!(told.contains(&address) && told.contains("no answer within"), "{told}");
    }
}

#[test]
fn the_host_has_no_address() {
    for told in told(&format!("postgres://ada:{PASSWORD}@nowhere.invalid/chat")) {
        assert!(told.contains("nowhere.invalid:5432") && told.contains("lookup"), "{told}");
    }
}

#[tokio::test]
async fn the_server_refuses() {
    let Some(postgres) = Postgres::create().await else { return };
    let url = postgres.url("postgres");
    let missing = url.replace(&postgres.name, "no_such_database_here");
    for told in told(&missing) {
        assert!(told.contains("the database no_such_database_here does not exist"), "{told}");
    }
    let user = postgres.server.get_username();
    let stranger = url.replace(&format!("//{user}@"), &format!("//nobody_we_know:{PASSWORD}@"));
    for told in told(&stranger) {
        assert!(told.contains("nobody_we_know"), "{told}");
    }
    postgres.drop().await;
}
