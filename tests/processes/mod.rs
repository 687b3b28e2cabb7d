//! Real processes for tests that kill them: the server, the sandbox, and the sandbox's journal.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gemini-backend");
/// A debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// A setting of the tests' own.
pub(crate) fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the tests' own setting, none of the service's")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A running program of ours; ended when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    pub(crate) fn sandbox(folder: &TempDir, journal: &Path, words_per_second: u32) -> Self {
        let mut command = program(folder);
        command.args(["sandbox", "gemini", "--json", "--words-per-second", &words_per_second.to_string()]);
        command.arg("--journal").arg(journal).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the sandbox starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let facts: Value = serde_json::from_str(&line).expect("one line of JSON");
        let address = facts["listening"].as_str().expect("an address").to_owned();
        Self { child, address }
    }

    pub(crate) async fn server(folder: &TempDir, environment: &[(&str, String)]) -> Self {
        let mut server = Self::server_unready(folder, environment);
        server.until_ready().await;
        server
    }

    /// A server that was just started, ready or not.
    pub(crate) fn server_unready(folder: &TempDir, environment: &[(&str, String)]) -> Self {
        let bind = &environment.iter().find(|(name, _)| *name == "BIND").expect("it binds somewhere").1;
        let mut command = program(folder);
        command.arg("serve").envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdout(Stdio::null());
        Self { child: command.spawn().expect("the server starts"), address: format!("http://{bind}") }
    }

    pub(crate) async fn until_ready(&mut self) {
        let (client, deadline) = (reqwest::Client::builder().build().expect("a client"), Instant::now() + PATIENCE);
        while Instant::now() < deadline {
            let ready = client.get(format!("{}/readyz", self.address)).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(self.child.try_wait().expect("its status").is_none(), "the server ended by itself; see its log");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server was not ready in time");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// SIGTERM; it must end by itself, with success.
    pub(crate) fn stop_gently(mut self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(told.success());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("its status") {
                assert!(status.success(), "it ended with {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not end in time");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().current_dir(folder.path()).stdin(Stdio::null());
    command
}

/// The sandbox's journal, read as it grows.
pub(crate) struct Journal {
    file: PathBuf,
    read: u64,
    /// The text that was sent to the end, by tag.
    pub(crate) sent: HashMap<String, String>,
    /// What the tags of those begin with: the replies.
    pub(crate) finished: HashSet<String>,
    /// How many answers were cut short after their first word.
    aborted: usize,
}

impl Journal {
    pub(crate) fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), read: 0, sent: HashMap::new(), finished: HashSet::new(), aborted: 0 }
    }

    /// Takes in what was added; only whole lines.
    pub(crate) fn read(&mut self) {
        let Ok(mut file) = File::open(&self.file) else { return };
        file.seek(SeekFrom::Start(self.read)).expect("the journal only grows");
        let mut added = Vec::new();
        file.read_to_end(&mut added).expect("the journal can be read");
        // The last line may be there by half, and its last letter too.
        let whole = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        let lines = std::str::from_utf8(&added[..whole]).expect("the journal is text");
        for line in lines.lines() {
            let entry: Value = serde_json::from_str(line).expect("a line of JSON");
            let (Some(tag), Some(text)) = (entry["tag"].as_str(), entry["text"].as_str()) else { continue };
            match entry["end"].as_str() {
                Some("finished") => {
                    let before = self.sent.insert(tag.to_owned(), text.to_owned());
                    assert!(before.is_none(), "attempt {tag} was asked twice");
                    self.finished.insert(tag.split('.').next().unwrap_or_default().to_owned());
                }
                Some("aborted") => self.aborted += usize::from(!text.is_empty()),
                _ => {}
            }
        }
    }

    /// After a kill: how many answers it cut short after their first word. Waits until the sandbox noticed them all.
    pub(crate) async fn cut_short(&mut self) -> usize {
        let (before, mut last) = (self.aborted, usize::MAX);
        while last != self.aborted {
            last = self.aborted;
            tokio::time::sleep(Duration::from_millis(250)).await;
            self.read();
        }
        self.aborted - before
    }
}

/// Signs a number up and in; the access token.
pub(crate) async fn sign_in(client: &reqwest::Client, base: &str, mobile: &str) -> String {
    let post = async |path: &str, body: Value| -> Value {
        let response = client.post(format!("{base}{path}")).json(&body).send().await.expect("an answer");
        let (status, body) = (response.status(), response.json().await.expect("JSON"));
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    };
    let sent = post("/auth/send-otp", json!({"mobile": mobile})).await;
    let pair = post("/auth/verify-otp", json!({"mobile": mobile, "otp": sent["otp"]})).await;
    pair["access_token"].as_str().expect("a token").to_owned()
}

/// Numbers that a seed repeats (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// From the setting, or from the clock; printed, so that a failure can be repeated.
    pub(crate) fn from_setting(name: &str) -> Self {
        let seed = setting(name).map_or_else(
            || u64::from_le_bytes(*uuid::Uuid::now_v7().as_bytes().last_chunk().expect("an id is 16 bytes")),
            |seed| seed.parse().expect("a number"),
        );
        eprintln!("{name}={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
