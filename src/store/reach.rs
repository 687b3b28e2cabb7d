//! Why PostgreSQL cannot be reached, in words for whoever starts a process: where it was looked for and what came back.
//! Never the password.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::ConnectError;

/// A database that starts together with this process may need a moment; whoever mistyped its address should not wait long.
const PATIENCE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(200);

/// Connects once. A pool alone would try in silence and then say only that time is up.
pub(super) async fn reach(options: &PgConnectOptions) -> Result<(), ConnectError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let why = match tokio::time::timeout(left, options.connect()).await {
            Ok(Ok(connection)) => return connection.close().await.map_err(ConnectError::Open),
            Ok(Err(cause)) if may_pass(&cause) && left > PAUSE => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Ok(Err(cause)) => why(&cause, options),
            Err(_) => format!("no answer within {} seconds", PATIENCE.as_secs()),
        };
        return Err(ConnectError::Unreachable(place(options), why));
    }
}

fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => format!("{}, port {}", socket.display(), options.get_port()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Nobody listens yet, or PostgreSQL is just starting or full.
fn may_pass(cause: &sqlx::Error) -> bool {
    match cause {
        sqlx::Error::Io(cause) => cause.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(cause) => matches!(cause.code().as_deref(), Some("57P03" | "53300")),
        _ => false,
    }
}

fn why(cause: &sqlx::Error, options: &PgConnectOptions) -> String {
    let user = options.get_username();
    match cause {
        sqlx::Error::Io(cause) => match cause.kind() {
            ErrorKind::ConnectionRefused => "connection refused; is it running, and is that its port?".to_owned(),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "there is no route to that host".to_owned(),
            ErrorKind::TimedOut => "no answer".to_owned(),
            _ => cause.to_string(),
        },
        sqlx::Error::Database(cause) => match cause.code().as_deref() {
            Some("28P01") => format!("authentication failed for the user {user}"),
            Some("28000") => format!("the user {user} is not let in: {}", cause.message()),
            Some("3D000") => {
                let name = options.get_database().unwrap_or(user);
                format!("the database {name} does not exist there; createdb makes it")
            }
            _ => cause.message().to_owned(),
        },
        other => other.to_string(),
    }
}
