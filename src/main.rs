//! Read the command line, run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    gemini_backend::cli::main()
}
