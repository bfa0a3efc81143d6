//! What the store's tests share: a temporary database, a sink that can be waited on, and
//! short words for people, agents and their conversations.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    unreachable_pub,
    reason = "a module of each test binary, which uses some of it"
)]

pub mod cluster;

use am_store::scratch::Scratch;
use am_store::{
    AgentFields, AgentKey, Append, BatchPermit, Clock, CommitSink, Conn, ConversationKey,
    FakeClock, Location, NewDirect, NewEntry, NewUser, Outcome, Overwrite, Principal, Role, Store,
    StoreConfig, StoreError, Stored, UserKey, agent, conversation, random_id, user,
};
use crossbeam_channel::{Receiver, Sender, unbounded};
use protocol::{AgentId, ClientMsgId, ConversationId, EntryKind, Timestamp, UserId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-01T00:00:00Z.
pub const NEW_YEAR: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// Longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Hands outcomes on.
pub struct Sink(pub Sender<Vec<Outcome>>);

impl CommitSink for Sink {
    fn reserve(&self) -> BatchPermit {
        BatchPermit(Box::new(()))
    }

    fn publish(&self, _permit: BatchPermit, outcomes: Vec<Outcome>) {
        let _ = self.0.send(outcomes);
    }
}

/// The backends that the story is told on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// Where tests may make databases, as an address of PostgreSQL; without it those tests only say
/// that they were not run, and with `AM_TEST_ALL` they fail.
const SERVER: &str = "AM_TEST_POSTGRES";

/// Makes a test of each function for each backend.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(super::common::Kind::Sqlite); })+
        }
        mod on_postgres {
            $(#[test] fn $name() {
                if super::common::postgres_server().is_some() {
                    super::$name(super::common::Kind::Postgres);
                }
            })+
        }
    };
}
pub(crate) use on_both;

/// The server's address, where there is one.
pub fn postgres_server() -> Option<String> {
    wanted(SERVER)
}

/// What the environment names for the fuller tests; without it a test says that it is not run,
/// and fails where `AM_TEST_ALL` asks for every test.
#[expect(clippy::print_stderr, reason = "a test that is not run says so")]
pub fn wanted(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        assert!(
            std::env::var_os("AM_TEST_ALL").is_none(),
            "{name} is not set, and AM_TEST_ALL asks for every test"
        );
        eprintln!("not run: {name} is not set");
    }
    value
}

/// What goes when a test is over.
pub enum Home {
    Folder(tempfile::TempDir),
    Database(Scratch),
}

/// A database of its own on the test server.
pub fn scratch() -> Scratch {
    Scratch::make(&postgres_server().expect("a server")).expect("may make databases")
}

pub fn on_server(server: &str, sql: &str) {
    use diesel::connection::{Connection, SimpleConnection};
    let mut conn = diesel::PgConnection::establish(server).expect("the test server answers");
    conn.batch_execute(sql).expect("may make databases");
}

impl Kind {
    /// An empty database.
    pub fn open(self) -> Db {
        self.with(|_| {})
    }

    /// With another configuration than the default.
    pub fn with(self, change: impl FnOnce(&mut StoreConfig)) -> Db {
        let (home, location) = match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("t.db");
                (Home::Folder(folder), Location::from(path))
            }
            Self::Postgres => {
                let database = scratch();
                let location = Location::from(database.url().clone());
                (Home::Database(database), location)
            }
        };
        let mut config = StoreConfig::at(location);
        change(&mut config);
        let mut db = Db::at(config);
        db.home = Some(home);
        db
    }
}

pub struct Db {
    pub store: Store,
    pub outcomes: Receiver<Vec<Outcome>>,
    pub clock: Arc<FakeClock>,
    pub config: StoreConfig,
    /// None where it belongs to another.
    pub home: Option<Home>,
}

impl Db {
    /// On SQLite.
    pub fn new() -> Self {
        Kind::Sqlite.open()
    }

    /// On SQLite, with another configuration than the default.
    pub fn with(change: impl FnOnce(&mut StoreConfig)) -> Self {
        Kind::Sqlite.with(change)
    }

    pub fn at(config: StoreConfig) -> Self {
        let clock = Arc::new(FakeClock::at(NEW_YEAR));
        let (send, outcomes) = unbounded();
        let store = Store::open(
            config.clone(),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::new(Sink(send)),
        )
        .unwrap();
        Self {
            store,
            outcomes,
            clock,
            config,
            home: None,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        path_of(&self.config)
    }

    /// Closes, and opens the same database again.
    pub fn reopen(self) -> Self {
        self.store.close();
        let mut again = Self::at(self.config.clone());
        again.home = self.home;
        again
    }

    /// Opens a copy of the files as they lie on the disk now: what a crash would leave.
    pub fn crashed_copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = self.config.clone();
        config.location = folder.path().join("t.db").into();
        for suffix in ["", "-wal"] {
            let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            std::fs::copy(name(self.path()), name(path_of(&config))).unwrap();
        }
        let mut copy = Self::at(config);
        copy.home = Some(Home::Folder(folder));
        copy
    }

    pub fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        wait(self.store.write(f))
    }

    pub fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        wait(self.store.read(f))
    }

    pub fn user(&self, name: &str) -> UserKey {
        let name = name.to_owned();
        self.write(move |conn| Ok(insert_user(conn, &name)?.key))
            .unwrap()
    }

    pub fn agent(&self, id: &str) -> AgentKey {
        let id = AgentId::parse(id).unwrap();
        let made = self
            .write(move |conn| agent::upsert(conn, &id, AgentFields::default(), Overwrite::All));
        made.unwrap().0.key
    }

    pub fn direct(&self, user: UserKey, agent: AgentKey) -> ConversationKey {
        self.write(move |conn| Ok(conversation::create_direct(conn, new_direct(user, agent))?.key))
            .unwrap()
    }

    /// A user, an agent, and their conversation.
    pub fn pair(&self) -> (Principal, Principal, ConversationKey) {
        self.pair_named("ada", "bot")
    }

    pub fn pair_named(&self, user: &str, agent: &str) -> (Principal, Principal, ConversationKey) {
        let (user, agent) = (self.user(user), self.agent(agent));
        (
            Principal::user(user),
            Principal::agent(agent),
            self.direct(user, agent),
        )
    }

    pub fn offer(&self, conversation: ConversationKey, tag: u64, entry: NewEntry) {
        let append = Append {
            conversation,
            tag,
            entry: Arc::new(entry),
        };
        while self.store.append(append.clone()).is_err() {
            std::thread::yield_now();
        }
    }

    /// The next `count` outcomes, in order.
    pub fn outcomes(&self, count: usize) -> Vec<Outcome> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(
                self.outcomes
                    .recv_timeout(PATIENCE)
                    .expect("outcomes in time"),
            );
        }
        assert_eq!(all.len(), count, "no more outcomes than appends");
        all
    }

    /// Sends one and waits for it.
    pub fn send(
        &self,
        conversation: ConversationKey,
        entry: NewEntry,
    ) -> Result<Stored, am_store::AppendError> {
        self.offer(conversation, 0, entry);
        self.outcomes(1).remove(0).result
    }
}

pub fn path_of(config: &StoreConfig) -> &Path {
    match &config.location {
        Location::Sqlite(path) => path,
        Location::Postgres(_) => panic!("no file"),
    }
}

pub fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, future).await })
        .expect("an answer in time")
}

pub fn insert_user(conn: &mut Conn, name: &str) -> Result<am_store::UserRow, StoreError> {
    let public_id = UserId::parse(random_id("user_")?).unwrap();
    let new = NewUser {
        public_id,
        username: name.into(),
        password_hash: "hash".into(),
        role: Role::Member,
    };
    user::insert(conn, new)
}

pub fn new_direct(user: UserKey, agent: AgentKey) -> NewDirect {
    let public_id = ConversationId::parse(random_id("conv_").unwrap()).unwrap();
    NewDirect {
        public_id,
        user,
        agent,
        title: None,
    }
}

pub fn text(sender: Principal, content: &str) -> NewEntry {
    NewEntry {
        kind: EntryKind::Message,
        sender,
        device: None,
        client_msg_id: None,
        content: content.into(),
        metadata: None,
    }
}

pub fn named(sender: Principal, name: &str, content: &str) -> NewEntry {
    NewEntry {
        client_msg_id: Some(ClientMsgId::parse(name.to_owned()).unwrap()),
        ..text(sender, content)
    }
}
