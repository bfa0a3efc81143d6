//! One file for each scenario: its parameters, its run, its report. Each makes one server (or
//! more), a cast, a crew; waits until nothing is under way; and judges.

pub mod all;
pub mod crash;
pub mod fanout;
pub mod floor;
pub mod history;
pub mod idle;
pub mod latency;
pub mod list;
pub mod offline;
pub mod race;
pub mod rooms;
pub mod stall;
pub mod start;
pub mod throughput;
