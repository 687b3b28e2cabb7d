//! Which database, and how many connections to it.

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite://...` or `postgres://...`; may carry a password, so it is never logged.
    pub url: String,
    pub max_connections: u32,
    pub auto_migrate: bool,
}

pub(super) static URL: Setting = Setting::new(
    "DATABASE_URL",
    Preset::Always("sqlite://data/gemini-backend.db"),
    "The database: sqlite://file (three slashes are relative too, four absolute) or postgres://user:password@host/name. \
     Without it POSTGRES_DB, _USER, _PASSWORD, _HOST and _PORT are put together, when POSTGRES_DB is set.",
)
.address();
static MAX_CONNECTIONS: Setting = Setting::new(
    "DATABASE_MAX_CONNECTIONS",
    Preset::Always("16"),
    "Connections that one process opens at most; on SQLite those that read.",
);
static AUTO_MIGRATE: Setting = Setting::new(
    "AUTO_MIGRATE",
    Preset::Always("true"),
    "Bring the schema up to date at start; otherwise `migrate` does.",
);

pub(super) static SETTINGS: [&Setting; 3] = [&URL, &MAX_CONNECTIONS, &AUTO_MIGRATE];

/// What older systems give instead of one address.
pub(super) const PARTS: [&str; 5] =
    ["POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_HOST", "POSTGRES_PORT"];

pub(super) fn read(reader: &mut Reader<'_>) -> Database {
    let composed = compose(reader);
    let url = match composed {
        Some(url) => reader.composed(&URL, url, "POSTGRES_DB"),
        None => reader.value(&URL, address),
    };
    if let Some(file) = url.strip_prefix("sqlite://").filter(|_| reader.is_three_slashes(&URL)) {
        let file = file.split('?').next().unwrap_or(file);
        reader.note(format!(
            "DATABASE_URL: after three slashes a path is relative, as in Django and SQLAlchemy: the file is {file} in the \
             working folder; four slashes make it absolute"
        ));
    }
    Database {
        url,
        max_connections: reader.value(&MAX_CONNECTIONS, parse::number(1..=1000)),
        auto_migrate: reader.value(&AUTO_MIGRATE, parse::boolean),
    }
}

/// `POSTGRES_DB` and its kin as one address, when `DATABASE_URL` is not there.
fn compose(reader: &mut Reader<'_>) -> Option<String> {
    let [name, user, password, host, port] = PARTS.map(|part| reader.older(part));
    if reader.is_set(&URL) {
        if name.is_some() {
            reader.note("POSTGRES_DB and its kin: not needed, DATABASE_URL is set".to_owned());
        }
        return None;
    }
    let name = name?;
    let mut url = url::Url::parse("postgres://localhost").expect("a constant");
    let fits = url.set_host(Some(host.as_deref().unwrap_or("localhost"))).is_ok()
        && url.set_username(user.as_deref().unwrap_or("postgres")).is_ok()
        && url.set_password(password.as_deref()).is_ok();
    if !fits {
        reader.problem("POSTGRES_HOST", "is not a host's name or address");
    }
    match port.as_deref().unwrap_or("5432").parse() {
        Ok(port) => drop(url.set_port(Some(port))),
        Err(_) => reader.problem("POSTGRES_PORT", "is not a port"),
    }
    url.set_path(&name);
    Some(url.into())
}

/// Any spelling of a database's address, as this program's own.
fn address(value: &str) -> Parsed<String> {
    let wrong = "is neither sqlite://file nor postgres://user:password@host/name";
    let (scheme, rest) = value.split_once(':').ok_or(wrong)?;
    // SQLAlchemy puts the driver behind a plus.
    match scheme.split('+').next().unwrap_or(scheme) {
        "sqlite" => sqlite(rest),
        "postgres" | "postgresql" => {
            let url = format!("postgres:{rest}").replace("?ssl=", "?sslmode=").replace("&ssl=", "&sslmode=");
            let parsed = url::Url::parse(&url).map_err(|_| wrong)?;
            if parsed.path().len() < 2 {
                return Err("names no database: postgres://user:password@host/name".to_owned());
            }
            Ok(url)
        }
        _ => Err(wrong.to_owned()),
    }
}

fn sqlite(rest: &str) -> Parsed<String> {
    let slashes = rest.len() - rest.trim_start_matches('/').len();
    let path = rest.trim_start_matches('/');
    if path.is_empty() || path.contains(":memory:") || path.contains("mode=memory") {
        return Err("must name a file: a database in memory would forget what it promised".to_owned());
    }
    Ok(if slashes >= 4 || slashes == 1 { format!("sqlite:///{path}") } else { format!("sqlite://{path}") })
}

impl Database {
    /// The SQLite file; None on PostgreSQL.
    #[must_use]
    pub fn file(&self) -> Option<std::path::PathBuf> {
        let path = self.url.strip_prefix("sqlite://")?;
        Some(path.split('?').next().unwrap_or(path).into())
    }

    /// Where this process keeps what it creates: beside the SQLite file, else `data`.
    #[must_use]
    pub fn folder(&self) -> std::path::PathBuf {
        match self.file() {
            Some(file) => file.parent().unwrap_or(&file).to_owned(),
            None => "data".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_becomes_ours() {
        for (given, ours) in [
            ("sqlite://data/a.db", "sqlite://data/a.db"),
            ("sqlite:a.db", "sqlite://a.db"),
            ("sqlite:///db.sqlite3", "sqlite://db.sqlite3"),
            ("sqlite+aiosqlite:///./app.db", "sqlite://./app.db"),
            ("sqlite:////var/lib/app.db?mode=rwc", "sqlite:///var/lib/app.db?mode=rwc"),
            ("sqlite:/var/lib/app.db", "sqlite:///var/lib/app.db"),
            ("postgres://u:p@h/d", "postgres://u:p@h/d"),
            ("postgresql://u:p@h:5433/d", "postgres://u:p@h:5433/d"),
            ("postgresql+asyncpg://u:p@h/d?ssl=require", "postgres://u:p@h/d?sslmode=require"),
            ("postgresql+psycopg2://u:p@h/d", "postgres://u:p@h/d"),
        ] {
            assert_eq!(address(given).as_deref(), Ok(ours), "{given}");
        }
        for wrong in
            ["mysql://u@h/d", "db.sqlite3", "sqlite://", "sqlite::memory:", "sqlite:///:memory:", "postgres://h"]
        {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
