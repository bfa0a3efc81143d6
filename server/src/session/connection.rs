//! The TCP connection under a socket: a second handle on its descriptor, so that a peer that
//! accepts nothing can be cut off whatever the HTTP layer is waiting for.

use rustix::fd::OwnedFd;
use rustix::net::{Shutdown, shutdown};
use std::net::TcpStream;
use std::time::Duration;

/// How long the connection outlives its socket, so that the close frame is not overtaken by a
/// reset while the peer is still sending.
const LINGER: Duration = Duration::from_secs(2);

/// A handle on one TCP connection.
#[derive(Debug)]
pub struct Connection(Option<OwnedFd>);

impl Connection {
    /// A second handle on `stream`, with `TCP_USER_TIMEOUT` of 30 s behind the stall clock.
    pub fn of(stream: &actix_rt::net::TcpStream) -> Self {
        let reference = socket2::SockRef::from(stream);
        if let Err(error) = reference.set_tcp_user_timeout(Some(Duration::from_secs(30))) {
            tracing::debug!(%error, "no TCP_USER_TIMEOUT on this system");
        }
        let duplicate = reference
            .try_clone()
            .map(|socket| OwnedFd::from(TcpStream::from(socket)));
        if let Err(error) = &duplicate {
            tracing::warn!(%error, "no second handle on a connection");
        }
        Self(duplicate.ok())
    }

    /// A connection that cannot be cut (tests, exotic transports).
    pub const fn none() -> Self {
        Self(None)
    }

    /// Cuts the connection both ways, at once.
    pub fn cut(&self) {
        if let Some(descriptor) = &self.0
            && let Err(error) = shutdown(descriptor, Shutdown::Both)
        {
            tracing::debug!(%error, "the connection was gone already");
        }
    }
}

/// Lets a connection linger, then cuts it.
pub fn linger(connection: std::sync::Arc<Connection>) {
    actix::spawn(async move {
        actix_rt::time::sleep(LINGER).await;
        connection.cut();
    });
}
