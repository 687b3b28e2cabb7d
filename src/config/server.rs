//! Where and how the server listens, and whom it believes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use secrecy::SecretString;

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::setting::{Preset, Setting};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEnv {
    Development,
    Production,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Who may speak for a client in `X-Forwarded-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxies {
    None,
    /// This many hops in front, counted from the right.
    Hops(usize),
    /// Address and prefix length of each network.
    Networks(Vec<(std::net::IpAddr, u8)>),
}

#[derive(Clone, Debug)]
pub struct Server {
    pub env: AppEnv,
    pub bind: SocketAddr,
    /// Scheme, host and base path under which clients reach the server, without a slash at the end of the path.
    pub public_url: Option<url::Url>,
    pub trusted_proxies: Proxies,
    /// Empty: any host.
    pub allowed_hosts: Vec<String>,
    /// Origins; a lone `*` is any (development only).
    pub cors_allowed_origins: Vec<String>,
    pub requests_per_minute: u32,
    /// Of clients, open at a time.
    pub max_connections: usize,
    pub metrics_bind: Option<SocketAddr>,
    pub metrics_token: Option<SecretString>,
    pub log_level: String,
    pub log_format: LogFormat,
    /// Where traces go.
    pub otlp_endpoint: Option<url::Url>,
}

impl Server {
    /// The path of `PUBLIC_URL`, without a slash at its end: what stands before every path that clients see.
    #[must_use]
    pub fn base_path(&self) -> &str {
        self.public_url.as_ref().map_or("", url::Url::path).trim_end_matches('/')
    }

    /// The address by which somebody on this machine reaches a server that listens there.
    #[must_use]
    pub fn base_from_here(&self, listening: SocketAddr) -> String {
        let mut address = listening;
        match address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            SocketAddr::V4(_) | SocketAddr::V6(_) => {}
        }
        format!("http://{address}{}", self.base_path())
    }
}

static APP_ENV: Setting =
    Setting::new("APP_ENV", Preset::Always("development"), "development or production, which refuses what is unsafe.");
static BIND: Setting = Setting::new("BIND", Preset::Always("127.0.0.1:8080"), "Address and port to listen on.");
static PORT: Setting = Setting::new(
    "PORT",
    Preset::Unset("BIND says it"),
    "A port alone, as hosting platforms give it: 0.0.0.0:PORT, unless BIND is set.",
);
static PUBLIC_URL: Setting = Setting::new(
    "PUBLIC_URL",
    Preset::Unset("the address that a request names"),
    "Where clients reach the server, with its base path if it has one.",
);
static TRUSTED_PROXIES: Setting = Setting::new(
    "TRUSTED_PROXIES",
    Preset::Unset("none: X-Forwarded-For is not believed"),
    "Networks of the proxies in front (10.0.0.0/8, ::1), or how many there are.",
);
static ALLOWED_HOSTS: Setting = Setting::new(
    "ALLOWED_HOSTS",
    Preset::Unset("any"),
    "Host names that requests may ask for; .example.com takes its subdomains too.",
);
static CORS_ALLOWED_ORIGINS: Setting = Setting::new(
    "CORS_ALLOWED_ORIGINS",
    Preset::Unset("none"),
    "Origins of web pages that may call; * is any, in development only.",
);
static CORS_ALLOW_ALL: Setting = Setting::new(
    "CORS_ALLOW_ALL_ORIGINS",
    Preset::Always("false"),
    "The older spelling of CORS_ALLOWED_ORIGINS=*; not looked at when that is set.",
);
static REQUESTS_PER_MINUTE: Setting = Setting::new(
    "REQUESTS_PER_MINUTE",
    Preset::Always("120"),
    "Requests that one signed-in user may make in a minute.",
);
static MAX_CONNECTIONS: Setting = Setting::new(
    "MAX_CONNECTIONS",
    Preset::Always("10000"),
    "Connections of clients that one process holds open, at most half of the files that it may open; whoever comes beyond gets a 503. METRICS_BIND is apart.",
);
static METRICS_BIND: Setting = Setting::new(
    "METRICS_BIND",
    Preset::Unset("none"),
    "An address of its own for /metrics and the details of /readyz, which need no token there; a worker alone answers nowhere else.",
);
static METRICS_TOKEN: Setting = Setting::new(
    "METRICS_TOKEN",
    Preset::Unset("none: /metrics is closed on the main address"),
    "The bearer token that opens /metrics and the details of /readyz.",
)
.secret();
static LOG_LEVEL: Setting = Setting::new(
    "LOG_LEVEL",
    Preset::Always("info"),
    "error, warn, info, debug (quick reads too) or trace; by module too: info,gemini_backend::chat=debug.",
);
static LOG_FORMAT: Setting = Setting::new("LOG_FORMAT", Preset::Always("text"), "text for people, json for machines.");
static OTLP_ENDPOINT: Setting = Setting::new(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    Preset::Unset("none: no traces"),
    "A collector of OpenTelemetry, http://host:4318 for example: spans of requests and replies go to its /v1/traces.",
)
.address();

pub(super) static SETTINGS: [&Setting; 15] = [
    &APP_ENV,
    &BIND,
    &PORT,
    &PUBLIC_URL,
    &TRUSTED_PROXIES,
    &ALLOWED_HOSTS,
    &CORS_ALLOWED_ORIGINS,
    &CORS_ALLOW_ALL,
    &REQUESTS_PER_MINUTE,
    &MAX_CONNECTIONS,
    &METRICS_BIND,
    &METRICS_TOKEN,
    &LOG_LEVEL,
    &LOG_FORMAT,
    &OTLP_ENDPOINT,
];

/// The one that the defaults of others hang on, so it is read first.
pub(super) fn read_env(reader: &mut Reader<'_>) -> AppEnv {
    const WORDS: &[(&str, AppEnv)] = &[("development", AppEnv::Development), ("production", AppEnv::Production)];
    reader.value(&APP_ENV, parse::choice(WORDS))
}

pub(super) fn read(reader: &mut Reader<'_>) -> Server {
    const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
    let bind = read_bind(reader);
    let public_url = reader.optional(&PUBLIC_URL, public_url);
    let trusted_proxies = reader.optional(&TRUSTED_PROXIES, proxies).unwrap_or(Proxies::None);
    let allowed_hosts = reader.optional(&ALLOWED_HOSTS, hosts).unwrap_or_default();
    let origins = reader.optional(&CORS_ALLOWED_ORIGINS, origins);
    let all_origins = reader.value(&CORS_ALLOW_ALL, parse::boolean);
    let any = || if all_origins { vec!["*".to_owned()] } else { Vec::new() };
    Server {
        env: reader.env,
        bind,
        public_url,
        trusted_proxies,
        allowed_hosts,
        cors_allowed_origins: origins.unwrap_or_else(any),
        requests_per_minute: reader.value(&REQUESTS_PER_MINUTE, parse::number(1..=1_000_000)),
        max_connections: reader.value(&MAX_CONNECTIONS, parse::number(1..=1_000_000)),
        metrics_bind: reader.optional(&METRICS_BIND, socket),
        metrics_token: reader.optional(&METRICS_TOKEN, parse::text).map(SecretString::from),
        log_level: reader.value(&LOG_LEVEL, log_level),
        log_format: reader.value(&LOG_FORMAT, parse::choice(FORMATS)),
        otlp_endpoint: reader.optional(&OTLP_ENDPOINT, parse::web_address),
    }
}

fn read_bind(reader: &mut Reader<'_>) -> SocketAddr {
    let bind = reader.value(&BIND, socket);
    let port = reader.optional(&PORT, parse::number(0..=u16::MAX));
    match port {
        Some(port) if !reader.is_set(&BIND) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        Some(_) => {
            reader.note("PORT: not needed, BIND is set".to_owned());
            bind
        }
        None => bind,
    }
}

fn socket(value: &str) -> Parsed<SocketAddr> {
    let value = value.replace("localhost:", "127.0.0.1:");
    value.parse().map_err(|_| "is not an address and port like 127.0.0.1:8080 or [::1]:8080".to_owned())
}

fn public_url(value: &str) -> Parsed<url::Url> {
    let mut url = parse::web_address(value)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("carries more than scheme, host and path".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn proxies(value: &str) -> Parsed<Proxies> {
    if let Ok(hops) = value.parse::<usize>() {
        return Ok(if hops == 0 { Proxies::None } else { Proxies::Hops(hops) });
    }
    parse::list(value).iter().map(|item| network(item)).collect::<Result<_, _>>().map(Proxies::Networks)
}

fn network(item: &str) -> Parsed<(IpAddr, u8)> {
    let wrong = || "is neither a list of networks like 10.0.0.0/8 nor a number of proxies".to_owned();
    let (address, prefix) = item.split_once('/').map_or((item, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(widest), str::parse).map_err(|_| wrong())?;
    if prefix <= widest { Ok((address, prefix)) } else { Err(wrong()) }
}

/// Django's `*` for any host is the empty list here.
fn hosts(value: &str) -> Parsed<Vec<String>> {
    let hosts = parse::list(value);
    if hosts.iter().any(|host| host == "*") {
        return Ok(Vec::new());
    }
    if hosts.iter().any(|host| host.contains("//")) {
        return Err("lists names like api.example.com, without https://".to_owned());
    }
    Ok(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())
}

fn origins(value: &str) -> Parsed<Vec<String>> {
    let wrong = "lists origins like https://app.example.com, without a path";
    let mut origins = Vec::new();
    for origin in parse::list(value) {
        if origin == "*" {
            return Ok(vec![origin]);
        }
        let url = url::Url::parse(&origin).map_err(|_| wrong)?;
        if !url.origin().is_tuple() || url.path() != "/" {
            return Err(wrong.to_owned());
        }
        origins.push(url.origin().ascii_serialization());
    }
    Ok(origins)
}

/// Python's words for levels are taken too.
fn log_level(value: &str) -> Parsed<String> {
    let level = match value.to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        other => other.to_owned(),
    };
    match tracing_subscriber::EnvFilter::try_new(&level) {
        Ok(_) => Ok(level),
        Err(_) => Err("is not error, warn, info, debug or trace".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_hops_or_networks() {
        assert_eq!(proxies("0"), Ok(Proxies::None));
        assert_eq!(proxies("2"), Ok(Proxies::Hops(2)));
        let networks = vec![(IpAddr::from([10, 0, 0, 0]), 8), ("::1".parse().expect("an address"), 128)];
        assert_eq!(proxies("10.0.0.0/8, ::1"), Ok(Proxies::Networks(networks)));
        for wrong in ["10.0.0.0/33", "cloudflare", "-1"] {
            assert!(proxies(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        assert_eq!(
            origins("https://A.example/ http://localhost:3000"),
            Ok(vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()])
        );
        assert_eq!(origins("https://a.example,*"), Ok(vec!["*".to_owned()]));
        for wrong in ["a.example", "https://a.example/path", "mailto:x"] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_public_address_keeps_its_base_path_without_the_last_slash() {
        assert_eq!(public_url("https://a.example/chat/").map(String::from), Ok("https://a.example/chat".to_owned()));
        assert!(public_url("https://a.example/?x").is_err());
        assert!(public_url("a.example").is_err());
    }

    #[test]
    fn levels_of_other_systems_are_understood() {
        assert_eq!(log_level("WARNING"), Ok("warn".to_owned()));
        assert_eq!(log_level("info,gemini_backend::chat=debug"), Ok("info,gemini_backend::chat=debug".to_owned()));
        assert!(log_level("info,x=loudly").is_err());
    }
}
