//! Who is asking.

use serde::{Deserialize, Serialize};

/// What a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// The server itself.
    System,
    /// A person with an account.
    User,
    /// A global agent.
    Agent,
    /// An agent of one room, let in by an invite key.
    RoomAgent,
    /// A member of an open space, let in by its code.
    Guest,
}

impl PrincipalKind {
    /// The number under which the database keeps this kind.
    pub const fn as_i16(self) -> i16 {
        match self {
            Self::System => 0,
            Self::User => 1,
            Self::Agent => 2,
            Self::RoomAgent => 3,
            Self::Guest => 4,
        }
    }

    /// The kind as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Agent => "agent",
            Self::RoomAgent => "room_agent",
            Self::Guest => "guest",
        }
    }

    /// The kind that the database keeps under `number`.
    pub const fn from_i16(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::System),
            1 => Some(Self::User),
            2 => Some(Self::Agent),
            3 => Some(Self::RoomAgent),
            4 => Some(Self::Guest),
            _ => None,
        }
    }
}

/// A principal as others see it: its kind and its public id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Party {
    /// What it is.
    pub kind: PrincipalKind,
    /// Its public id: `user_…` for users, the chosen id for agents.
    pub id: bytestring::ByteString,
}

impl Party {
    /// A party of `kind` known as `id`.
    pub fn new(kind: PrincipalKind, id: impl Into<bytestring::ByteString>) -> Self {
        Self {
            kind,
            id: id.into(),
        }
    }
}
