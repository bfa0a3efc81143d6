//! Who may make an account without an invite.

use crate::config::Registration;
use crate::limits::ClientAddress;

/// Where a registration comes from.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Peer and resolved address.
    pub address: ClientAddress,
    /// The `Host` header.
    pub host: Option<String>,
    /// The `Origin` header.
    pub origin: Option<String>,
}

/// What is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Welcome,
    /// An invite, or the set-up token.
    NeedsInvite,
}

/// Decides. `local` means: the peer and the resolved address are loopback or private, nobody
/// untrusted claims to forward, the server was called by a local name, and no foreign page did.
pub fn may_register(setting: Registration, caller: &Caller) -> Verdict {
    let welcome = match setting {
        Registration::Open => true,
        Registration::Closed => false,
        Registration::Local => is_local(caller),
    };
    if welcome {
        Verdict::Welcome
    } else {
        Verdict::NeedsInvite
    }
}

fn is_local(caller: &Caller) -> bool {
    let Some(host) = &caller.host else {
        return false;
    };
    caller.address.is_local()
        && is_local_host(host)
        && caller
            .origin
            .as_ref()
            .is_none_or(|origin| is_same(origin, host))
}

/// `localhost`, or a literal address that is loopback or private.
fn is_local_host(host: &str) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => crate::limits::address::is_loopback_or_private(ip.into()),
        Some(url::Host::Ipv6(ip)) => crate::limits::address::is_loopback_or_private(ip.into()),
        None => false,
    }
}

fn is_same(origin: &str, host: &str) -> bool {
    origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .is_some_and(|rest| rest == host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Proxies;
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    fn caller(peer: &str, forwarded: Option<&str>, host: &str, origin: Option<&str>) -> Caller {
        let mut headers = HeaderMap::new();
        if let Some(forwarded) = forwarded {
            let value = HeaderValue::from_str(forwarded).expect("a value");
            headers.insert(HeaderName::from_static("x-forwarded-for"), value);
        }
        let address =
            Proxies::new(Vec::new()).resolve(Some(peer.parse().expect("an address")), &headers);
        Caller {
            address,
            host: Some(host.to_owned()),
            origin: origin.map(str::to_owned),
        }
    }

    #[test]
    fn local_registration_is_for_this_machine_and_its_private_network() {
        let welcome = [
            caller("127.0.0.1", None, "localhost:8080", None),
            caller(
                "192.168.1.7",
                None,
                "192.168.1.2:8080",
                Some("http://192.168.1.2:8080"),
            ),
            caller("::1", None, "[::1]:8080", None),
            caller("127.0.0.1", Some("10.0.0.9"), "localhost", None),
        ];
        for caller in welcome {
            assert_eq!(
                may_register(Registration::Local, &caller),
                Verdict::Welcome,
                "{caller:?}"
            );
        }
        let strangers = [
            caller("8.8.8.8", None, "localhost:8080", None),
            caller("127.0.0.1", Some("8.8.8.8"), "localhost:8080", None),
            caller("192.168.1.7", Some("127.0.0.1"), "192.168.1.2:8080", None),
            caller("127.0.0.1", None, "am.example.org", None),
            caller(
                "127.0.0.1",
                None,
                "localhost:8080",
                Some("http://evil.example"),
            ),
            caller("127.0.0.1", None, "localhost.evil.example", None),
        ];
        for caller in strangers {
            assert_eq!(
                may_register(Registration::Local, &caller),
                Verdict::NeedsInvite,
                "{caller:?}"
            );
        }
    }

    #[test]
    fn open_is_open_and_closed_is_closed() {
        let far = caller("8.8.8.8", None, "am.example.org", None);
        let near = caller("127.0.0.1", None, "localhost", None);
        assert_eq!(may_register(Registration::Open, &far), Verdict::Welcome);
        assert_eq!(
            may_register(Registration::Closed, &near),
            Verdict::NeedsInvite
        );
    }
}
