//! How a refusal leaves over HTTP: one JSON body for every error of every route, with the stable
//! code of the closed table and the request id. Doors return [`ApiError`] with `?`; the edge
//! middleware turns what actix refuses by itself (unknown route, wrong method) into the same
//! shape. Internal error text is logged here once and never leaves the process.

use crate::doors::middleware::request_id;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use protocol::ErrorCode;
use protocol::event::Refusal;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use store::StoreError;

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

/// A refusal on its way out of an HTTP route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    inner: Box<Inner>,
}

/// Boxed, so that the `Ok` of a handler stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    refusal: Refusal,
    allow: Option<String>,
    request_id: Option<Arc<str>>,
}

/// The body of every error of the messenger's HTTP routes.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    /// A sentence for people: what was wrong, without secrets.
    pub error: &'a str,
    /// The HTTP reason phrase: shipped clients read a string here.
    pub status: &'static str,
    /// The stable code that clients may branch on.
    pub code: ErrorCode,
    /// The id under which the log knows this request; empty outside a request.
    pub request_id: &'a str,
    /// Seconds to wait before repeating, where repeating helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// A refusal with the code's own sentence.
    pub fn new(code: ErrorCode) -> Self {
        Refusal::new(code).into()
    }

    /// A refusal with a more precise sentence (lower case, no full stop, no secrets).
    pub fn because(code: ErrorCode, sentence: impl Into<bytestring::ByteString>) -> Self {
        Refusal::because(code, sentence).into()
    }

    /// An error of our own: `cause` goes to the log, the caller reads "internal error".
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(request_id = request_id::current().as_deref().unwrap_or(""), %cause, "internal error");
        Self::new(ErrorCode::Internal)
    }

    /// The refusal for a status that actix answered by itself.
    pub fn of_status(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            401 => ErrorCode::Unauthorized,
            403 => ErrorCode::Forbidden,
            404 => ErrorCode::NotFound,
            405 => ErrorCode::MethodNotAllowed,
            408 => ErrorCode::RequestTimeout,
            409 => ErrorCode::Conflict,
            413 => ErrorCode::TooLarge,
            415 => ErrorCode::UnsupportedMediaType,
            429 => ErrorCode::RateLimited,
            503 => ErrorCode::Overloaded,
            504 => ErrorCode::Timeout,
            400..=499 => ErrorCode::InvalidRequest,
            _ => ErrorCode::Internal,
        };
        Self::new(code)
    }

    /// Names the seconds to wait; they go into the body and the `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.inner.refusal.retry_after = Some(seconds);
        self
    }

    /// Names the methods that the route has, as the `Allow` header wants them (`GET, HEAD`).
    #[must_use]
    pub fn allow(mut self, methods: impl Into<String>) -> Self {
        self.inner.allow = Some(methods.into());
        self
    }

    /// Fixes the request id, for a response that is made outside the request's task.
    #[must_use]
    pub fn for_request(mut self, id: impl Into<Arc<str>>) -> Self {
        self.inner.request_id = Some(id.into());
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.inner.refusal.code
    }

    /// What was refused and why.
    pub fn refusal(&self) -> &Refusal {
        &self.inner.refusal
    }

    /// What was refused and why, for a door that words its errors itself.
    pub fn into_refusal(self) -> Refusal {
        self.inner.refusal
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.inner.refusal.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self {
            inner: Box::new(Inner {
                refusal,
                allow: None,
                request_id: None,
            }),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        refusal_of(error).into()
    }
}

/// What a caller hears of a failing store, at any door. A defect is logged here, once.
pub fn refusal_of(error: StoreError) -> Refusal {
    let code = match error {
        StoreError::NotFound => ErrorCode::NotFound,
        StoreError::Conflict => ErrorCode::Conflict,
        StoreError::Overloaded => ErrorCode::Overloaded,
        StoreError::Unavailable => ErrorCode::StorageUnavailable,
        StoreError::Unknown => ErrorCode::Timeout,
        StoreError::Closed => ErrorCode::ShuttingDown,
        StoreError::Internal(cause) => return ApiError::internal(&cause).into_refusal(),
    };
    // The sentence of `conflict` speaks of idempotency keys; a row that exists is another matter.
    match code {
        ErrorCode::Conflict => Refusal::because(code, "it exists already"),
        _ => Refusal::new(code),
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.inner.refusal.code, self.inner.refusal.sentence
        )
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status();
        let id = self
            .inner
            .request_id
            .clone()
            .or_else(request_id::current)
            .unwrap_or_else(|| Arc::from(""));
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.inner.refusal.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(methods) = self
            .inner
            .allow
            .as_deref()
            .and_then(|allow| HeaderValue::from_str(allow).ok())
        {
            response.insert_header((ALLOW, methods));
        }
        response.json(ErrorBody {
            error: &self.inner.refusal.sentence,
            status: status.canonical_reason().unwrap_or(""),
            code: self.inner.refusal.code,
            request_id: &id,
            retry_after: self.inner.refusal.retry_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    async fn body(response: HttpResponse) -> Value {
        serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap()
    }

    #[actix_web::test]
    async fn every_code_leaves_as_json_with_its_status_and_reason_phrase() {
        for code in ErrorCode::ALL {
            let response = ApiError::new(*code).for_request("r1").error_response();
            assert_eq!(response.status().as_u16(), code.http_status());
            assert_eq!(
                response.headers().get("content-type").unwrap(),
                "application/json"
            );
            let reason = response.status().canonical_reason().unwrap();
            let expected = json!({"error": code.sentence(), "status": reason, "code": code.as_str(), "request_id": "r1"});
            assert_eq!(body(response).await, expected);
        }
    }

    #[actix_web::test]
    async fn a_retryable_refusal_says_when_in_body_and_header() {
        let response = ApiError::new(ErrorCode::RateLimited)
            .retry_after(7)
            .error_response();
        assert_eq!(response.headers().get("retry-after").unwrap(), "7");
        assert_eq!(body(response).await["retry_after"], 7);
    }

    #[actix_web::test]
    async fn the_text_of_an_internal_error_stays_inside() {
        let response = ApiError::internal(&"secret table users").error_response();
        assert_eq!(response.status(), 500);
        assert_eq!(body(response).await["error"], "internal error");
    }

    #[actix_web::test]
    async fn a_failing_store_says_what_to_do_and_never_what_sqlite_said() {
        let table = [
            (StoreError::NotFound, ErrorCode::NotFound),
            (StoreError::Conflict, ErrorCode::Conflict),
            (StoreError::Overloaded, ErrorCode::Overloaded),
            (StoreError::Unavailable, ErrorCode::StorageUnavailable),
            (StoreError::Unknown, ErrorCode::Timeout),
            (StoreError::Closed, ErrorCode::ShuttingDown),
            (
                StoreError::Internal("no such column: x".to_owned()),
                ErrorCode::Internal,
            ),
        ];
        for (error, code) in table {
            let error = ApiError::from(error);
            assert_eq!(error.code(), code);
            assert!(
                !body(error.error_response())
                    .await
                    .to_string()
                    .contains("column")
            );
        }
    }

    #[test]
    fn a_status_that_actix_answers_keeps_its_class() {
        for status in (400..600).filter_map(|s| StatusCode::from_u16(s).ok()) {
            let error = ApiError::of_status(status);
            assert_eq!(
                error.status().is_server_error(),
                status.is_server_error(),
                "{status}"
            );
        }
        assert_eq!(
            ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE).code(),
            ErrorCode::TooLarge
        );
        assert_eq!(
            ApiError::of_status(StatusCode::NOT_FOUND).code(),
            ErrorCode::NotFound
        );
    }
}
