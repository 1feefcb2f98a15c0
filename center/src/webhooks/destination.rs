//! Where messages may go. An operator names the URL, the center connects to it from its own network: without a rule it would
//! reach what they cannot (services of the host, of the network behind it, of the cloud's metadata).
//!
//! The rule: `https` to addresses of the public internet. `--webhook-network NETWORK` adds a network, to which `http` goes too. The
//! address is checked after the name is resolved, for each connection, and no redirect is followed.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

use crate::peer::Network;

/// Longest URL.
const URL_MAX: usize = 1_024;
/// Longest time until a connection is there.
const CONNECT: Duration = Duration::from_secs(5);

/// Where messages may go. Clones are the same rule.
#[derive(Debug, Clone, Default)]
pub struct Destinations(Arc<[Network]>);

/// A URL to which nothing is sent, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("url {value:?}: {rule}")]
pub struct DestinationError {
    /// The URL, or the address that it leads to.
    pub value: String,
    /// What would be right.
    pub rule: &'static str,
}

const PUBLIC_RULE: &str = "it leads to an address that is not of the public internet; if the receiver is there, whoever runs \
                          the center starts it with --webhook-network and that address or network";
const SECURE_RULE: &str = "https:// is needed; http:// goes to the networks of --webhook-network alone";

impl Destinations {
    /// The public internet and these networks.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }

    /// Whether the address may be connected to.
    fn allows(&self, address: IpAddr) -> bool {
        self.names(address) || is_public(address.to_canonical())
    }

    /// Whether the address is in a network that was named.
    fn names(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address.to_canonical()))
    }

    /// The URL as it is connected to, if it may be: what a name resolves to is checked when it is connected to.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn check(&self, text: &str) -> Result<Url, DestinationError> {
        let refuse = |rule| DestinationError { value: text.chars().take(100).collect(), rule };
        if text.len() > URL_MAX {
            return Err(refuse("it may have 1024 characters"));
        }
        let url = Url::parse(text).map_err(|_| refuse("a URL, as https://example.org/quecota"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "a name or password in it would be shown with it; the signature says who sends",
            ));
        }
        if url.fragment().is_some() {
            return Err(refuse("a fragment (#) is not sent"));
        }
        let host = url.host_str().ok_or_else(|| refuse("it has no host"))?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        match (url.scheme(), literal) {
            ("https" | "http", Some(address)) if !self.allows(address) => Err(refuse(PUBLIC_RULE)),
            ("http", Some(address)) if !self.names(address) => Err(refuse(SECURE_RULE)),
            // Its addresses are known only when it is connected to.
            ("http", None) if self.0.is_empty() => Err(refuse(SECURE_RULE)),
            ("https" | "http", _) => Ok(url),
            _ => Err(refuse("it begins with https://")),
        }
    }

    /// What connects to these destinations alone, each attempt in this time.
    pub(super) fn clients(&self, deadline: Duration) -> Result<Clients, reqwest::Error> {
        let client = |plain| {
            reqwest::Client::builder()
                // A proxy of the environment would connect in our place, to wherever the name leads there.
                .no_proxy()
                .redirect(Policy::none())
                .connect_timeout(CONNECT)
                .timeout(deadline)
                .pool_max_idle_per_host(1)
                .user_agent(concat!("quecota-center/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(Resolver { destinations: self.clone(), plain }))
                .build()
        };
        Ok(Clients { secure: client(false)?, plain: client(true)? })
    }
}

/// What connects. Clones share their connections.
#[derive(Clone)]
pub(super) struct Clients {
    secure: reqwest::Client,
    plain: reqwest::Client,
}

impl Clients {
    /// A request to a URL that was checked.
    pub(super) fn post(&self, url: Url) -> reqwest::RequestBuilder {
        if url.scheme() == "http" { self.plain.post(url) } else { self.secure.post(url) }
    }
}

/// The addresses of a name that may be connected to.
struct Resolver {
    destinations: Destinations,
    /// In the clear.
    plain: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (destinations, plain) = (self.destinations.clone(), self.plain);
        let allows = move |found: &SocketAddr| match plain {
            true => destinations.names(found.ip()),
            false => destinations.allows(found.ip()),
        };
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (allowed, others): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(allows);
            match others.first() {
                Some(other) if allowed.is_empty() => {
                    let rule = if plain { SECURE_RULE } else { PUBLIC_RULE };
                    let refused = DestinationError { value: other.ip().to_string(), rule };
                    Err(Box::new(refused) as Box<dyn Error + Send + Sync>)
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether the address belongs to the public internet (the registries of RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b, c) {
        // This network, private, loopback, link-local (a cloud's metadata), shared, benchmarks.
        (0 | 10 | 127, ..) | (169, 254, _) | (192, 168, _) | (198, 18..=19, _) => true,
        (100, 64..=127, _) | (172, 16..=31, _) => true,
        // Protocol assignments, documentation, 6to4 relays.
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) => true,
        // Multicast and reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // NAT64 and 6to4 lead to the IPv4 address that they hold.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Protocol assignments with Teredo, and documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Global unicast alone.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

/// The reasons of an error, innermost last, without the URL.
pub(super) fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        // The kind of a refused connection says it all.
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && io.get_ref().is_none()
        {
            return io.to_string();
        }
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(networks: &[&str]) -> Destinations {
        Destinations::new(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    #[test]
    fn an_address_that_is_not_of_the_public_internet_is_refused_however_it_is_written() {
        let public = destinations(&[]);
        for wrong in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://10.1.2.3/",
            "https://172.20.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[::]/",
            "https://[2001:db8::1]/",
            "https://[ff02::1]/",
        ] {
            let refused = public.check(wrong).unwrap_err();
            assert_eq!(refused.rule, PUBLIC_RULE, "{wrong}");
        }
        for right in
            ["https://93.184.215.14/a?b=c", "https://[2606:2800:21f:cb07::1]/", "https://example.org:8443/x"]
        {
            public.check(right).unwrap();
        }
    }

    #[test]
    fn a_named_network_may_be_reached_and_in_the_clear() {
        let inside = destinations(&["10.1.0.0/16", "127.0.0.1"]);
        for right in [
            "https://10.1.2.3/",
            "http://10.1.2.3:8080/hook",
            "http://127.0.0.1:9/",
            "http://inside.example/",
        ] {
            inside.check(right).unwrap();
        }
        for wrong in ["http://10.2.0.1/", "http://127.0.0.2/", "https://192.168.0.1/"] {
            assert_eq!(inside.check(wrong).unwrap_err().rule, PUBLIC_RULE, "{wrong}");
        }
        assert_eq!(inside.check("http://93.184.215.14/").unwrap_err().rule, SECURE_RULE);
    }

    #[test]
    fn a_url_that_is_none_or_has_what_it_must_not_is_refused() {
        let public = destinations(&[]);
        for wrong in [
            "http://example.org/",
            "ftp://example.org/",
            "example.org",
            "https://",
            "https://name:word@example.org/",
            "https://example.org/#part",
            "file:///etc/passwd",
            "gopher://example.org/",
            "",
        ] {
            public.check(wrong).unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refusal = async |networks: &[&str], url: &str| {
            let clients = destinations(networks).clients(Duration::from_secs(30)).unwrap();
            in_words(&clients.post(Url::parse(url).unwrap()).send().await.unwrap_err())
        };
        assert!(refusal(&[], "https://localhost:1/").await.contains("--webhook-network"));
        assert!(refusal(&["10.0.0.0/8"], "http://localhost:1/").await.contains("--webhook-network"));
        let refused = refusal(&["127.0.0.0/8", "::1"], "http://localhost:1/").await;
        assert!(refused.contains("refused") && !refused.contains("--webhook-network"), "{refused}");
    }
}
