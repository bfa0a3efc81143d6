//! Names each request, so that a person's complaint, the error body and the log lines can be put
//! together. A sane id of the client is kept; anything else is replaced. The id travels in a
//! task-local, so that errors made deep inside a handler carry it without being handed it.

use actix_web::http::header::{HeaderMap, HeaderName};
use std::future::Future;
use std::sync::Arc;

/// The header that carries the id, in both directions.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a client, characters of `[A-Za-z0-9._-]`.
pub const MAX_CHARS: usize = 64;

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// The id of the request that this task serves; `None` outside a request.
pub fn current() -> Option<Arc<str>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Runs `future` as part of the request `id`.
pub async fn scope<F: Future>(id: Arc<str>, future: F) -> F::Output {
    CURRENT.scope(id, future).await
}

/// The client's id if it is sane, else a new random one of 26 characters.
pub fn choose(headers: &HeaderMap) -> Arc<str> {
    headers
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_sane(id))
        .map_or_else(random, Arc::from)
}

fn is_sane(id: &str) -> bool {
    (1..=MAX_CHARS).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn random() -> Arc<str> {
    let mut bytes = [0_u8; 16];
    // An id that repeats harms nobody: a request is not refused for want of randomness.
    if getrandom::fill(&mut bytes).is_err() {
        tracing::warn!("no randomness for a request id");
    }
    data_encoding::BASE32_NOPAD
        .encode(&bytes)
        .to_ascii_lowercase()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn chosen(id: &str) -> Arc<str> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        choose(&headers)
    }

    #[test]
    fn a_sane_id_of_the_client_is_kept_and_others_are_replaced() {
        assert_eq!(&*chosen("Abc.9_x-1"), "Abc.9_x-1");
        let longest = "a".repeat(MAX_CHARS);
        assert_eq!(&*chosen(&longest), longest);
        for bad in [
            "",
            "has space",
            "quote\"",
            &"a".repeat(MAX_CHARS + 1),
            "ümlaut",
            "a/b",
        ] {
            let id = chosen(bad);
            assert_ne!(&*id, bad);
            assert!(is_sane(&id), "{id}");
        }
    }

    #[test]
    fn new_ids_differ() {
        assert_ne!(choose(&HeaderMap::new()), choose(&HeaderMap::new()));
    }
}
