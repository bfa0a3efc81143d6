//! How actix's HTTP server is set up, for the public and the admin listener alike: time limits
//! against peers that send slowly or never, caps on connections, no delay on small frames.
//!
//! What actix refuses before a request exists (a malformed or oversize head, a head that is not
//! complete in time) it answers with a bare 400 or 408 without a body; everything later passes
//! the edge middleware. Slow bodies are bounded by the `Body` extractor, and what actix leaves open
//! (its time limit holds for the first head of a connection only) by [`crate::connection`].

use actix_http::Request;
use actix_service::IntoServiceFactory;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Service, ServiceFactory};
use actix_web::{Error, HttpServer};
use std::fmt;
use std::time::Duration;

/// A request's head must be complete by then: slow heads (slowloris) end with 408.
pub const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long an idle connection waits for its next request: above what proxies keep (60 s).
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a peer may take to notice that we closed.
pub const DISCONNECT_TIME: Duration = Duration::from_secs(2);
/// How long running requests may take at the end; the whole drain has ten seconds.
pub const SHUTDOWN_SECONDS: u64 = 8;
/// Connections that the kernel keeps waiting for us.
pub const BACKLOG: u32 = 4096;
/// Bytes of answers and frames gathered before they are flushed: frames of one batch leave in
/// one write.
pub const WRITE_BUFFER: usize = 64 * 1024;

/// Sets every limit. Call before `bind` or `listen`. `max_connections` is for the whole server;
/// actix counts for each worker, so it is divided among `workers`.
pub fn tune<F, I, S, B>(
    server: HttpServer<F, I, S, B>,
    workers: usize,
    max_connections: usize,
) -> HttpServer<F, I, S, B>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let workers = workers.max(1);
    server
        .workers(workers)
        .backlog(BACKLOG)
        .max_connections(max_connections.div_ceil(workers).max(1))
        .client_request_timeout(HEAD_TIME)
        .client_disconnect_timeout(DISCONNECT_TIME)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .h1_write_buffer_size(WRITE_BUFFER)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
