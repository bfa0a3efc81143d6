//! Writes what waits for one socket: answers first, then deliveries, and pages from the log
//! while the lane drains. A task of its own beside the session actor, so that the actor's mailbox
//! and timers run even when the peer reads nothing.

use super::catch_up;
use super::outbound::Next;
use super::slot::Slot;
use super::wire::SharedFrames;
use crate::node::Node;
use actix_ws::{CloseReason, Closed, Session as Socket};
use protocol::CloseCode;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A peer that accepts nothing for this long is cut off.
const STALL: Duration = Duration::from_secs(10);
/// How long a close frame may take.
const GOODBYE: Duration = Duration::from_secs(1);

enum Ended {
    /// The peer went.
    Gone,
    /// It accepted nothing for ten seconds.
    Stalled,
}

/// Runs until the socket is over; returns the close code that was written, if any.
pub(super) async fn pump(slot: Rc<Slot>, mut socket: Socket, node: Arc<Node>) {
    let ended = write_all(&slot, &mut socket, &node).await;
    match ended {
        Ok(code) => {
            node.metrics.closed(code);
            let reason = CloseReason {
                code: code.code().into(),
                description: Some(code.reason().into()),
            };
            let _: Result<_, _> =
                actix_rt::time::timeout(GOODBYE, socket.close(Some(reason))).await;
            slot.linger();
        }
        Err(Ended::Stalled) => {
            node.metrics.closed(CloseCode::TooSlow);
            let code = CloseCode::TooSlow;
            let reason = CloseReason {
                code: code.code().into(),
                description: Some(code.reason().into()),
            };
            let _: Result<_, _> =
                actix_rt::time::timeout(Duration::ZERO, socket.close(Some(reason))).await;
            slot.cut();
        }
        Err(Ended::Gone) => slot.linger(),
    }
    slot.outbound.peer_gone();
}

async fn write_all(
    slot: &Rc<Slot>,
    socket: &mut Socket,
    node: &Arc<Node>,
) -> Result<CloseCode, Ended> {
    loop {
        match slot.outbound.next() {
            None => slot.outbound.woken().await,
            Some(Next::Frames(frames)) => write(socket, &frames, node).await?,
            Some(Next::Answer { frames, send }) => {
                write(socket, &frames, node).await?;
                slot.outbound.answer_written(send);
            }
            Some(Next::Ping(payload)) => unless_stalled(socket.ping(payload.as_bytes())).await?,
            Some(Next::Pong(payload)) => unless_stalled(socket.pong(&payload)).await?,
            Some(Next::Page(wanted)) => catch_up::spawn(Rc::clone(slot), Arc::clone(node), wanted),
            Some(Next::Close(code)) => return Ok(code),
            Some(Next::Gone) => return Err(Ended::Gone),
        }
    }
}

async fn write(socket: &mut Socket, frames: &SharedFrames, node: &Node) -> Result<(), Ended> {
    for frame in frames.iter() {
        unless_stalled(socket.text(frame.clone())).await?;
    }
    node.metrics.frames_written(frames.len());
    Ok(())
}

/// Waits for the socket to take a frame, ten seconds at most; the clock is only set if it has to wait.
async fn unless_stalled(write: impl Future<Output = Result<(), Closed>>) -> Result<(), Ended> {
    let mut write = pin!(write);
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(write.as_mut().poll(cx))).await;
    let written = match first {
        std::task::Poll::Ready(written) => written,
        std::task::Poll::Pending => match actix_rt::time::timeout(STALL, write).await {
            Ok(written) => written,
            Err(_) => return Err(Ended::Stalled),
        },
    };
    written.map_err(|Closed| Ended::Gone)
}
