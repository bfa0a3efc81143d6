//! What comes from one socket: the stream is wrapped, so that with too much unanswered it is not
//! polled at all. TCP tells the peer.

use super::slot::Slot;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, ProtocolError};
use futures_core::Stream;
use protocol::CloseCode;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A socket's messages, paused while too much is unanswered.
pub(super) struct Inbound {
    messages: AggregatedMessageStream,
    slot: Rc<Slot>,
}

impl Inbound {
    /// Wraps a socket's messages.
    pub(super) const fn new(messages: AggregatedMessageStream, slot: Rc<Slot>) -> Self {
        Self { messages, slot }
    }
}

impl Stream for Inbound {
    type Item = Result<AggregatedMessage, ProtocolError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        ready!(this.slot.outbound.poll_may_read(cx));
        if this.slot.outbound.is_ending() {
            return Poll::Ready(None);
        }
        Pin::new(&mut this.messages).poll_next(cx)
    }
}

/// The close code for bytes that are not frames.
pub(super) fn close_code_of(error: &ProtocolError) -> CloseCode {
    match error {
        ProtocolError::Overflow => CloseCode::TooBig,
        // The aggregating stream reports an overflow of fragments as an I/O error.
        ProtocolError::Io(io) if io.to_string().contains("size") => CloseCode::TooBig,
        _ => CloseCode::BadFrame,
    }
}
