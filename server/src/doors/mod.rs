//! The doors: one folder per dialect, each a set of routes and a codec between its wire and the
//! shared commands and events. A door guards, calls a use case and posts the consequence; it
//! holds no rule and no SQL. What all doors share (extractors, middleware, probes, how the
//! listeners are set up) lies here.

pub mod admin;
pub mod extract;
pub mod health;
pub mod listener;
pub mod messenger;
pub mod middleware;
