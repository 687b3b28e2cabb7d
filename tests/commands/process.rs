//! The real binary in a folder of its own, with an environment of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A process that is told to end is gone by then, whatever it was doing.
const END: Duration = Duration::from_secs(30);

/// A command to be run in `folder`: nothing of the machine's environment but what programs need to run at all.
pub(crate) fn command(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gemini-backend"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.args(arguments).current_dir(folder).env_clear().env("PATH", path).envs(settings.iter().copied());
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    command(folder, arguments, settings).stdin(Stdio::null()).output().expect("the binary runs")
}

/// Runs a command and types into it.
pub(crate) fn fed(folder: &Path, arguments: &[&str], settings: &[(&str, &str)], typed: &str) -> Output {
    let mut command = command(folder, arguments, settings);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the binary runs");
    child.stdin.take().expect("its input").write_all(typed.as_bytes()).expect("written");
    child.wait_with_output().expect("it ends")
}

/// Runs a command that has to succeed; what it printed.
#[track_caller]
pub(crate) fn succeed(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let output = run(folder, arguments, settings);
    assert!(output.status.success(), "{arguments:?}: {}", error(&output));
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An empty folder, as a new user has it.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A process that stays, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    /// The first line it printed; with `--json`, everything it has to say.
    pub(crate) first: String,
}

impl Running {
    /// Starts a command and waits until it says that it is there.
    pub(crate) fn start(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(folder.join("log")).expect("a file for the log");
        let mut command = command(folder, arguments, settings);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("the binary runs");
        let mut out = BufReader::new(child.stdout.take().expect("its standard output"));
        let mut first = String::new();
        out.read_line(&mut first).expect("text");
        let running = Self { child, out, first };
        assert!(!running.first.is_empty(), "{arguments:?} ended: {}", log_in(folder));
        running
    }

    /// A server on a free port; `--json`, so that it says which.
    pub(crate) fn server(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut settings = settings.to_vec();
        settings.insert(0, ("BIND", "127.0.0.1:0"));
        Self::start(folder, &["--json", "serve"], &settings)
    }

    pub(crate) fn facts(&self) -> Value {
        serde_json::from_str(&self.first).expect("a line of JSON")
    }

    pub(crate) fn base(&self) -> String {
        self.facts()["listening"].as_str().expect("an address").to_owned()
    }

    /// Reads on until a line that is empty follows `mark`; the lines between.
    pub(crate) fn read_after(&mut self, mark: &str) -> String {
        let mut lines = self.out.by_ref().lines().map(|line| line.expect("text"));
        assert!(lines.any(|line| line.contains(mark)), "no {mark:?}");
        lines.skip_while(String::is_empty).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("text");
        line
    }

    /// Asks it to stop, as an operator's tools do, and expects it to end well.
    pub(crate) fn stop(mut self) {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(asked.success());
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                break status;
            }
            assert!(begun.elapsed() < END, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already when the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn log_in(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
