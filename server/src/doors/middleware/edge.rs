//! The one middleware: runs the decisions of its neighbours in order around the route, and makes
//! sure that whatever happens inside (a refusal of actix itself, a panic) leaves as JSON with the
//! request id and all headers.

use super::origin::{Origins, Standing};
use super::rate::{self, Identify};
use super::{request_id, security};
use crate::connection::{Connection, hold_with_body};
use crate::error::ApiError;
use crate::limits::{Admission, ClientAddress, Proxies, Tiers};
use crate::metrics::Metrics;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use futures_util::FutureExt;
use prometheus::IntGauge;
use protocol::ErrorCode;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// What the middleware needs to know; the application hands it in as `web::Data<Edge>`.
pub struct Edge {
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Whose forwarding headers count.
    pub proxies: Proxies,
    /// Which pages may talk to us.
    pub origins: Origins,
    /// The HTTP buckets.
    pub tiers: Tiers,
    /// Whose bucket.
    pub identify: Arc<dyn Identify>,
    /// This listener speaks TLS itself.
    pub tls: bool,
}

/// What is known of a request before it is served, and needed after.
struct Passage<'a> {
    edge: &'a Edge,
    id: Arc<str>,
    address: ClientAddress,
    method: Method,
    standing: Standing,
    /// For CORS: the request itself is gone by then.
    origin: HeaderMap,
    admission: Option<Admission>,
    started: Instant,
    _in_flight: InFlight,
}

/// Counts a request as in flight, however it ends.
struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Serves one request. Install with `App::new().app_data(web::Data<Edge>).wrap(from_fn(edge))`,
/// outermost.
pub async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(edge) = request.app_data::<web::Data<Edge>>().cloned() else {
        return Err(ApiError::internal(&"the edge middleware has no data").into());
    };
    let held = request.conn_data::<Arc<Connection>>().map(Connection::hold);
    let mut passage = Passage::enter(&edge, &request);
    request.extensions_mut().insert(passage.address);
    if let Some(response) = passage.answer_here(&request) {
        // `into_response` would lose the error that the response came from.
        let (request, _payload) = request.into_parts();
        return Ok(passage.leave(ServiceResponse::new(request, response)));
    }
    let span =
        tracing::info_span!("http_request", request_id = %passage.id, method = %passage.method);
    let served = AssertUnwindSafe(async move { next.call(request).await }).catch_unwind();
    match request_id::scope(Arc::clone(&passage.id), served)
        .instrument(span)
        .await
    {
        Ok(Ok(response)) => {
            let response = passage.leave(response.map_into_boxed_body());
            Ok(response.map_body(|_, body| match held {
                Some(held) => hold_with_body(body, held),
                None => body,
            }))
        }
        Ok(Err(error)) => Err(passage.leave_by_error(&error)),
        Err(_panic) => Err(passage.leave_by_error(&ApiError::new(ErrorCode::Internal).into())),
    }
}

impl<'a> Passage<'a> {
    fn enter(edge: &'a Edge, request: &ServiceRequest) -> Self {
        let peer = request.peer_addr().map(|at| at.ip());
        let mut origin = HeaderMap::new();
        for value in request.headers().get_all(actix_web::http::header::ORIGIN) {
            origin.append(actix_web::http::header::ORIGIN, value.clone());
        }
        edge.metrics.http_in_flight.inc();
        Self {
            edge,
            id: request_id::choose(request.headers()),
            address: edge.proxies.resolve(peer, request.headers()),
            method: request.method().clone(),
            standing: edge.origins.standing(request.headers(), request.uri()),
            origin,
            admission: None,
            started: Instant::now(),
            _in_flight: InFlight(edge.metrics.http_in_flight.clone()),
        }
    }

    /// Preflights, and what is refused before the route.
    fn answer_here(&mut self, request: &ServiceRequest) -> Option<HttpResponse> {
        if self.method == Method::OPTIONS {
            let mut response = HttpResponse::NoContent().finish();
            self.standing.apply_preflight(response.headers_mut());
            return Some(response);
        }
        if !self.standing.may(&self.method) {
            return Some(self.refuse(ApiError::new(ErrorCode::OriginNotAllowed)));
        }
        self.admission = rate::take(
            &self.edge.tiers,
            self.edge.identify.as_ref(),
            request,
            &self.address,
        );
        let seconds = self.admission.and_then(|admission| admission.retry_after)?;
        Some(self.refuse(ApiError::new(ErrorCode::RateLimited).retry_after(seconds)))
    }

    fn refuse(&self, error: ApiError) -> HttpResponse {
        HttpResponse::from_error(error.for_request(Arc::clone(&self.id)))
    }

    fn leave(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let route = response.request().match_pattern();
        let (request, response) = response.into_parts();
        let response = self.finish(response, route.as_deref());
        ServiceResponse::new(request, response)
    }

    /// The request is gone with the middleware that failed: actix sends the response for us.
    fn leave_by_error(&self, error: &Error) -> Error {
        let error = match error.as_error::<ApiError>() {
            Some(error) => error.clone(),
            None => ApiError::of_status(error.as_response_error().status_code()),
        };
        let response = self.finish(self.refuse(error), None);
        InternalError::from_response("refused", response).into()
    }

    fn finish(&self, response: HttpResponse, route: Option<&str>) -> HttpResponse {
        let mut response = self.in_our_shape(response);
        let headers = response.headers_mut();
        if let Some(admission) = &self.admission {
            rate::apply(admission, headers);
        }
        self.standing.apply(&self.origin, headers);
        security::apply(headers, self.edge.tls);
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(request_id::HEADER, id);
        }
        self.record(&response, route.unwrap_or("-"));
        response
    }

    /// Replaces the empty and plain-text errors of actix; what a door worded itself stays.
    fn in_our_shape(&self, response: HttpResponse) -> HttpResponse {
        let status = response.status();
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .map_or(&b""[..], HeaderValue::as_bytes);
        let worded = !kind.is_empty() && !kind.starts_with(b"text/plain");
        if worded || !(status.is_client_error() || status.is_server_error()) {
            return response;
        }
        let mut error = ApiError::of_status(status);
        if let Some(allow) = response
            .headers()
            .get(ALLOW)
            .and_then(|allow| allow.to_str().ok())
        {
            error = error.allow(allow);
        }
        self.refuse(error)
    }

    /// One line and the counters. Never the path itself, a query, a token or a body.
    fn record(&self, response: &HttpResponse, route: &str) {
        let took = self.started.elapsed();
        let status = response.status();
        self.edge.metrics.http(route, status.as_u16(), took);
        if let Some(error) = response
            .error()
            .and_then(|error| error.as_error::<ApiError>())
        {
            self.edge.metrics.refused(error.code());
        }
        tracing::info!(
            request_id = &*self.id,
            method = self.method.as_str(),
            route,
            status = status.as_u16(),
            duration_ms = took.as_secs_f64() * 1000.0,
            address = %self.address.ip,
            "{}",
            if status == StatusCode::SWITCHING_PROTOCOLS { "socket_opened" } else { "http_request" },
        );
    }
}

#[cfg(test)]
#[path = "edge_tests.rs"]
pub(crate) mod tests;
