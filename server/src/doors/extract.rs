//! What handlers take: [`Body`] reads a DTO from JSON or from a form, [`Params`] from the query,
//! and both refuse in the shape of every other error, naming the field. A DTO says `bool` or
//! `u32`; whether a client wrote `true`, `"true"`, `1` or `limit=5` is settled here, for all
//! DTOs alike. Values never appear in a sentence: they may be passwords.
//!
//! Decided, and tested here: a key given twice is refused everywhere; an empty body is an object
//! without fields; unknown fields are ignored; a string with a NUL character is refused; in forms
//! and queries an empty value counts as absent where the field is optional, and an object or list
//! is JSON text; a form that starts with `{` is JSON (`curl -d` names the wrong type by default).
//! `#[serde(flatten)]` and untagged enums see values as written: coercion does not reach them.

mod fields;
mod value;
mod wrong;

use crate::doors::middleware::request_id;
use crate::error::ApiError;
use crate::limits::{ClientAddress, Proxies};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use fields::Fields;
use futures_util::StreamExt;
use futures_util::future::{LocalBoxFuture, Ready, ready};
use protocol::ErrorCode;
use protocol::limits::REQUEST_BYTES;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take to send a body; actix bounds only the head.
const BODY_TIME: Duration = Duration::from_secs(20);

/// A DTO from the body: JSON or `application/x-www-form-urlencoded`.
///
/// Errors: `too_large`, `unsupported_media_type`, `invalid_json`, `invalid_request`,
/// `request_timeout`.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A DTO from the query string. Errors: `invalid_request`.
#[derive(Debug)]
pub struct Params<T>(pub T);

/// The id of this request; empty where the edge middleware is not installed.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let syntax = Syntax::of(request.headers());
        let payload = payload.take();
        Box::pin(async move {
            let syntax = syntax?;
            let bytes = tokio::time::timeout(BODY_TIME, collect(payload))
                .await
                .map_err(|_| ApiError::new(ErrorCode::RequestTimeout))??;
            read_body(syntax, &bytes).map(Body)
        })
    }
}

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let fields = Fields::of_form(request.query_string().as_bytes());
        ready(fields.and_then(Fields::read).map(Params))
    }
}

impl FromRequest for RequestId {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request_id::current().unwrap_or_else(|| "".into()))))
    }
}

impl FromRequest for ClientAddress {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    /// What the edge middleware resolved; without it, only loopback counts as a proxy.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let resolved = request.extensions().get::<Self>().copied();
        let peer = || request.peer_addr().map(|at| at.ip());
        ready(Ok(resolved.unwrap_or_else(|| {
            Proxies::default().resolve(peer(), request.headers())
        })))
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Json,
    FormOrJson,
}

impl Syntax {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        if text_of(headers, &CONTENT_LENGTH)
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
            > REQUEST_BYTES
        {
            return Err(too_large());
        }
        let encoding = text_of(headers, &CONTENT_ENCODING).unwrap_or("identity");
        if !encoding.eq_ignore_ascii_case("identity") {
            return Err(ApiError::because(
                ErrorCode::UnsupportedMediaType,
                "send the body without content-encoding",
            ));
        }
        let mut parts = text_of(headers, &CONTENT_TYPE)
            .unwrap_or("")
            .split(';')
            .map(str::trim);
        let essence = parts.next().unwrap_or("").to_ascii_lowercase();
        let utf8 = parts.all(is_utf8_or_no_charset);
        match essence.as_str() {
            "application/json" | "text/json" if utf8 => Ok(Self::Json),
            "" | "application/x-www-form-urlencoded" if utf8 => Ok(Self::FormOrJson),
            _ => Err(ErrorCode::UnsupportedMediaType.into()),
        }
    }
}

fn is_utf8_or_no_charset(parameter: &str) -> bool {
    let parameter = parameter.to_ascii_lowercase();
    match parameter.strip_prefix("charset=") {
        Some(charset) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        None => true,
    }
}

/// A header as text; one that is not text counts as a value that nothing accepts.
fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

async fn collect(mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if bytes.len() + chunk.len() > REQUEST_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn broken(error: &PayloadError) -> ApiError {
    match error {
        PayloadError::Overflow => too_large(),
        _ => ApiError::because(
            ErrorCode::InvalidRequest,
            "the body ended early or was broken on its way",
        ),
    }
}

fn too_large() -> ApiError {
    ApiError::because(
        ErrorCode::TooLarge,
        format!("the body is over {} KiB", REQUEST_BYTES / 1024),
    )
}

fn read_body<T: DeserializeOwned>(syntax: Syntax, bytes: &[u8]) -> Result<T, ApiError> {
    let looks_like_json = || bytes.trim_ascii_start().starts_with(b"{");
    let fields = if bytes.trim_ascii().is_empty() {
        Fields::default()
    } else if syntax == Syntax::Json || looks_like_json() {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            ApiError::because(ErrorCode::InvalidJson, "the body is not valid UTF-8")
        })?;
        Fields::of_json(text)?
    } else {
        Fields::of_form(bytes)?
    };
    fields.read()
}

#[cfg(test)]
mod tests;
