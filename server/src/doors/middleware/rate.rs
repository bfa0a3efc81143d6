//! Whose bucket a request draws from, and the headers that tell about it.

use crate::limits::{Admission, ClientAddress, Tier, TierKey, Tiers};
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, RETRY_AFTER};
use actix_web::http::{Method, header};

/// Says who asks, as far as rates go. Cheap and without I/O: it runs before the route.
pub trait Identify: Send + Sync + 'static {
    /// The bucket of a caller whose credentials are valid; `None` counts by address.
    fn identify(&self, request: &ServiceRequest) -> Option<(TierKey, Tier)>;
}

/// Probes answer however busy a caller is.
const PROBES: [&str; 3] = ["/health", "/healthz", "/readyz"];

/// Takes a token; `None` where none is asked for: probes, preflights, upgrades to a socket (those
/// are capped by their number) and where rates are lifted.
pub(super) fn take(
    tiers: &Tiers,
    identify: &dyn Identify,
    request: &ServiceRequest,
    address: &ClientAddress,
) -> Option<Admission> {
    let free = request.method() == Method::OPTIONS
        || PROBES.contains(&request.path())
        || request.headers().contains_key(header::SEC_WEBSOCKET_KEY);
    if free {
        return None;
    }
    let (key, tier) = identify
        .identify(request)
        .unwrap_or_else(|| (TierKey::Address(address.key()), Tier::default()));
    tiers.take(&key, tier)
}

/// Sets the rate headers. `X-RateLimit-Reset`: seconds until the bucket is full.
pub(super) fn apply(admission: &Admission, headers: &mut HeaderMap) {
    let figures = [
        ("x-ratelimit-limit", Some(u64::from(admission.limit))),
        (
            "x-ratelimit-remaining",
            Some(u64::from(admission.remaining)),
        ),
        ("x-ratelimit-reset", Some(admission.reset_s)),
        (RETRY_AFTER.as_str(), admission.retry_after),
    ];
    for (name, figure) in figures {
        if let (Ok(name), Some(figure)) = (HeaderName::try_from(name), figure) {
            headers.insert(name, figure.into());
        }
    }
}
