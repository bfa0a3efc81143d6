//! What every request passes on its way in and out, in one place and one order: address and
//! request id, then origin, then rate, then the route; and back: rate, origin and security
//! headers, one log line, the counters. Each part is a pure decision in a file of its own; only
//! `edge` touches actix. Wrap the whole application with `from_fn(edge)` and hand it an
//! [`Edge`] as `web::Data`.

mod edge;
pub mod origin;
mod rate;
pub mod request_id;
pub mod security;

pub use edge::{Edge, edge};
pub use rate::Identify;

#[cfg(test)]
pub(crate) use edge::tests;
