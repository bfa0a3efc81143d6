//! Builds everything in one place, knows the port, and stops in order.

mod announcement;
mod gauges;
mod health;
mod serve;

use crate::agent::AgentDeps;
use crate::auth::{Auth, AuthConfig, Secrets};
use crate::bus::{BatchPermits, LocalBus, Outlet};
use crate::config::{Config, LimitSettings};
use crate::conversation::Deps;
use crate::history::History;
use crate::limits::connections::Caps;
use crate::limits::{Connections, Proxies, Takeovers};
use crate::mailbox::post;
use crate::metrics::{Metrics, install_panic_hook};
use crate::node::{Node, SESSION_READS};
use crate::registry::{Directory, Hubs, PositionBook, Registry, Revoke, Waiters};
use crate::shutdown;
use crate::systemd::Inherited;
use crate::tls::Certificates;
use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};
use actix_web::dev::ServerHandle;
use anyhow::Context;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use store::{Clock, Location, Store, StoreConfig};
use tokio::sync::Semaphore;

/// Conversation and agent actors live on this many threads: the writer is the limit long before
/// they are.
const CONVERSATION_ARBITERS: usize = 1;

/// A running server.
pub struct Application {
    node: Arc<Node>,
    batches: Arc<BatchPermits>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    servers: Vec<ServerHandle>,
    arbiters: Vec<Arbiter>,
    secrets: Secrets,
    certificates: Option<Arc<Certificates>>,
}

impl Application {
    /// Opens the store, starts the actors, binds and serves. When this returns, the port answers.
    /// Must run inside an actix system.
    pub fn start(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Self::start_on(config, clock, Inherited::default())
    }

    /// The same, on listeners that are open already.
    pub fn start_on(
        config: Config,
        clock: Arc<dyn Clock>,
        inherited: Inherited,
    ) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new().context("metrics")?);
        install_panic_hook(Arc::clone(&metrics));
        let secrets = Secrets::load(
            &config.auth,
            &config.server.data_dir,
            !config.database.is_postgres(),
        )?;
        let certificates = Certificates::load(&config.tls)?;
        let (listener, admin_listener) = listeners(&config, inherited)?;
        let address = listener.local_addr()?;
        let admin_address = admin_listener
            .as_ref()
            .map(TcpListener::local_addr)
            .transpose()?;
        let ring = Ring::start(&config, &clock, &metrics)?;
        let auth = Auth::new(
            auth_config(&config, &secrets),
            ring.deps.store.clone(),
            Arc::clone(&clock),
        )?;
        let node = Arc::new(Node {
            heartbeat: config.agents.heartbeat(),
            sockets: Connections::new(caps(&config.limits), config.limits.enforcement()),
            takeovers: Takeovers::new(config.limits.enforcement()),
            config,
            clock,
            store: ring.deps.store,
            auth,
            directory: ring.deps.directory,
            registry: ring.registry,
            hubs: ring.deps.hubs,
            positions: PositionBook::default(),
            waiters: ring.deps.waiters,
            session_reads: Semaphore::new(SESSION_READS),
            metrics,
            history: History::default(),
            devices: dashmap::DashMap::new(),
            draining: AtomicBool::new(false),
        });
        gauges::keep(&node, &ring.batches);
        follow_revocations(&node);
        shutdown::sweep_now_and_then(&node);
        shutdown::record_each_minute(&node);
        announcement::put(&node.config.server.data_dir, admin_address);
        let servers = serve::all(&node, listener, admin_listener, certificates.as_ref())?;
        Ok(Self {
            node,
            batches: ring.batches,
            address,
            admin_address,
            servers,
            arbiters: ring.arbiters,
            secrets,
            certificates,
        })
    }

    /// Reads again what can change while the server runs: the certificate.
    pub fn reload(&self) {
        let Some(certificates) = &self.certificates else {
            return tracing::info!("nothing to read again: no TLS_CERT");
        };
        match certificates.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => {
                tracing::error!("the certificate stays as it was: {error:#}");
            }
        }
    }

    /// Whether people and agents reach it by https.
    pub const fn speaks_tls(&self) -> bool {
        self.certificates.is_some()
    }

    /// The threads beside the one that started it, for the watchdog.
    pub fn arbiters(&self) -> Vec<ArbiterHandle> {
        self.arbiters.iter().map(Arbiter::handle).collect()
    }

    /// Where people and agents reach it.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are, if anywhere.
    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The secrets, for the lines that main prints.
    pub const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// What this process is made of.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Stops in order: no new sockets, sockets told, queue finished, log flushed.
    pub async fn stop(self) {
        announcement::take_back(&self.node.config.server.data_dir);
        shutdown::drain(&self.node, &self.batches, &self.servers).await;
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}

/// The store and the actors around it.
struct Ring {
    deps: Deps,
    batches: Arc<BatchPermits>,
    registry: Addr<Registry>,
    arbiters: Vec<Arbiter>,
}

impl Ring {
    fn start(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let directory = Arc::new(Directory::default());
        let batches = BatchPermits::new(protocol::limits::BATCH_PERMITS);
        let bus = LocalBus::new(Arc::clone(&directory));
        let outlet = Outlet::new(
            Arc::clone(&batches),
            Arc::clone(&bus) as _,
            Arc::clone(metrics),
        );
        let store = Store::open(store_config(config)?, Arc::clone(clock), Arc::new(outlet))?;
        let arbiters: Vec<Arbiter> = (0..CONVERSATION_ARBITERS).map(|_| Arbiter::new()).collect();
        let deps = Deps {
            store,
            directory,
            hubs: Arc::new(Hubs::default()),
            waiters: Arc::new(Waiters::default()),
            metrics: Arc::clone(metrics),
        };
        let registry = start_registry(&arbiters, deps.clone())?;
        bus.serve(registry.clone());
        Ok(Self {
            deps,
            batches,
            registry,
            arbiters,
        })
    }
}

/// What systemd opened, or what the settings say.
fn listeners(
    config: &Config,
    inherited: Inherited,
) -> anyhow::Result<(TcpListener, Option<TcpListener>)> {
    let public = match inherited.public {
        Some(listener) => listener,
        None => bind(config)?,
    };
    let admin = match inherited.admin {
        Some(listener) => Some(listener),
        None => bind_admin(config)?,
    };
    Ok((public, admin))
}

fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let (host, port) = (config.server.host.as_str(), config.server.port);
    TcpListener::bind((host, port)).with_context(|| format!("cannot listen on {host}:{port}"))
}

fn bind_admin(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let address = config.server.admin_address().with_context(|| {
        format!(
            "ADMIN_LISTEN is {:?}, not an address such as 127.0.0.1:9464",
            config.server.admin_listen
        )
    })?;
    let Some(address) = address else {
        return Ok(None);
    };
    match TcpListener::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        // A second server on one machine must not fail for its metrics.
        Err(error) => {
            tracing::warn!(%address, %error, "no metrics: the admin listener cannot be bound (ADMIN_LISTEN)");
            Ok(None)
        }
    }
}

fn store_config(config: &Config) -> anyhow::Result<StoreConfig> {
    let plain = config.database.store(&config.server.data_dir);
    if let Location::Sqlite(file) = &plain.location
        && let Some(folder) = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(StoreConfig {
        node: config.server.node_id,
        ..plain
    })
}

fn auth_config(config: &Config, secrets: &Secrets) -> AuthConfig {
    let limited = !config.limits.rate_limit_disabled;
    AuthConfig {
        secrets: secrets.clone(),
        jwt_ttl: config.auth.jwt_ttl,
        registration: config.auth.registration(),
        agent_auth: config.auth.agent_auth,
        attempts_per_minute: NonZeroU32::new(config.limits.auth_rate_limit).filter(|_| limited),
    }
}

const fn caps(limits: &LimitSettings) -> Caps {
    Caps {
        per_address: limits.max_sockets_per_address,
        total: limits.max_sockets,
    }
}

fn start_registry(arbiters: &[Arbiter], deps: Deps) -> anyhow::Result<Addr<Registry>> {
    let handles: Vec<_> = arbiters.iter().map(Arbiter::handle).collect();
    let agent_deps = AgentDeps {
        store: deps.store.clone(),
        directory: Arc::clone(&deps.directory),
        hubs: Arc::clone(&deps.hubs),
    };
    let first = handles.first().context("no arbiter")?.clone();
    Ok(Registry::start_in_arbiter(&first, move |_| {
        Registry::new(deps, agent_deps, handles)
    }))
}

/// Ends the sockets of logins that end.
fn follow_revocations(node: &Arc<Node>) {
    let (registry, mut revoked) = (node.registry.clone(), node.auth.revocations());
    actix_rt::spawn(async move {
        while let Ok(sid) = revoked.recv().await {
            post(&registry, Revoke { sid });
        }
    });
}

/// The proxies that the settings name; they were checked when they were parsed.
fn proxies(config: &Config) -> anyhow::Result<Proxies> {
    Proxies::parse(&config.server.trusted_proxies).map_err(anyhow::Error::msg)
}
