//! Writes what waits for one socket: answers first, then deliveries, and pages from the log
//! while the lane drains. A task of its own beside the session actor, so that the actor's mailbox
//! and timers run even when the peer reads nothing.

use super::catch_up;
use super::outbound::Next;
use super::slot::Slot;
use super::wire::SharedFrames;
use crate::node::Node;
use actix_ws::{CloseCode as WireCode, CloseReason, Closed, Session as Socket};
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
    /// We end it.
    Closed(CloseCode),
    /// The peer said goodbye.
    Goodbye(Option<u16>),
    /// The peer went.
    Gone,
    /// It accepted nothing for ten seconds.
    Stalled,
}

/// Runs until the socket is over.
pub(super) async fn pump(slot: Rc<Slot>, mut socket: Socket, node: Arc<Node>) {
    match write_all(&slot, &mut socket, &node).await {
        Ended::Closed(code) => {
            node.metrics.closed(code);
            close(socket, Some(reason_of(code)), GOODBYE).await;
            slot.hang_up();
        }
        Ended::Goodbye(code) => {
            let reason = code.map(|code| CloseReason::from(WireCode::from(code)));
            close(socket, reason, GOODBYE).await;
            slot.hang_up();
        }
        Ended::Stalled => {
            node.metrics.closed(CloseCode::TooSlow);
            close(socket, Some(reason_of(CloseCode::TooSlow)), Duration::ZERO).await;
            slot.cut();
        }
        Ended::Gone => slot.hang_up(),
    }
    slot.outbound.peer_gone();
}

/// Writes the close frame if the socket takes it in time.
async fn close(socket: Socket, reason: Option<CloseReason>, within: Duration) {
    drop(actix_rt::time::timeout(within, socket.close(reason)).await);
}

fn reason_of(code: CloseCode) -> CloseReason {
    CloseReason {
        code: code.code().into(),
        description: Some(code.reason().into()),
    }
}

async fn write_all(slot: &Rc<Slot>, socket: &mut Socket, node: &Arc<Node>) -> Ended {
    loop {
        let written = match slot.outbound.next() {
            None => {
                slot.outbound.woken().await;
                Ok(())
            }
            Some(Next::Frames(frames)) => write(socket, &frames, node).await,
            Some(Next::Answer { frames, send }) => {
                let written = write(socket, &frames, node).await;
                slot.outbound.answer_written(send);
                written
            }
            Some(Next::Ping(payload)) => unless_stalled(socket.ping(payload.as_bytes())).await,
            Some(Next::Pong(payload)) => unless_stalled(socket.pong(&payload)).await,
            Some(Next::Page(wanted)) => {
                catch_up::spawn(Rc::clone(slot), Arc::clone(node), wanted);
                Ok(())
            }
            Some(Next::Close(code)) => Err(Ended::Closed(code)),
            Some(Next::Goodbye(code)) => Err(Ended::Goodbye(code)),
            Some(Next::Gone) => Err(Ended::Gone),
        };
        if let Err(ended) = written {
            return ended;
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
