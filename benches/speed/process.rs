//! Processes under measurement: the real server, the stand-in for Gemini, the bare handlers; ended when dropped.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::http::{Connection, Request};

/// Limits out of the way, so that what is measured is the work and not a refusal.
const UNLIMITED: [(&str, &str); 5] = [
    ("REQUESTS_PER_MINUTE", "1000000"),
    ("BASIC_DAILY_PROMPTS", "1000000"),
    ("BASIC_REPLIES_AT_ONCE", "1000"),
    ("SECRET_KEY", "a key that only this measurement ever uses, nothing else"),
    ("LOG_LEVEL", "info"),
];

/// A running process that listens.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer.
    pub(crate) ready_after: Duration,
}

impl Process {
    /// The release server in `folder`, on its own port, ready.
    pub(crate) async fn server(folder: &Path, words: &[&str], settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::on_a_free_port("/readyz", |address| {
            let mut command = bound_to_us(&server_binary()?);
            command.args(words).current_dir(folder).env("BIND", address.to_string());
            command.envs(UNLIMITED).envs(settings.iter().copied());
            Ok(command)
        })
        .await
    }

    /// This program once more, as the bare handler that `word` names.
    pub(crate) async fn bare(word: &str, argument: &str) -> anyhow::Result<Self> {
        Self::on_a_free_port("/", |address| {
            let mut command = bound_to_us(&std::env::current_exe()?);
            command.args(["bare", word, &address.to_string(), argument]);
            Ok(command)
        })
        .await
    }

    /// Starts what `command` makes of an address, and again on another when somebody else took that one meanwhile.
    pub(crate) async fn on_a_free_port(
        path: &str,
        command: impl Fn(SocketAddr) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let mut tries = 0;
        loop {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            match Self::start(command(address)?, address, path).await {
                Err(_) if tries < 3 => tries += 1,
                started => return started,
            }
        }
    }

    async fn start(mut command: Command, address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let began = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot start the process")?;
        let mut process = Self { child, address, ready_after: Duration::ZERO };
        loop {
            if let Ok(mut connection) = Connection::open(address).await
                && connection.send(&Request::get(path, None)).await.is_ok_and(|answer| answer.status == 200)
            {
                process.ready_after = began.elapsed();
                return Ok(process);
            }
            if let Some(status) = process.child.try_wait()? {
                bail!("the process ended with {status} before it was ready");
            }
            if began.elapsed() > Duration::from_mins(1) {
                bail!("the process was not ready within a minute");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Resident memory in MB (10^6 bytes): now, and at its highest.
    pub(crate) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib * 1024.0 / 1e6)
        };
        Ok((of("VmRSS:").context("no VmRSS")?, of("VmHWM:").context("no VmHWM")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing depends on its gentle end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command whose process the kernel ends with this one, however that ends.
pub(crate) fn bound_to_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// The binary that ships, built beside this one.
pub(crate) fn server_binary() -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_gemini-backend"));
    if path.exists() { Ok(path) } else { bail!("{} is not built", path.display()) }
}
