//! Limits that every door keeps. Those an operator may change are defaults here.

/// Longest WebSocket message (all fragments), bytes; `MAX_WS_MESSAGE_SIZE`.
pub const FRAME_BYTES: usize = 64 * 1024;
/// Longest message text after decoding, bytes.
pub const BODY_BYTES: usize = 32 * 1024;
/// Longest metadata object as JSON text, bytes.
pub const METADATA_BYTES: usize = 8 * 1024;
/// Longest HTTP request body outside uploads, bytes (a 32 KiB text may double in JSON escapes).
pub const REQUEST_BYTES: usize = 256 * 1024;
/// Longest `client_msg_id` or `Idempotency-Key`, bytes.
pub const CLIENT_MSG_ID_BYTES: usize = 128;
/// Longest agent id, characters of `[A-Za-z0-9._:@-]`.
pub const AGENT_ID_CHARS: usize = 128;
/// Longest device id, bytes.
pub const DEVICE_ID_BYTES: usize = 128;
/// Longest agent name, model, personality or specialty, bytes.
pub const AGENT_FIELD_BYTES: usize = 512;
/// Longest status text, bytes.
pub const STATUS_BYTES: usize = 64;
/// User name length, characters of `[A-Za-z0-9_]`.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=50;
/// New password length, characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 6..=128;
/// Largest history page, rows.
pub const PAGE_ROWS: usize = 200;
/// History page when the caller names no limit, rows.
pub const PAGE_ROWS_DEFAULT: usize = 50;
/// Largest history page, bytes of text.
pub const PAGE_BYTES: usize = 1024 * 1024;
/// One page of a session's catch-up, rows.
pub const CATCH_UP_ROWS: usize = 100;
/// One page of a session's catch-up, bytes of text.
pub const CATCH_UP_BYTES: usize = 256 * 1024;
/// Sends of one socket that are not yet acknowledged to it.
pub const IN_FLIGHT_SENDS: usize = 256;
/// Answers and errors that wait for one socket beside its acks.
pub const PENDING_ANSWERS: usize = 32;
/// Deliveries that wait for one socket, entries.
pub const DELIVERY_ENTRIES: usize = 256;
/// Deliveries that wait for one socket, bytes.
pub const DELIVERY_BYTES: usize = 1024 * 1024;
/// Submits that wait in one conversation.
pub const CONVERSATION_PERMITS: usize = 1024;
/// Entries that wait for the writer.
pub const WRITER_QUEUE: usize = 4096;
/// Entries of one transaction.
pub const WRITER_BATCH: usize = 1024;
/// Committed batches on their way to the sockets.
pub const BATCH_PERMITS: usize = 16;
/// Devices of one user; the least recently used goes.
pub const DEVICES_PER_USER: usize = 64;
/// Longest `wait` of a long-poll, seconds.
pub const WAIT_SECONDS: u64 = 60;
/// Long-polls of one principal that wait at once.
pub const WAITERS: usize = 16;
