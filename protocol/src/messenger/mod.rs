//! The messenger dialect: how commands and events look to the clients of the Go messenger (v1)
//! and to ours (v2).
