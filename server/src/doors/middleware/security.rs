//! The headers that tell browsers to trust our answers with nothing. A door that serves pages
//! sets its own policy first; what is set stays.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// For answers that are data: nothing may be loaded, framed or submitted from them.
const API_POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=()";
/// One year, without subdomains: those are not ours to decide about.
const HSTS: &str = "max-age=31536000";

/// Sets the headers that are not set. `tls`: this listener speaks TLS itself.
pub fn apply(headers: &mut HeaderMap, tls: bool) {
    const ALWAYS: [(HeaderName, &str); 6] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (CONTENT_SECURITY_POLICY, API_POLICY),
        (CACHE_CONTROL, "no-store"),
    ];
    let hsts = tls.then_some((STRICT_TRANSPORT_SECURITY, HSTS));
    for (name, value) in ALWAYS.into_iter().chain(hsts) {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hsts_is_sent_by_tls_listeners_only() {
        for tls in [false, true] {
            let mut headers = HeaderMap::new();
            apply(&mut headers, tls);
            assert_eq!(headers.contains_key(STRICT_TRANSPORT_SECURITY), tls);
            assert_eq!(headers.get(X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
        }
    }

    #[test]
    fn a_page_keeps_its_own_policy() {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'self'"),
        );
        apply(&mut headers, false);
        assert_eq!(
            headers.get(CONTENT_SECURITY_POLICY).unwrap(),
            "default-src 'self'"
        );
    }
}
