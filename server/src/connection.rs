//! The TCP connections behind the requests. actix bounds the time of the first head only: a peer
//! that sends a second one byte by byte holds its connection for ever (tried for 100 seconds,
//! actix-http 3.20). So each connection is kept here, by a second descriptor, and one that has
//! no request in hand for longer than keep-alive allows is ended. The same descriptor lets a
//! session end a socket whose peer has stopped reading.

use crate::doors::listener::{HEAD_TIME, KEEP_ALIVE};
use crate::limits::{ConnectionGuard, Connections, Proxies};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown};
use slab::Slab;
use std::any::Any;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The kernel gives up on a peer that acknowledges nothing, or takes nothing, for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often [`Watch::run`] looks.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// One TCP connection. Handlers find it with `request.conn_data::<Arc<Connection>>()`.
#[derive(Debug)]
pub struct Connection {
    descriptor: OwnedFd,
    busy: AtomicUsize,
    idle_since_ms: AtomicU64,
    epoch: Instant,
    /// Gives the place of its address back; none for trusted proxies.
    _place: Option<ConnectionGuard>,
}

impl Connection {
    fn new(
        stream: &TcpStream,
        place: Option<ConnectionGuard>,
        epoch: Instant,
    ) -> std::io::Result<Self> {
        let descriptor = stream.as_fd().try_clone_to_owned()?;
        give_up_in_time(&descriptor);
        let now_ms = AtomicU64::new(epoch.elapsed().as_millis() as u64);
        Ok(Self {
            descriptor,
            busy: AtomicUsize::new(0),
            idle_since_ms: now_ms,
            epoch,
            _place: place,
        })
    }

    /// Ends the connection now, whatever waits to be written.
    pub fn end(&self) {
        if let Err(error) = shutdown(&self.descriptor, Shutdown::Both) {
            tracing::debug!(%error, "cannot end a connection");
        }
    }

    /// Says that nothing more will be written; what was written still arrives.
    pub fn end_writing(&self) {
        if let Err(error) = shutdown(&self.descriptor, Shutdown::Write) {
            tracing::debug!(%error, "cannot end writing");
        }
    }

    /// Marks a request in hand, until the guard goes.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Held(Arc::clone(self))
    }

    fn idle_ms(&self) -> u64 {
        if self.busy.load(Ordering::Acquire) > 0 {
            return 0;
        }
        let now_ms = self.epoch.elapsed().as_millis() as u64;
        now_ms.saturating_sub(self.idle_since_ms.load(Ordering::Acquire))
    }
}

/// The TCP connection under what actix serves: itself, or below TLS.
fn tcp_of(io: &dyn Any) -> Option<&TcpStream> {
    if let Some(plain) = io.downcast_ref() {
        return Some(plain);
    }
    let tls: &TlsStream<TcpStream> = io.downcast_ref()?;
    Some(tls.get_ref().0)
}

/// `TCP_USER_TIMEOUT`, where the system has it.
fn give_up_in_time(descriptor: &OwnedFd) {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::net::sockopt::set_tcp_user_timeout(descriptor, USER_TIMEOUT.as_millis() as u32)
    {
        tracing::debug!(%error, "no TCP_USER_TIMEOUT");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (descriptor, USER_TIMEOUT);
}

/// A request of a connection in hand.
#[derive(Debug)]
pub struct Held(Arc<Connection>);

impl Drop for Held {
    fn drop(&mut self) {
        let now_ms = self.0.epoch.elapsed().as_millis() as u64;
        self.0.idle_since_ms.store(now_ms, Ordering::Release);
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Keeps `held` until the body is sent or dropped: a socket, a stream, a long answer.
pub(crate) fn hold_with_body(body: BoxBody, held: Held) -> BoxBody {
    match body.size() {
        BodySize::None | BodySize::Sized(0..=65_536) => body,
        BodySize::Sized(_) | BodySize::Stream => BoxBody::new(HeldBody { body, _held: held }),
    }
}

struct HeldBody {
    body: BoxBody,
    _held: Held,
}

impl MessageBody for HeldBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(cx)
    }
}

/// All connections of the public listener.
#[derive(Debug)]
pub struct Watch {
    places: Connections,
    proxies: Proxies,
    patience: Duration,
    epoch: Instant,
    open: Mutex<Slab<Weak<Connection>>>,
}

impl Watch {
    /// Nothing open yet. Connections of trusted proxies carry many clients and take no place.
    pub fn new(places: Connections, proxies: Proxies) -> Self {
        Self::with_patience(places, proxies, KEEP_ALIVE + HEAD_TIME)
    }

    fn with_patience(places: Connections, proxies: Proxies, patience: Duration) -> Self {
        Self {
            places,
            proxies,
            patience,
            epoch: Instant::now(),
            open: Mutex::new(Slab::new()),
        }
    }

    /// For `HttpServer::on_connect`: keeps the connection, or ends it at once where its address
    /// has too many, so that what never sends a head holds no place.
    pub fn on_connect(&self, io: &dyn Any, kept: &mut Extensions) {
        let Some(stream) = tcp_of(io) else {
            return;
        };
        let Ok(peer) = stream.peer_addr() else { return };
        let place = (!self.proxies.trusts(peer.ip())).then_some(peer.ip());
        self.keep(stream, place, kept);
    }

    fn keep(&self, stream: &TcpStream, place: Option<IpAddr>, kept: &mut Extensions) {
        let place = place.map(|ip| self.places.open(ip)).transpose();
        let refused = place.as_ref().err().copied();
        let connection = match Connection::new(stream, place.unwrap_or(None), self.epoch) {
            Ok(connection) => Arc::new(connection),
            // Out of descriptors, most likely; actix serves the connection without us.
            Err(error) => return tracing::warn!(%error, "cannot watch a connection"),
        };
        if let Some(full) = refused {
            tracing::debug!(%full, "connection refused");
            return connection.end();
        }
        self.open.lock().insert(Arc::downgrade(&connection));
        kept.insert(connection);
    }

    /// Ends the connections that idled too long and forgets those that are gone; how many it
    /// ended.
    pub fn sweep(&self) -> usize {
        let patience_ms = self.patience.as_millis() as u64;
        let mut idle = Vec::new();
        self.open
            .lock()
            .retain(|_, connection| match connection.upgrade() {
                Some(connection) if connection.idle_ms() > patience_ms => {
                    idle.push(connection);
                    false
                }
                open => open.is_some(),
            });
        for connection in &idle {
            connection.end();
        }
        idle.len()
    }

    /// Sweeps for ever; spawn it once.
    pub async fn run(self: Arc<Self>) {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        loop {
            every.tick().await;
            self.sweep();
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
