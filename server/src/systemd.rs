//! What systemd is told and what it gives: sockets that it has opened, the word that the server is
//! ready, draining or reloading, and signs of life. Without systemd nothing here does anything.

use actix_rt::ArbiterHandle;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::net::TcpListener;
use std::time::Duration;

/// How long an arbiter may take to show that it lives, beyond the pause between two signs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listeners that were opened before the process began.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The first: for people and agents.
    pub public: Option<TcpListener>,
    /// The second: for the operator.
    pub admin: Option<TcpListener>,
}

impl Inherited {
    /// Takes what systemd hands over (`LISTEN_FDS`). Once, at the start.
    pub fn take() -> std::io::Result<Self> {
        let mut sockets = ListenFd::from_env();
        let mut next = |index| {
            if index < sockets.len() {
                sockets.take_tcp_listener(index)
            } else {
                Ok(None)
            }
        };
        Ok(Self {
            public: next(0)?,
            admin: next(1)?,
        })
    }
}

/// The port answers.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The drain has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Files are read again; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic clock"),
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Sends signs of life where systemd asks for them, for as long as this arbiter and the others
/// run what they are given.
pub fn keep_watch(others: Vec<ArbiterHandle>) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    actix_rt::spawn(async move {
        let mut every = tokio::time::interval(limit / 3);
        loop {
            every.tick().await;
            if all_alive(&others).await {
                tell(&[NotifyState::Watchdog]);
            } else {
                tracing::error!("a thread of the server does not answer");
            }
        }
    });
}

async fn all_alive(others: &[ArbiterHandle]) -> bool {
    for arbiter in others {
        let (tell, told) = tokio::sync::oneshot::channel();
        let given = arbiter.spawn_fn(move || {
            let _: Result<(), ()> = tell.send(());
        });
        if !given || tokio::time::timeout(PATIENCE, told).await.is_err() {
            return false;
        }
    }
    true
}
