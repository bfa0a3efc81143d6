//! The database's own integer keys, which never leave the process, and the principal made of
//! one of them. Public ids are in `protocol::id`.

use protocol::PrincipalKind;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);
    };
}

key!(
    /// A row of `users`.
    UserKey
);
key!(
    /// A row of `agents`.
    AgentKey
);
key!(
    /// A row of `conversations`.
    ConversationKey
);
key!(
    /// A row of `devices`.
    DeviceKey
);

/// Who acts: a kind, and the key of the row in that kind's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// Which table.
    pub kind: PrincipalKind,
    /// Which row of it; 0 for the server itself.
    pub key: i64,
}

impl Principal {
    /// The server itself.
    pub const SYSTEM: Self = Self {
        kind: PrincipalKind::System,
        key: 0,
    };

    /// A user.
    pub const fn user(key: UserKey) -> Self {
        Self {
            kind: PrincipalKind::User,
            key: key.0,
        }
    }

    /// A global agent.
    pub const fn agent(key: AgentKey) -> Self {
        Self {
            kind: PrincipalKind::Agent,
            key: key.0,
        }
    }
}

/// An enum that the database keeps as a small number.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The number under which the database keeps it.
            pub const fn as_i16(self) -> i16 {
                match self { $(Self::$variant => $number),+ }
            }

            /// What the database keeps under `number`.
            pub const fn from_i16(number: i16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use numbered;
