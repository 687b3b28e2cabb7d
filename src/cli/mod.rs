//! The commands: one file each. What the command line says becomes calls into the rooms below; nothing is decided here
//! but how it is told.

mod backup;
mod billing;
mod completions;
mod config;
mod connections;
mod doctor;
mod first_steps;
mod logs;
mod migrate;
mod open;
mod openapi;
mod out;
mod process;
mod replies;
mod sandbox;
mod serve;
mod signals;
mod users;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use connections::allow_many_connections;

use out::Out;

/// The house's errors end here, as lines for a person.
type Result<T = ()> = anyhow::Result<T>;

const EXAMPLES: &str = "Examples:
  gemini-backend                serve, on SQLite in data/ and http://127.0.0.1:8080
  gemini-backend help users     what a command takes

Settings are environment variables, also from .env: see gemini-backend config";

#[derive(Debug, Parser)]
#[command(name = "gemini-backend", version, after_help = EXAMPLES)]
#[command(about = "The backend of an AI chat: sign-in by phone code, chatrooms, Gemini's answers")]
struct CommandLine {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Worker(worker::Worker),
    Migrate(migrate::Migrate),
    Users(users::Users),
    Replies(replies::Replies),
    Billing(billing::Billing),
    Doctor(doctor::Doctor),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Config(config::Config),
    Openapi(openapi::Openapi),
    Sandbox(sandbox::Sandbox),
    Completions(completions::Completions),
}

/// Reads the command line and runs it. The process's exit code: 0, 1 when the command failed, 2 when the command line or
/// the settings are wrong.
#[must_use]
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    allow_many_connections();
    let out = Out::new(line.json);
    match run(line.command, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => out.failed(&error),
    }
}

fn run(command: Option<Command>, out: Out) -> Result {
    match command {
        None => wait_for(serve::Serve::default().run(out)),
        Some(Command::Serve(serve)) => wait_for(serve.run(out)),
        Some(Command::Worker(worker)) => wait_for(worker.run(out)),
        Some(Command::Migrate(migrate)) => wait_for(migrate.run(out)),
        Some(Command::Users(users)) => wait_for(users.run(out)),
        Some(Command::Replies(replies)) => wait_for(replies.run(out)),
        Some(Command::Billing(billing)) => wait_for(billing.run(out)),
        Some(Command::Doctor(doctor)) => wait_for(doctor.run(out)),
        Some(Command::Backup(backup)) => wait_for(backup.run(out)),
        Some(Command::Restore(restore)) => wait_for(restore.run(out)),
        Some(Command::Config(config)) => config.run(out),
        Some(Command::Openapi(openapi)) => openapi.run(),
        Some(Command::Sandbox(sandbox)) => wait_for(sandbox.run(out)),
        Some(Command::Completions(completions)) => completions.run(&mut CommandLine::command(), out),
    }
}

/// Once the work is done nothing is waited for: dropped, the runtime would wait for whatever blocks a thread of its own (a
/// name that is looked up, a password that is hashed) as long as that takes.
fn wait_for(work: impl Future<Output = Result>) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn hold(command: &mut clap::Command, path: &str) {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example"), "{path} --help has no example");
        assert!(help.contains("--json"), "{path} takes no --json");
        for below in command.get_subcommands_mut() {
            let path = format!("{path} {}", below.get_name());
            hold(below, &path);
        }
    }

    #[test]
    fn what_blocks_a_thread_keeps_no_command_from_its_end() {
        let (go_on, blocked) = mpsc::channel::<()>();
        let (ends, ended) = mpsc::channel();
        let command = thread::spawn(move || {
            let (blocks, is_blocked) = tokio::sync::oneshot::channel();
            let done = wait_for(async {
                tokio::task::spawn_blocking(move || {
                    let _ = blocks.send(());
                    let _ = blocked.recv();
                });
                Ok(is_blocked.await?)
            });
            ends.send(done.is_ok()).expect("somebody waits for it");
        });
        let is_over = ended.recv_timeout(Duration::from_mins(1));
        drop(go_on);
        command.join().expect("no panic");
        assert_eq!(is_over, Ok(true));
    }

    #[test]
    fn every_help_has_an_example_and_every_command_takes_json() {
        let mut command = CommandLine::command().disable_help_subcommand(true);
        command.build();
        command.clone().debug_assert();
        hold(&mut command, "gemini-backend");
    }
}
