//! The closed table of WebSocket close codes. Codes 1000 and 1001 are never used for trouble:
//! shipped clients swallow them without telling their user.

/// Why the server ends a socket. [`CloseCode::code`] is what the peer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// A frame or message exceeded the size limit.
    TooBig,
    /// Something broke on our side, or a send got no answer within 30 seconds.
    Internal,
    /// The server restarts; reconnect after a moment.
    Restart,
    /// The bytes were not a frame: invalid UTF-8, a broken WebSocket frame, a frame before `auth`.
    BadFrame,
    /// No credentials in time, or they expired or were revoked.
    Unauthenticated,
    /// A room key is invalid or revoked.
    KeyInvalid,
    /// There is no such room.
    NoSuchRoom,
    /// The room, or the server for this address, is full.
    Full,
    /// A newer connection of the same agent took its place; do not reconnect.
    Replaced,
    /// The peer accepted no byte for ten seconds; its messages wait in the log.
    TooSlow,
    /// Kicked, banned or deleted.
    Removed,
    /// The agent missed its heartbeat.
    HeartbeatMissed,
    /// A hundred refusals in ten seconds.
    RateLimited,
}

impl CloseCode {
    /// Every close code, in the order of the documents.
    pub const ALL: [Self; 13] = [
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::BadFrame,
        Self::Unauthenticated,
        Self::KeyInvalid,
        Self::NoSuchRoom,
        Self::Full,
        Self::Replaced,
        Self::TooSlow,
        Self::Removed,
        Self::HeartbeatMissed,
        Self::RateLimited,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::BadFrame => 4000,
            Self::Unauthenticated => 4001,
            Self::KeyInvalid => 4003,
            Self::NoSuchRoom => 4004,
            Self::Full => 4006,
            Self::Replaced => 4007,
            Self::TooSlow => 4008,
            Self::Removed => 4009,
            Self::HeartbeatMissed => 4010,
            Self::RateLimited => 4029,
        }
    }

    /// The reason text of the close frame (at most 123 bytes, RFC 6455 section 5.5).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooBig => "message too big",
            Self::Internal => "internal error",
            Self::Restart => "server restarting, reconnect",
            Self::BadFrame => "bad frame",
            Self::Unauthenticated => "authentication missing, expired or revoked",
            Self::KeyInvalid => "key invalid or revoked",
            Self::NoSuchRoom => "no such room",
            Self::Full => "full",
            Self::Replaced => "replaced by a newer connection, do not reconnect",
            Self::TooSlow => "reading too slowly, reconnect to continue",
            Self::Removed => "kicked, banned or deleted",
            Self::HeartbeatMissed => "heartbeat missed",
            Self::RateLimited => "too many refused frames",
        }
    }
}
