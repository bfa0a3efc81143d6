//! Which web pages may talk to us. There are no cookies, so there is no CSRF token either: a
//! state-changing request whose `Origin` is neither our own nor on the list is refused, and pages
//! of origins on the list get the CORS headers. Clients that are no browsers send no `Origin`
//! and pass. Pure: headers in, decision out.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HOST, HeaderMap, HeaderValue, ORIGIN,
    VARY,
};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, Uri};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const ALLOWED_HEADERS: &str = "Content-Type, Authorization, X-Requested-With, X-CSRF-Token, \
     X-Agent-Secret, X-Agent-ID, X-Admin-Secret, Idempotency-Key, X-Request-ID";
const EXPOSED_HEADERS: &str = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, \
     Retry-After, Idempotent-Replayed, X-Request-ID";
const MAX_AGE: &str = "86400";

/// The origins of `CORS_ALLOWED_ORIGINS`. Empty (the default): our own only.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    any: bool,
    listed: Vec<String>,
}

/// How a page's origin stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No `Origin`: not a browser, or a simple request of our own page.
    Absent,
    /// Our own page.
    Own,
    /// On the list.
    Listed,
    /// The list is `*`.
    Any,
    /// Somebody else's page.
    Foreign,
}

impl Origins {
    /// `*` allows any; other entries are origins (`https://chat.example.org`), compared without
    /// regard to case, default ports and a slash at the end.
    pub fn new<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Self {
        let mut origins = Self::default();
        for entry in list {
            match entry.as_ref().trim() {
                "" => {}
                "*" => origins.any = true,
                origin => origins.listed.push(canonical(origin)),
            }
        }
        origins
    }

    /// How the origin that a request names stands to us.
    pub fn standing(&self, headers: &HeaderMap, uri: &Uri) -> Standing {
        let mut named = headers.get_all(ORIGIN);
        let origin = match (named.next(), named.next()) {
            (None, _) => return Standing::Absent,
            (Some(origin), None) => canonical(origin.to_str().unwrap_or("null")),
            (Some(_), Some(_)) => return Standing::Foreign,
        };
        if is_own(&origin, headers, uri) {
            return Standing::Own;
        }
        if self.any {
            return Standing::Any;
        }
        if self.listed.contains(&origin) {
            Standing::Listed
        } else {
            Standing::Foreign
        }
    }
}

impl Standing {
    /// Whether this request may change something.
    pub fn may(self, method: &Method) -> bool {
        self != Self::Foreign || method.is_safe()
    }

    /// Sets the CORS headers of an answer. Caches must keep answers to different origins apart.
    pub fn apply(self, request: &HeaderMap, response: &mut HeaderMap) {
        response.append(VARY, HeaderValue::from_static("Origin"));
        let allowed = match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Listed => request.get(ORIGIN).cloned(),
            Self::Absent | Self::Own | Self::Foreign => None,
        };
        let Some(allowed) = allowed else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        response.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED_HEADERS),
        );
    }

    /// Sets what a preflight asks for, beside [`Standing::apply`].
    pub fn apply_preflight(self, response: &mut HeaderMap) {
        if matches!(self, Self::Any | Self::Listed) {
            response.insert(
                ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static(METHODS),
            );
            response.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(ALLOWED_HEADERS),
            );
            response.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
    }
}

/// The origin's host and port are those that the request was sent to. The scheme is not
/// compared: behind a proxy that speaks TLS we do not know ours.
fn is_own(origin: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.or_else(|| uri.authority().map(Authority::as_str)) else {
        return false;
    };
    let host = without_default_port(scheme, host.to_ascii_lowercase());
    !host.is_empty() && host == authority
}

fn canonical(origin: &str) -> String {
    let lower = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    match lower.split_once("://") {
        Some((scheme, authority)) => {
            format!(
                "{scheme}://{}",
                without_default_port(scheme, authority.to_owned())
            )
        }
        None => lower,
    }
}

fn without_default_port(scheme: &str, authority: String) -> String {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority
        .strip_suffix(port)
        .map(ToOwned::to_owned)
        .unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Absent, Any, Foreign, Listed, Own};

    fn headers(host: &str, origins: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        headers
    }

    /// The list, Host, Origin, standing.
    type Case = (
        &'static [&'static str],
        &'static str,
        &'static [&'static str],
        Standing,
    );

    const CASES: &[Case] = &[
        (&[], "chat.org", &[], Absent),
        (&[], "chat.org", &["https://chat.org"], Own),
        (&[], "CHAT.org:443", &["https://chat.ORG"], Own),
        (&[], "chat.org", &["http://chat.org:80"], Own),
        (&[], "localhost:8080", &["http://localhost:8080"], Own),
        (&[], "[::1]:8080", &["http://[::1]:8080"], Own),
        (&[], "localhost:8080", &["http://localhost:3000"], Foreign),
        (&[], "chat.org:443", &["http://chat.org"], Foreign),
        (&[], "chat.org", &["https://chat.org.evil.net"], Foreign),
        (&[], "chat.org", &["null"], Foreign),
        (&[], "chat.org", &[""], Foreign),
        (&[], "", &["https://"], Foreign),
        (
            &[],
            "chat.org",
            &["https://chat.org", "https://chat.org"],
            Foreign,
        ),
        (
            &["https://a.org", " https://B.org:443/ "],
            "chat.org",
            &["https://a.org"],
            Listed,
        ),
        (
            &["https://a.org", " https://B.org:443/ "],
            "chat.org",
            &["https://b.org"],
            Listed,
        ),
        (&["https://a.org"], "chat.org", &["http://a.org"], Foreign),
        (
            &["https://a.org"],
            "chat.org",
            &["https://sub.a.org"],
            Foreign,
        ),
        (&["https://a.org"], "chat.org", &["https://chat.org"], Own),
        (&["*"], "chat.org", &["https://evil.net"], Any),
        (&["*"], "chat.org", &["null"], Any),
    ];

    #[test]
    fn an_origin_is_ours_listed_or_foreign() {
        for (list, host, origins, expected) in CASES {
            let found =
                Origins::new(*list).standing(&headers(host, origins), &Uri::from_static("/"));
            assert_eq!(found, *expected, "{list:?} {host} {origins:?}");
        }
    }

    #[test]
    fn over_http2_the_authority_stands_for_the_host() {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("https://chat.org"));
        let found = Origins::default().standing(&headers, &Uri::from_static("https://chat.org/x"));
        assert_eq!(found, Own);
    }

    #[test]
    fn a_foreign_page_may_look_but_not_change() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(Foreign.may(&method));
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(!Foreign.may(&method));
            assert!(
                [Absent, Own, Listed, Any]
                    .iter()
                    .all(|standing| standing.may(&method))
            );
        }
    }

    #[test]
    fn only_allowed_origins_get_headers_and_every_answer_varies() {
        for (standing, expected) in [
            (Absent, None),
            (Own, None),
            (Foreign, None),
            (Any, Some("*")),
            (Listed, Some("https://a.org")),
        ] {
            let mut response = HeaderMap::new();
            standing.apply(&headers("chat.org", &["https://a.org"]), &mut response);
            standing.apply_preflight(&mut response);
            let allowed = response
                .get(ACCESS_CONTROL_ALLOW_ORIGIN)
                .map(|v| v.to_str().unwrap());
            assert_eq!(allowed, expected);
            assert_eq!(
                response.contains_key(ACCESS_CONTROL_ALLOW_HEADERS),
                expected.is_some()
            );
            assert_eq!(response.get(VARY).unwrap(), "Origin");
        }
    }
}
