//! The doors: one folder per dialect, each a set of routes and a codec between its wire and the
//! shared commands and events. A door guards, calls a use case and posts the consequence; it
//! holds no rule and no SQL. What all doors share (extractors, middleware, probes) lies here.

pub mod extract;
pub mod middleware;
