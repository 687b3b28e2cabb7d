//! Read the command line, run it.

use std::process::ExitCode;

/// Requests are many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gemini_backend::cli::main()
}
