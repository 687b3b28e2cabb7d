//! [`ClientAddress`]: who is on the other end, seen through the proxies that are trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri, header};

use super::ApiError;
use crate::config::Proxies;

/// Headers that only something in between adds.
static FORWARDING: [HeaderName; 6] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    header::VIA,
];

/// An extractor; the outermost layer works it out, once a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub ip: IpAddr,
    /// The Host is loopback, so is the peer, and nothing was forwarded: someone on this machine, who may see a code.
    pub is_local_and_direct: bool,
}

impl ClientAddress {
    #[must_use]
    pub fn of(peer: SocketAddr, uri: &Uri, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let peer = peer.ip().to_canonical();
        let was_forwarded = FORWARDING.iter().any(|name| headers.contains_key(name));
        let is_local_and_direct =
            peer.is_loopback() && !was_forwarded && host(uri, headers).is_some_and(is_loopback_host);
        Self { ip: behind(peer, headers, proxies), is_local_and_direct }
    }

    /// What throttles count by: an IPv4 address, or the /64 that one IPv6 customer holds.
    #[must_use]
    pub fn throttle_key(&self) -> String {
        match self.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let address = parts.extensions.get().copied();
        address.ok_or_else(|| ApiError::internal("no layer told the client's address"))
    }
}

/// The host that was asked for, without its port.
#[must_use]
pub fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    let without_port = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && !host.is_empty() => host,
        _ => authority,
    };
    Some(without_port)
}

fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Every `X-Forwarded-For` joined and read from the right: the first address that is not a trusted proxy's.
fn behind(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> IpAddr {
    let is_trusted = |hop: usize, client: IpAddr| match proxies {
        Proxies::None => false,
        Proxies::Hops(hops) => hop < *hops,
        Proxies::Networks(networks) => networks.iter().any(|network| contains(*network, client)),
    };
    if !is_trusted(0, peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("?")).collect();
    let joined = lines.join(",");
    let mut client = peer;
    let entries = joined.rsplit(',').map(str::trim).filter(|entry| !entry.is_empty());
    for (hop, entry) in entries.enumerate() {
        // What is no address was not written by a proxy of ours: the last one known stands.
        let (true, Some(next)) = (is_trusted(hop, client), address(entry)) else { break };
        client = next;
    }
    client
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()));
    ip.as_ref().map(IpAddr::to_canonical)
}

fn contains((network, prefix): (IpAddr, u8), ip: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u8| {
        let outside = u32::from(width.saturating_sub(prefix));
        a.checked_shr(outside).unwrap_or(0) == b.checked_shr(outside).unwrap_or(0)
    };
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => same(network.to_bits().into(), ip.to_bits().into(), 32),
        (IpAddr::V6(network), IpAddr::V6(ip)) => same(network.to_bits(), ip.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], proxies: &Proxies) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().expect("a value that headers may have"));
        }
        behind(peer.parse().expect("an address"), &headers, proxies).to_string()
    }

    fn networks(list: &[(&str, u8)]) -> Proxies {
        Proxies::Networks(list.iter().map(|(ip, prefix)| (ip.parse().expect("an address"), *prefix)).collect())
    }

    #[test]
    fn without_trusted_proxies_the_header_is_the_clients_word_only() {
        assert_eq!(client("9.9.9.9", &["1.1.1.1"], &Proxies::None), "9.9.9.9");
    }

    #[test]
    fn the_first_address_from_the_right_outside_the_trusted_ones_is_the_client() {
        let trusted = networks(&[("10.0.0.0", 8), ("fd00::", 8)]);
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4", "10.0.0.7:443"], &trusted), "1.2.3.4");
        assert_eq!(client("fd00::1", &["[2001:db8::5]:80"], &trusted), "2001:db8::5");
        assert_eq!(client("10.0.0.1", &["10.0.0.9"], &trusted), "10.0.0.9");
        assert_eq!(client("10.0.0.1", &["1.2.3.4, unknown"], &trusted), "10.0.0.1");
        assert_eq!(client("11.0.0.1", &["1.2.3.4"], &trusted), "11.0.0.1");
        assert_eq!(client("10.0.0.1", &["::ffff:1.2.3.4"], &trusted), "1.2.3.4");
    }

    #[test]
    fn hops_are_counted_from_the_right_and_never_past_the_left_end() {
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4"], &Proxies::Hops(1)), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], &Proxies::Hops(2)), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["1.2.3.4"], &Proxies::Hops(5)), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &[], &Proxies::Hops(1)), "10.0.0.1");
    }

    #[test]
    fn ipv6_is_counted_by_its_64() {
        let of = |ip: &str| ClientAddress { ip: ip.parse().expect("an address"), is_local_and_direct: false };
        assert_eq!(of("2001:db8:1:2:3:4:5:6").throttle_key(), "2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2::9").throttle_key(), of("2001:db8:1:2:ffff::").throttle_key());
        assert_eq!(of("1.2.3.4").throttle_key(), "1.2.3.4");
    }

    #[test]
    fn only_loopback_without_anything_in_between_is_local() {
        let local = |peer: &str, host: &str, forwarding: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a value that headers may have"));
            if let Some(name) = forwarding {
                headers
                    .insert(name.parse::<header::HeaderName>().expect("a name"), "127.0.0.1".parse().expect("a value"));
            }
            let peer = peer.parse().expect("an address with port");
            ClientAddress::of(peer, &Uri::from_static("/"), &headers, &Proxies::None).is_local_and_direct
        };
        assert!(local("127.0.0.1:5", "localhost:8080", None) && local("[::1]:5", "[::1]:8080", None));
        assert!(local("[::ffff:127.0.0.1]:5", "127.0.0.1", None));
        assert!(!local("127.0.0.1:5", "api.example.com", None) && !local("10.0.0.1:5", "localhost", None));
        assert!(!local("127.0.0.1:5", "localhost.example.com", None) && !local("127.0.0.1:5", "", None));
        for name in &FORWARDING {
            assert!(!local("127.0.0.1:5", "localhost", Some(name.as_str())), "{name}");
        }
    }
}
