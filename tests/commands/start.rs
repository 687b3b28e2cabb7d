//! Starting, stopping, starting again; a second process on the same file; the lines that a new user pastes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::{Running, error, folder, log_in, run, succeed};

fn has(folder: &Path, file: &str) -> bool {
    folder.join(file).exists()
}

#[tokio::test]
async fn nothing_but_the_command_and_a_second_start_finds_its_data() {
    let folder = folder();
    let server = Running::server(folder.path(), &[]);
    let ada = Client::sign_in(server.base(), "+919876543210").await;
    assert_eq!(ada.get("/user/me").await.0, 200);
    server.stop();
    assert!(has(folder.path(), "data/gemini-backend.db") && has(folder.path(), "data/secret"));
    let server = Running::server(folder.path(), &[]);
    let ada = ada.moved(server.base());
    assert_eq!(ada.get("/user/me").await.0, 200);
    server.stop();
}

#[tokio::test]
async fn the_lines_of_the_first_start_lead_to_an_answer() {
    let folder = folder();
    let mut server = Running::start(folder.path(), &[], &[("BIND", "127.0.0.1:0")]);
    assert!(server.first.contains("listens on http://127.0.0.1:"), "{}", server.first);
    assert_eq!(server.next_line(), "Answers come from the built-in sandbox until GEMINI_API_KEY is set.\n");
    let lines = server.read_after("paste into another terminal");
    for _again in 0..2 {
        let shell = Command::new("timeout").args(["60", "sh", "-c", &lines]).output().expect("a shell");
        let answer = String::from_utf8_lossy(&shell.stdout).into_owned();
        let told = format!("{lines}\n{answer}\n{}", error(&shell));
        let messages = answer.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok()).expect(&told);
        let reply = &messages["data"][0];
        assert_eq!((&reply["role"], &reply["status"]), (&json!("model"), &json!("complete")), "{told}");
        assert_ne!(reply["content"], "", "{told}");
    }
    server.stop();
}

#[test]
fn another_server_of_the_protocol_is_not_called_the_sandbox() {
    let folder = folder();
    let settings = [("BIND", "127.0.0.1:0"), ("GEMINI_BASE_URL", "http://127.0.0.1:9")];
    let mut server = Running::start(folder.path(), &[], &settings);
    assert!(server.next_line().starts_with("Pro is sold by the built-in Stripe sandbox, http://127.0.0.1:"));
    assert_eq!(server.next_line(), "To try it, paste into another terminal:\n");
    server.stop();
}

#[test]
fn a_second_process_on_the_same_file_is_refused_in_words() {
    let folder = folder();
    let server = Running::server(folder.path(), &[]);
    for arguments in [&["serve"][..], &["worker"]] {
        let second = run(folder.path(), arguments, &[("BIND", "127.0.0.1:0")]);
        assert_eq!(second.status.code(), Some(1));
        let told = error(&second);
        assert!(told.contains("another process serves from data/gemini-backend.db already"), "{told}");
    }
    server.stop();
    Running::server(folder.path(), &[]).stop();
}

#[test]
fn a_killed_server_leaves_the_file_free() {
    let folder = folder();
    drop(Running::server(folder.path(), &[]));
    Running::server(folder.path(), &[]).stop();
}

#[test]
fn a_file_of_another_program_is_refused_untouched() {
    let folder = folder();
    let theirs =
        b"SQLite format 3\0 but of somebody else, with enough behind it to look like the header of a real file"
            .repeat(2);
    std::fs::write(folder.path().join("theirs.db"), &theirs).expect("a file");
    let output = run(folder.path(), &["serve"], &[("DATABASE_URL", "sqlite://theirs.db")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("theirs.db is"), "{}", error(&output));
    assert_eq!(std::fs::read(folder.path().join("theirs.db")).expect("the file"), theirs);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(folder.path(), &["serve"], &[("BIND", &address)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains(&format!("cannot listen on {address}")), "{}", error(&output));
}

#[tokio::test]
async fn the_log_holds_no_code_token_or_number() {
    let folder = folder();
    let settings = [("LOG_LEVEL", "trace"), ("LOG_FORMAT", "json")];
    let server = Running::server(folder.path(), &settings);
    let ada = Client::sign_in(server.base(), "+919876543210").await;
    ada.ended(&ada.say("a remarkable sentence").await).await;
    server.stop();
    let log = log_in(folder.path());
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
    }
    for kept in [ada.token.as_str(), "9876543210", "a remarkable sentence"] {
        let told = log.lines().find(|line| line.contains(kept));
        assert_eq!(told, None, "{kept}");
    }
}

#[tokio::test]
async fn a_worker_alone_answers_operators() {
    let folder = folder();
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    let address = format!("127.0.0.1:{port}");
    succeed(folder.path(), &["migrate"], &[]);
    let worker = Running::start(folder.path(), &["--json", "worker"], &[("METRICS_BIND", &address)]);
    let operator = Client::new(format!("http://{address}"));
    assert_eq!(operator.get("/metrics").await.0, 200);
    assert_eq!(operator.get("/readyz").await.0, 200);
    assert_eq!(operator.get("/chatroom").await.0, 404);
    worker.stop();
}
