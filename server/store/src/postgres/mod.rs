//! What only PostgreSQL needs: the way to the server, the advisory lock that stands for "one
//! writer per database", the look at what the database is before anything is written to it, and
//! what a session is set to.

mod conninfo;
mod tls;

use crate::config::{StoreConfig, Synchronous};
use crate::error::OpenError;
use crate::location::{Location, PostgresUrl};
use crate::migrate::{self, Contents, MARK};
use conninfo::Way;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use std::time::{Duration, Instant};

pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The key of the advisory lock: `agentmsg` as a number.
const LOCK: i64 = i64::from_be_bytes(*b"agentmsg");
/// The oldest server whose SQL we speak.
const OLDEST: i64 = 130_000;
/// How long a server may take to let go of a session whose connection broke.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_NAP: Duration = Duration::from_millis(50);

/// A server that connections are made to.
pub(crate) struct Server {
    place: Location,
    way: Way,
}

impl Server {
    /// Reads the address and opens the way: a TLS tunnel where the address asks for one.
    pub(crate) fn new(url: &PostgresUrl) -> Result<Self, OpenError> {
        let place = Location::Postgres(url.clone());
        let way = Way::of(url).map_err(|text| OpenError::said(&place, &text))?;
        Ok(Self { place, way })
    }

    fn connect(&self) -> Result<PgConnection, OpenError> {
        PgConnection::establish(self.way.conninfo()).map_err(|error| OpenError::Unreachable {
            place: self.place.clone(),
            text: error.to_string().trim().replace('\n', " "),
        })
    }

    fn said(&self, error: &diesel::result::Error) -> OpenError {
        OpenError::said(&self.place, &error.to_string())
    }
}

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct About {
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Bool)]
    read_only: bool,
    #[diesel(sql_type = Bool)]
    forgetful: bool,
}

/// Opens the writer's connection: the lock, the look, the schema.
pub(crate) fn open_writer(
    server: &Server,
    config: &StoreConfig,
) -> Result<PgConnection, OpenError> {
    let mut conn = locked(server)?;
    if let Contents::Ours(applied) = inspect(&mut conn, server)? {
        migrate::refuse_newer(&applied, &server.place)?;
    }
    migrate::run_pending(&mut conn, MIGRATIONS)
        .map_err(|text| OpenError::said(&server.place, &text))?;
    prepare_writer(&mut conn, config).map_err(|error| server.said(&error))?;
    Ok(conn)
}

/// Opens the writer's connection again. The old session may still hold the lock for a moment;
/// when it is ours, whatever that session had sent is decided.
pub(crate) fn reopen_writer(
    server: &Server,
    config: &StoreConfig,
) -> Result<PgConnection, OpenError> {
    let mut conn = server.connect()?;
    let start = Instant::now();
    while !try_lock(&mut conn, server)? {
        if start.elapsed() > LOCK_PATIENCE {
            return Err(OpenError::Locked(server.place.clone()));
        }
        std::thread::park_timeout(LOCK_NAP);
    }
    prepare_writer(&mut conn, config).map_err(|error| server.said(&error))?;
    Ok(conn)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(
    server: &Server,
    config: &StoreConfig,
) -> Result<PgConnection, OpenError> {
    let mut conn = server.connect()?;
    let timeout_ms = config.read_timeout.map_or(0, |timeout| timeout.as_millis());
    let set = format!(
        "SET default_transaction_read_only = on; SET statement_timeout = {timeout_ms}; \
         SET idle_in_transaction_session_timeout = {timeout_ms};"
    );
    conn.batch_execute(&set)
        .map_err(|error| server.said(&error))?;
    Ok(conn)
}

/// A connection that holds the lock, to a server that we can use.
pub(crate) fn locked(server: &Server) -> Result<PgConnection, OpenError> {
    const ABOUT: &str = "SELECT current_setting('server_version_num')::bigint AS version, \
         pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only, \
         current_setting('fsync') = 'off' AS forgetful";
    let mut conn = server.connect()?;
    let about: About = diesel::sql_query(ABOUT)
        .get_result(&mut conn)
        .map_err(|error| server.said(&error))?;
    if about.version < OLDEST {
        return Err(OpenError::TooOld {
            place: server.place.clone(),
            version: (about.version / 10_000).to_string(),
        });
    }
    if about.read_only {
        return Err(OpenError::ReadOnly(server.place.clone()));
    }
    if about.forgetful {
        tracing::warn!(
            "the database server runs with fsync = off: a power failure there loses acknowledged messages"
        );
    }
    if !try_lock(&mut conn, server)? {
        return Err(OpenError::Locked(server.place.clone()));
    }
    Ok(conn)
}

fn try_lock(conn: &mut PgConnection, server: &Server) -> Result<bool, OpenError> {
    let lock = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS yes").bind::<BigInt, _>(LOCK);
    lock.get_result::<Truth>(conn)
        .map(|taken| taken.yes)
        .map_err(|error| server.said(&error))
}

/// A commit waits for the disk, even where the server's own default is not to; a stronger
/// default (a synchronous replica) stays.
fn prepare_writer(conn: &mut PgConnection, config: &StoreConfig) -> QueryResult<()> {
    const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') = 'off'";
    conn.batch_execute(match config.synchronous {
        Synchronous::Full => DURABLE,
        Synchronous::Normal => "SET synchronous_commit = off",
    })?;
    // A batch is small change; a statement that takes this long waits for somebody's lock.
    conn.batch_execute("SET statement_timeout = '20s'; SET lock_timeout = '5s';")
}

const TABLES: &str =
    "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()";

/// Looks at what is in the database without writing.
pub(crate) fn inspect(conn: &mut PgConnection, server: &Server) -> Result<Contents, OpenError> {
    let said = |error: diesel::result::Error| server.said(&error);
    let tables: Vec<Named> = diesel::sql_query(TABLES).load(conn).map_err(said)?;
    let has = |name: &str| tables.iter().any(|table| table.name == name);
    if tables
        .iter()
        .all(|table| table.name == "__diesel_schema_migrations")
    {
        return Ok(Contents::Empty);
    }
    if has("server_state") && has("__diesel_schema_migrations") && is_marked(conn) {
        const APPLIED: &str =
            "SELECT version AS name FROM __diesel_schema_migrations ORDER BY version";
        let versions: Vec<Named> = diesel::sql_query(APPLIED).load(conn).map_err(said)?;
        return Ok(Contents::Ours(
            versions.into_iter().map(|version| version.name).collect(),
        ));
    }
    if has("offline_queue") || has("schema_migrations") {
        return Err(OpenError::GoMessenger(server.place.clone()));
    }
    Err(OpenError::Foreign(server.place.clone()))
}

fn is_marked(conn: &mut PgConnection) -> bool {
    const MARKED: &str = "SELECT EXISTS (SELECT 1 FROM server_state \
         WHERE name = 'schema' AND value = convert_to($1, 'UTF8')) AS yes";
    let marked = diesel::sql_query(MARKED).bind::<Text, _>(MARK);
    marked
        .get_result::<Truth>(conn)
        .is_ok_and(|marked| marked.yes)
}
