//! The admin listener: loopback unless `ADMIN_LISTEN` says otherwise. Now it serves `/metrics`
//! and `/health` with the depth of every queue beside the public fields; the admin API joins it
//! later. It has no credentials of its own: who can reach it may read it.

mod telemetry;

pub use telemetry::{metrics, routes};
