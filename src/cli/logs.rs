//! The log, on standard error. Rooms log codes and ids; never a message's text, a code, a token or a whole number.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Server};

/// What PostgreSQL remarks on (a table that is there already) interests nobody, unless it is asked for by name.
const QUIET: &str = "sqlx::postgres::notice=warn";
/// It writes whole numbers into the log.
const SILENT: &str = "rlibphonenumber=off";

/// Begins logging as the settings say. Once per process.
pub(super) fn begin(settings: &Server) {
    let filter = EnvFilter::new(format!("{QUIET},{},{SILENT}", settings.log_level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match settings.log_format {
        LogFormat::Text => log.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
    }
}
