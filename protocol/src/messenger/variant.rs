//! The frames that a socket gets depend on who it is and what it asked for.

/// What kind of client a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Variant {
    /// A user on v1 that named its device: `message` only.
    UserDevice,
    /// A user on v1: `message`, `agent_message`, `chat`.
    UserV1,
    /// A user without sub-protocol: `message`, `agent_message`, its own ack also as `user_message`.
    UserPlain,
    /// The same with an `Authorization` header: its own messages are echoed to it.
    Android,
    /// An agent without sub-protocol: `message`, `user_message`.
    AgentPlain,
    /// An agent on v1: also `conversation_created`.
    AgentV1,
    /// A user on v2: one frame an event.
    UserV2,
    /// An agent on v2.
    AgentV2,
}

impl Variant {
    /// Every variant, at its number.
    pub const ALL: [Self; 8] = [
        Self::UserDevice,
        Self::UserV1,
        Self::UserPlain,
        Self::Android,
        Self::AgentPlain,
        Self::AgentV1,
        Self::UserV2,
        Self::AgentV2,
    ];

    /// The variant with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether it speaks v2.
    pub const fn is_v2(self) -> bool {
        matches!(self, Self::UserV2 | Self::AgentV2)
    }

    /// Whether it is an agent's.
    pub const fn is_agent(self) -> bool {
        matches!(self, Self::AgentPlain | Self::AgentV1 | Self::AgentV2)
    }

    /// Its name in golden files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserDevice => "user_device",
            Self::UserV1 => "user_v1",
            Self::UserPlain => "user_plain",
            Self::Android => "android",
            Self::AgentPlain => "agent_plain",
            Self::AgentV1 => "agent_v1",
            Self::UserV2 => "user_v2",
            Self::AgentV2 => "agent_v2",
        }
    }
}
