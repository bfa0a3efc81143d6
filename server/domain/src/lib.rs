//! The rules of Agent Messenger: values in, decision out. No async, no I/O, no clock, no
//! randomness, no SQL, no wire types beyond ids and kinds. Whoever acts on a decision lives in
//! a higher crate.

pub mod feed;
pub mod message;
pub mod own;
