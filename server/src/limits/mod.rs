//! Who is asking from where, and how often they may: the resolved client address, token buckets
//! for frames and for HTTP, and caps on connections. Decisions only: doors and sessions ask here
//! and answer the refusal themselves. `RATE_LIMIT_DISABLED` lifts every rate and every cap per
//! address; it is a flag of each constructor.

pub mod address;
pub mod bucket;
pub mod connections;
pub mod takeover;
pub mod tier;

pub use address::{ClientAddress, Proxies};
pub use bucket::{FrameBuckets, FrameClass, Refusals, Take};
pub use connections::{Caps, ConnectionGuard, Connections};
pub use takeover::Takeovers;
pub use tier::{Admission, Tier, TierKey, Tiers};

/// Whether the limits of one constructor apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforcement {
    /// Limits apply.
    #[default]
    On,
    /// `RATE_LIMIT_DISABLED`: every rate and every cap per address is lifted.
    Lifted,
}
