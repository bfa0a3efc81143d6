//! Use cases as functions, one file per noun. Every door calls these and nothing below.

pub mod agent;
pub mod conversation;
pub mod device;
pub mod entry;
pub mod invite;
pub mod message;
pub mod session;
pub mod user;
pub mod wait;
pub mod whisper;

use protocol::ErrorCode;
use protocol::event::Refusal;
use store::StoreError;

/// What a failure of the store is to a caller; `missing` names what was looked for.
pub fn of_store(error: StoreError, missing: ErrorCode) -> Refusal {
    match error {
        StoreError::NotFound => Refusal::new(missing),
        StoreError::Conflict => Refusal::new(ErrorCode::Conflict),
        StoreError::Overloaded => Refusal::new(ErrorCode::Overloaded),
        StoreError::Unavailable => Refusal::new(ErrorCode::StorageUnavailable),
        StoreError::Unknown => Refusal::new(ErrorCode::Timeout),
        StoreError::Closed => Refusal::new(ErrorCode::ShuttingDown),
        StoreError::Internal(cause) => {
            tracing::error!(%cause, "the store failed");
            Refusal::new(ErrorCode::Internal)
        }
    }
}
