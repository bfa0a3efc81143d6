//! Load and failure benchmarks of Agent Messenger: a lean load client that counts what it sends
//! and checks what comes, a server of its own for each run, and one scenario for each promise
//! that has a number. It speaks only the public wire; `floor` alone calls the store directly.

pub mod body;
pub mod cast;
pub mod clock;
pub mod desk;
pub mod frame;
pub mod history;
pub mod meter;
pub mod peer;
pub mod progress;
pub mod reader;
pub mod report;
pub mod scenario;
pub mod server;
pub mod socket;
pub mod stage;
