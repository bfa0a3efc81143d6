//! Where Agent Messenger keeps its log. Diesel lives here and nowhere else: the schema, the one
//! writer with group commit, the read pool, and one module of plain functions for each noun.
//! Nothing here decides who may do what, and nothing here knows a socket.

mod backend;
mod config;
mod conn;
mod conversation_list;
mod error;
mod keys;
mod location;
mod postgres;
mod random;
mod reader;
mod schema;
mod sink;
mod sqlite;
mod statement;
mod store;
mod writer;

pub mod agent;
pub mod ban;
pub mod change;
pub mod clock;
pub mod conversation;
pub mod device;
pub mod floor;
pub mod invite;
pub mod login;
pub mod message;
pub mod migrate;
pub mod position;
pub mod read_mark;
pub mod scratch;
pub mod send;
pub mod server_state;
pub mod snowflake;
pub mod user;
pub mod verify;

pub use agent::{AgentFields, AgentRow, Overwrite};
pub use change::{ChangeKind, ChangePage, ChangeRow};
pub use clock::{Clock, FakeClock, SystemClock};
pub use config::{Gauges, PoolLimits, StoreConfig, Synchronous};
pub use conn::Conn;
pub use conversation::{
    ConversationKind, ConversationRow, ListCursor, ListItem, ListQuery, MemberRole, MemberRow,
    NewDirect,
};
pub use device::DeviceRow;
pub use error::{OpenError, StoreError};
pub use invite::InviteRow;
pub use keys::{AgentKey, ConversationKey, DeviceKey, Principal, UserKey};
pub use location::{Location, PostgresUrl};
pub use login::{LoginRow, NewLogin};
pub use message::{MessageRow, Page};
pub use position::{Behind, PositionUpdate};
pub use random::random_id;
pub use sink::{
    Append, AppendError, AppendRefusal, BatchPermit, CommitSink, NewEntry, Outcome, Stored,
};
pub use store::Store;
pub use user::{NewUser, Role, UserRow};
