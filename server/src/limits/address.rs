//! Which address a request came from. Forwarding headers count only when the peer is a proxy we
//! trust: loopback always, else `TRUSTED_PROXIES`. Of `X-Forwarded-For` the first untrusted hop
//! from the right is the client; everything left of it was written by the client itself. Pure:
//! the caller hands in the peer and the headers.

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client, as far as trusted proxies can tell. Never IPv4 mapped into IPv6.
    pub ip: IpAddr,
    /// The other end of the TCP connection.
    pub peer: IpAddr,
    /// The address cannot be vouched for: a peer that is not trusted sent a forwarding header,
    /// or a trusted one sent one that cannot be read. Such a request never counts as local.
    pub doubtful: bool,
}

impl ClientAddress {
    /// Peer and client are loopback or private, and nothing speaks against it.
    pub fn is_local(&self) -> bool {
        !self.doubtful && is_loopback_or_private(self.ip) && is_loopback_or_private(self.peer)
    }

    /// The address under which rates and connections are counted.
    pub fn key(&self) -> IpAddr {
        counting_key(self.ip)
    }
}

/// The address under which rates and connections are counted: the address itself, for IPv6 its
/// /64, because one household owns a whole one.
pub fn counting_key(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Loopback, private (RFC 1918, RFC 4193) or link-local.
pub fn is_loopback_or_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The proxies whose forwarding headers count.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
}

impl Proxies {
    /// Loopback and `trusted`.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted }
    }

    /// Reads a list of addresses and CIDR ranges between commas or spaces; the error is the entry
    /// that is neither.
    pub fn parse(list: &str) -> Result<Self, String> {
        let entries = list
            .split([',', ' '])
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let nets = entries.map(|entry| {
            let net = entry
                .parse()
                .or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            net.map_err(|_| entry.to_owned())
        });
        Ok(Self {
            trusted: nets.collect::<Result<_, _>>()?,
        })
    }

    /// Whether forwarding headers from `ip` count.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback() || self.trusted.iter().any(|net| net.contains(&ip))
    }

    /// Resolves the client of a request from `peer`; without a peer (a Unix socket) nothing is
    /// trusted and the address is `0.0.0.0`.
    pub fn resolve(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> ClientAddress {
        let peer = peer
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
            .to_canonical();
        let forwarded = Forwarded::read(headers);
        if !forwarded.any {
            return ClientAddress {
                ip: peer,
                peer,
                doubtful: false,
            };
        }
        if !self.trusts(peer) {
            return ClientAddress {
                ip: peer,
                peer,
                doubtful: true,
            };
        }
        match self.client(&forwarded) {
            Some(ip) => ClientAddress {
                ip,
                peer,
                doubtful: false,
            },
            None => ClientAddress {
                ip: peer,
                peer,
                doubtful: true,
            },
        }
    }

    /// `None` where a header of a trusted proxy cannot be read.
    fn client(&self, forwarded: &Forwarded<'_>) -> Option<IpAddr> {
        if forwarded.hops.is_empty() {
            return parse_hop(forwarded.real_ip?);
        }
        let mut client = None;
        for hop in forwarded.hops.iter().rev() {
            let ip = parse_hop(hop)?;
            client = Some(ip);
            if !self.trusts(ip) {
                break;
            }
        }
        client
    }
}

/// What a request says about its way here.
struct Forwarded<'a> {
    any: bool,
    hops: Vec<&'a str>,
    real_ip: Option<&'a str>,
}

impl<'a> Forwarded<'a> {
    fn read(headers: &'a HeaderMap) -> Self {
        // A header that is not text becomes a hop that cannot be read.
        let lines = headers
            .get_all("x-forwarded-for")
            .map(|value| value.to_str().unwrap_or("?"));
        let real_ip = headers
            .get("x-real-ip")
            .map(|value| value.to_str().unwrap_or("?"));
        let hops: Vec<&str> = lines
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .collect();
        let any = !hops.is_empty() || real_ip.is_some() || headers.contains_key("forwarded");
        Self { any, hops, real_ip }
    }
}

/// An address, with or without a port, with or without brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    let ip: Result<IpAddr, _> = bare.parse();
    ip.ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|at| at.ip()))
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn resolve(peer: &str, headers: &[(&'static str, &str)]) -> (String, bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let proxies = Proxies::parse("10.0.0.0/8, 203.0.113.7 fd00::/8").unwrap();
        let found = proxies.resolve(Some(peer.parse().unwrap()), &map);
        (found.ip.to_string(), found.doubtful)
    }

    const XFF: &str = "x-forwarded-for";

    /// Peer, headers, the client, and whether it is doubtful.
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        bool,
    );

    #[rustfmt::skip]
    const CASES: &[Case] = &[
        ("198.51.100.1", &[], "198.51.100.1", false),
        ("127.0.0.1", &[], "127.0.0.1", false),
        ("127.0.0.1", &[(XFF, "198.51.100.1")], "198.51.100.1", false),
        ("127.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.1")], "198.51.100.1", false),
        ("127.0.0.1", &[(XFF, "1.1.1.1, 198.51.100.1, 10.2.3.4")], "198.51.100.1", false),
        ("10.9.9.9", &[(XFF, "1.1.1.1"), (XFF, "198.51.100.1:4711")], "198.51.100.1", false),
        ("203.0.113.7", &[(XFF, "10.1.1.1, 10.2.2.2")], "10.1.1.1", false),
        ("::1", &[(XFF, "[2001:db8::5]:99")], "2001:db8::5", false),
        ("::ffff:127.0.0.1", &[(XFF, "::ffff:198.51.100.1")], "198.51.100.1", false),
        ("127.0.0.1", &[("x-real-ip", "198.51.100.1")], "198.51.100.1", false),
        ("127.0.0.1", &[(XFF, "198.51.100.1"), ("x-real-ip", "9.9.9.9")], "198.51.100.1", false),
        // A stranger's headers change nothing but trust.
        ("198.51.100.1", &[(XFF, "127.0.0.1")], "198.51.100.1", true),
        ("198.51.100.1", &[("x-real-ip", "127.0.0.1")], "198.51.100.1", true),
        ("198.51.100.1", &[("forwarded", "for=127.0.0.1")], "198.51.100.1", true),
        // What cannot be read is never local.
        ("127.0.0.1", &[(XFF, "unknown")], "127.0.0.1", true),
        ("127.0.0.1", &[(XFF, "")], "127.0.0.1", true),
        ("127.0.0.1", &[(XFF, "1.1.1.1, nonsense, 10.1.1.1")], "127.0.0.1", true),
        ("127.0.0.1", &[("forwarded", "for=1.1.1.1")], "127.0.0.1", true),
        ("127.0.0.1", &[("x-real-ip", "x")], "127.0.0.1", true),
    ];

    #[test]
    fn the_client_is_the_first_untrusted_hop_from_the_right() {
        for (peer, headers, ip, doubtful) in CASES {
            let expected = ((*ip).to_owned(), *doubtful);
            assert_eq!(resolve(peer, headers), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn local_means_peer_and_client_are_local_and_nothing_is_doubtful() {
        let address = |ip: &str, peer: &str, doubtful| ClientAddress {
            ip: ip.parse().unwrap(),
            peer: peer.parse().unwrap(),
            doubtful,
        };
        assert!(address("127.0.0.1", "127.0.0.1", false).is_local());
        assert!(address("192.168.1.9", "192.168.1.9", false).is_local());
        assert!(address("fd00::1", "::1", false).is_local());
        assert!(!address("8.8.8.8", "127.0.0.1", false).is_local());
        assert!(!address("127.0.0.1", "8.8.8.8", false).is_local());
        assert!(!address("127.0.0.1", "127.0.0.1", true).is_local());
    }

    #[test]
    fn one_ipv6_network_counts_as_one_address() {
        let key = |ip: &str| counting_key(ip.parse().unwrap()).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::9"));
        assert_ne!(key("2001:db8:1:2::9"), key("2001:db8:1:3::9"));
        assert_eq!(key("::ffff:198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn a_proxy_list_names_the_entry_that_is_wrong() {
        assert!(
            Proxies::parse("")
                .unwrap()
                .trusts("127.0.0.9".parse().unwrap())
        );
        assert_eq!(Proxies::parse("10.0.0.0/8, lan").unwrap_err(), "lan");
        assert_eq!(Proxies::parse("10.0.0.0/40").unwrap_err(), "10.0.0.0/40");
    }

    proptest! {
        #[test]
        fn a_stranger_never_chooses_the_address_that_counts(text in "[ -~]{0,60}") {
            let (ip, doubtful) = resolve("198.51.100.1", &[(XFF, &text)]);
            prop_assert_eq!(ip, "198.51.100.1");
            prop_assert!(doubtful);
        }

        #[test]
        fn what_the_client_wrote_left_of_the_proxy_is_ignored(text in "[ -~]{0,60}") {
            let line = format!("{text},198.51.100.1");
            prop_assert_eq!(resolve("127.0.0.1", &[(XFF, &line)]), ("198.51.100.1".to_owned(), false));
        }
    }
}
