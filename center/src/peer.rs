//! Who is at the other end of a request: the connection says it, or a proxy in front that was named.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// Who is at the other end of the connection that a request came by. A handler may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Nobody on the way can read what is said.
    pub secure: bool,
}

impl Peer {
    /// Nobody says who it is.
    pub const UNKNOWN: Peer = Peer { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), secure: false };
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Peer::UNKNOWN))
    }
}

/// Addresses: one, or all that begin with the same bits, written `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: an address, or a network as 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(wrong()) } else { Ok(Self { first, bits }) }
    }
}

impl Network {
    /// Whether the address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                self.bits == 0 || differ >> (32 - self.bits) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                self.bits == 0 || differ >> (128 - self.bits) == 0
            }
            _ => false,
        }
    }
}

/// The proxies in front, whose word counts for whom they speak.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[Network]>);

impl Proxies {
    /// These; without any, nobody's word counts.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }

    /// Whether the address is a proxy's.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who asks, of a request with these headers that came from `peer`. Each proxy adds the address that it sees at the end
    /// of `X-Forwarded-For`: the last one that is no proxy's is the one that asks. What stands before it anybody may have
    /// written.
    #[must_use]
    pub fn speak_for(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        if !self.has(peer.address) {
            return peer;
        }
        let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = values("x-forwarded-for").flat_map(|value| value.split(',')).collect();
        let mut address = peer.address;
        for hop in hops.iter().rev() {
            let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
            address = hop.to_canonical();
            if !self.has(address) {
                break;
            }
        }
        let secure = values("x-forwarded-proto").next_back().map_or(peer.secure, |scheme| scheme == "https");
        Peer { address, secure }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asks(proxies: &[&str], from: &str, forwarded: &[&'static str]) -> String {
        let proxies = Proxies::new(proxies.iter().map(|text| text.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let peer = proxies.speak_for(Peer { address: from.parse().unwrap(), secure: false }, &headers);
        format!("{} {}", peer.address, if peer.secure { "tls" } else { "plain" })
    }

    #[test]
    fn only_a_named_proxy_says_who_asks() {
        let proxy = ["10.0.0.0/8"];
        assert_eq!(asks(&proxy, "10.1.2.3", &["203.0.113.7"]), "203.0.113.7 tls");
        assert_eq!(asks(&proxy, "192.0.2.1", &["203.0.113.7"]), "192.0.2.1 plain", "a stranger says so");
        assert_eq!(asks(&proxy, "10.1.2.3", &["1.1.1.1, 203.0.113.7", "10.0.0.9"]), "203.0.113.7 tls");
        assert_eq!(asks(&proxy, "10.1.2.3", &["rubbish, 203.0.113.7"]), "203.0.113.7 tls");
        assert_eq!(asks(&proxy, "10.1.2.3", &[]), "10.1.2.3 tls");
        assert_eq!(asks(&[], "10.1.2.3", &["203.0.113.7"]), "10.1.2.3 plain");
        assert_eq!(asks(&["2001:db8::/32"], "2001:db8::1", &["::ffff:192.0.2.4"]), "192.0.2.4 tls");
    }

    #[test]
    fn a_network_is_an_address_with_bits() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("127.0.0.1", "127.0.0.1") && !contains("127.0.0.1", "127.0.0.2"));
        for wrong in ["10.0.0.0/33", "10.0.0", "/8", "10.0.0.0/x"] {
            assert!(wrong.parse::<Network>().unwrap_err().contains("10.0.0.0/8"), "{wrong}");
        }
    }
}
