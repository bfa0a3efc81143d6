//! From an address to what libpq is given. libpq is linked without TLS (no OpenSSL in the
//! binary), so an address that asks for TLS is led through a tunnel of our own.

use super::tls::{Mode, Target, Tunnel};
use crate::location::PostgresUrl;
use std::net::IpAddr;
use std::path::PathBuf;
use url::Url;

const PORT: u16 = 5432;

/// What is given to libpq where the address does not say otherwise: a server that vanished is
/// noticed within half a minute.
const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "agent-messenger"),
    ("connect_timeout", "10"),
    ("keepalives_idle", "15"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
];

/// The way to a server.
pub(super) struct Way {
    conninfo: String,
    /// Open for as long as connections may be made.
    _tunnel: Option<Tunnel>,
}

impl Way {
    /// Opens the way that the address asks for.
    pub(super) fn of(url: &PostgresUrl) -> Result<Self, String> {
        let url = url.url();
        let mode = mode_of(url)?;
        let Some(mode) = mode else {
            return Ok(Self {
                conninfo: with_defaults(url.clone()),
                _tunnel: None,
            });
        };
        let tunnel = Tunnel::open(target_of(url, mode)?)?;
        let conninfo = through(url, &tunnel)?;
        Ok(Self {
            conninfo,
            _tunnel: Some(tunnel),
        })
    }

    /// For `PgConnection::establish`.
    pub(super) fn conninfo(&self) -> &str {
        &self.conninfo
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Without `sslmode` a server on this machine is reached plainly, any other as libpq would:
/// with TLS where it offers it.
fn mode_of(url: &Url) -> Result<Option<Mode>, String> {
    let mode = match parameter(url, "sslmode").as_deref() {
        Some("disable") => None,
        Some("allow" | "prefer") => Some(Mode::Prefer),
        Some("require") if parameter(url, "sslrootcert").is_none() => Some(Mode::Require),
        Some("require" | "verify-ca") => Some(Mode::VerifyCa),
        Some("verify-full") => Some(Mode::VerifyFull),
        Some(other) => {
            return Err(format!(
                "sslmode is {other:?}, not disable, prefer, require, verify-ca or verify-full"
            ));
        }
        None => (!is_here(url)).then_some(Mode::Prefer),
    };
    Ok(mode)
}

/// A socket file, or the loopback.
fn is_here(url: &Url) -> bool {
    if parameter(url, "host").is_some_and(|host| host.starts_with('/')) {
        return true;
    }
    match host_of(url) {
        None => true,
        Some(host) => {
            host == "localhost"
                || host.starts_with("%2F")
                || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    }
}

/// The host as TCP wants it: an IPv6 address without its brackets.
fn host_of(url: &Url) -> Option<&str> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(host.trim_start_matches('[').trim_end_matches(']'))
}

fn target_of(url: &Url, mode: Mode) -> Result<Target, String> {
    let host = host_of(url).ok_or("TLS to the database needs a host in the address")?;
    let file = |name: &str| parameter(url, name).map(PathBuf::from);
    Ok(Target {
        host: host.to_owned(),
        port: url.port().unwrap_or(PORT),
        mode,
        root_cert: file("sslrootcert").filter(|path| path.as_os_str() != "system"),
        client_cert: file("sslcert").zip(file("sslkey")),
    })
}

/// The address with the tunnel's end in the place of the server.
fn through(url: &Url, tunnel: &Tunnel) -> Result<String, String> {
    const OURS: [&str; 9] = [
        "host",
        "hostaddr",
        "port",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslnegotiation",
        "channel_binding",
    ];
    let folder = tunnel
        .folder()
        .to_str()
        .ok_or("the folder for temporary files is not UTF-8")?;
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !OURS.contains(&name.as_ref()))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let mut inner = url.clone();
    inner
        .set_host(Some("tunnel"))
        .and_then(|()| {
            inner
                .set_port(None)
                .map_err(|()| url::ParseError::InvalidPort)
        })
        .map_err(|error| error.to_string())?;
    inner
        .query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .append_pair("host", folder)
        .append_pair("port", &PORT.to_string())
        .append_pair("sslmode", "disable");
    Ok(with_defaults(inner))
}

fn with_defaults(mut url: Url) -> String {
    for (name, value) in DEFAULTS {
        if parameter(&url, name).is_none() {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    // libpq reads percent signs, and takes a plus for a plus.
    url.to_string().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> Result<Option<Mode>, String> {
        mode_of(&Url::parse(text).expect("an address"))
    }

    #[test]
    fn tls_is_asked_for_as_libpq_would() {
        for (address, expected) in [
            ("postgres://localhost/am", None),
            ("postgres://127.0.0.1/am", None),
            ("postgres://[::1]/am", None),
            ("postgres:///am?host=/run/postgresql", None),
            ("postgres://db/am?sslmode=disable", None),
            ("postgres://db/am", Some(Mode::Prefer)),
            (
                "postgres://localhost/am?sslmode=require",
                Some(Mode::Require),
            ),
            (
                "postgres://db/am?sslmode=require&sslrootcert=/ca.pem",
                Some(Mode::VerifyCa),
            ),
            (
                "postgres://db/am?sslmode=verify-full",
                Some(Mode::VerifyFull),
            ),
        ] {
            assert_eq!(mode(address), Ok(expected), "{address}");
        }
        assert!(mode("postgres://db/am?sslmode=maybe").is_err());
    }

    #[test]
    fn what_the_address_says_is_kept_and_the_rest_gets_defaults() {
        let url =
            Url::parse("postgres://a:b%40c@localhost:5433/am?connect_timeout=3").expect("valid");
        let text = with_defaults(url);
        assert!(text.starts_with("postgres://a:b%40c@localhost:5433/am?connect_timeout=3&"));
        assert!(text.contains("tcp_user_timeout=30000"));
        assert_eq!(text.matches("connect_timeout").count(), 1);
    }
}
