//! Redis: read, checked and kept; this version needs none.

use secrecy::SecretString;

use super::parse::Parsed;
use super::reader::Reader;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Redis {
    pub url: Option<SecretString>,
}

static URL: Setting = Setting::new(
    "REDIS_URL",
    Preset::Unset("none"),
    "redis://host:6379/0. Not used by this version. Without it REDIS_HOST, _PORT, _DB and _PASSWORD are put together.",
)
.address();

pub(super) static SETTINGS: [&Setting; 1] = [&URL];
pub(super) const PARTS: [&str; 4] = ["REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"];

pub(super) fn read(reader: &mut Reader<'_>) -> Redis {
    let [host, port, db, password] = PARTS.map(|part| reader.older(part));
    let url = match host {
        Some(host) if !reader.is_set(&URL) => {
            let url = compose(reader, &host, port.as_deref(), db.as_deref(), password.as_deref());
            Some(reader.composed(&URL, url, "REDIS_HOST"))
        }
        _ => reader.optional(&URL, address),
    };
    if url.is_some() {
        reader.note("REDIS_URL: not used by this version; one process keeps live text and throttles itself".to_owned());
    }
    Redis { url: url.map(SecretString::from) }
}

fn compose(
    reader: &mut Reader<'_>,
    host: &str,
    port: Option<&str>,
    db: Option<&str>,
    password: Option<&str>,
) -> String {
    let mut url = url::Url::parse("redis://localhost").expect("a constant");
    if url.set_host(Some(host)).is_err() || url.set_password(password).is_err() {
        reader.problem("REDIS_HOST", "is not a host's name or address");
    }
    match port.unwrap_or("6379").parse() {
        Ok(port) => drop(url.set_port(Some(port))),
        Err(_) => reader.problem("REDIS_PORT", "is not a port"),
    }
    match db.unwrap_or("0").parse::<u16>() {
        Ok(db) => url.set_path(&db.to_string()),
        Err(_) => reader.problem("REDIS_DB", "is not a database's number"),
    }
    url.into()
}

fn address(value: &str) -> Parsed<String> {
    match url::Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "redis" | "rediss") && url.has_host() => Ok(value.to_owned()),
        _ => Err("is not an address like redis://host:6379/0".to_owned()),
    }
}
