//! What only SQLite needs: the file and its lock, the pragmas, the checkpoints of its WAL.

pub(crate) mod checkpoint;
pub(crate) mod open;
