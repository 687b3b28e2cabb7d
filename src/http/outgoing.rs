//! What every client of a service outside begins with.

use std::time::Duration;

use reqwest::{ClientBuilder, Url, redirect};

/// Longer than this no network needs to say that somebody is there.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A builder for a client of the server at `base`: no redirects, no referer, no proxy on the way to this machine itself.
pub fn client(base: &Url) -> ClientBuilder {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("gemini-backend/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIME)
        // Over HTTP/2 all requests share one connection, and those beyond the server's limit (100 is usual) would wait
        // in line unseen; also, hanging up one must not depend on the others.
        .http1_only()
        .tcp_keepalive(Duration::from_secs(30))
        // A redirect would take the key along: only well-known headers are dropped on the way.
        .redirect(redirect::Policy::none())
        .referer(false);
    if base.scheme() == "http" {
        // Without TLS no certificates are needed, so that a sandbox works on a machine that has none.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder
}

/// Why a client could not be made, in words for an operator.
#[must_use]
pub fn no_tls(error: &reqwest::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// An error with its causes: `error sending request: connection refused`.
#[must_use]
pub fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
