//! The server under test: a child process of its own on a free port of the loopback, with a
//! data directory on a real disk that is removed afterwards; or one that runs already. Also what
//! the kernel says about its memory and time.

use anyhow::{Context, anyhow, bail, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const AGENT_SECRET: &str = "bench-agent-secret-0123456789abcdef0123456789abcdef";
const JWT_SECRET: &str = "bench-jwt-secret-0123456789abcdef0123456789abcdef00";
const ADMIN_SECRET: &str = "bench-admin-secret-0123456789abcdef0123456789abcd";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How to start servers.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The `agent-messenger` binary.
    pub binary: PathBuf,
    /// Where data directories are made.
    pub data_root: PathBuf,
    /// Settings beside those that every run needs.
    pub settings: Vec<(String, String)>,
}

/// A server under test.
pub struct Server {
    launch: Option<Launch>,
    child: Option<Child>,
    data: Option<TempDir>,
    address: SocketAddr,
    admin_port: u16,
    agent_secret: String,
    /// From spawn to the first answer that it is ready.
    pub ready_after: Duration,
}

/// What the kernel says about a process.
#[derive(Debug, Default, Clone, Copy)]
pub struct Usage {
    /// CPU time so far, seconds.
    pub cpu_s: f64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// The most it ever was, bytes.
    pub rss_peak_bytes: u64,
}

impl Server {
    /// Starts a server on an empty data directory and waits until it is ready.
    pub async fn start(launch: &Launch) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&launch.data_root)?;
        let data = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&launch.data_root)?;
        let mut server = Self {
            launch: Some(launch.clone()),
            child: None,
            data: Some(data),
            address: free_address()?,
            admin_port: free_address()?.port(),
            agent_secret: AGENT_SECRET.to_owned(),
            ready_after: Duration::ZERO,
        };
        server.spawn().await?;
        Ok(server)
    }

    /// A server that runs already, elsewhere on this machine.
    pub fn attach(url: &str, agent_secret: &str) -> anyhow::Result<Self> {
        let host = url
            .strip_prefix("http://")
            .context("the URL must begin with http://")?;
        let address: SocketAddr = host
            .trim_end_matches('/')
            .replace("localhost", "127.0.0.1")
            .parse()?;
        ensure!(
            address.ip().is_loopback(),
            "only a server on the loopback is measured"
        );
        let agent_secret = agent_secret.to_owned();
        Ok(Self {
            launch: None,
            child: None,
            data: None,
            address,
            admin_port: 0,
            agent_secret,
            ready_after: Duration::ZERO,
        })
    }

    /// Ends the server at once, as a power cut would for its process.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let child = self
            .child
            .as_mut()
            .context("a server that was not started here cannot be killed")?;
        child.kill().await?;
        self.child = None;
        Ok(())
    }

    /// Starts it again on the same data directory and address.
    pub async fn spawn(&mut self) -> anyhow::Result<()> {
        let launch = self
            .launch
            .as_ref()
            .context("a server that was not started here cannot be started")?;
        let data = self.data.as_ref().context("no data directory")?.path();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data.join("server.log"))?;
        let begin = Instant::now();
        let child = Command::new(&launch.binary)
            .env("HOST", self.address.ip().to_string())
            .env("PORT", self.address.port().to_string())
            .env("ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin_port))
            .env("DATA_DIR", data)
            .env("DB_PATH", data.join("bench.db"))
            .env("AGENT_SECRET", AGENT_SECRET)
            .env("JWT_SECRET", JWT_SECRET)
            .env("ADMIN_SECRET", ADMIN_SECRET)
            .env("RATE_LIMIT_DISABLED", "1")
            .env("LOG_LEVEL", "warn")
            .envs(launch.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", launch.binary.display()))?;
        self.child = Some(child);
        self.ready(begin).await?;
        self.ready_after = begin.elapsed();
        Ok(())
    }

    async fn ready(&mut self, begin: Instant) -> anyhow::Result<()> {
        while begin.elapsed() < READY_WITHIN {
            if is_ready(self.address).await {
                return Ok(());
            }
            if let Some(status) = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten())
            {
                bail!(
                    "the server ended before it was ready ({status}):\n{}",
                    self.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(anyhow!(
            "the server was not ready within {READY_WITHIN:?}:\n{}",
            self.log_tail()
        ))
    }

    /// The last lines that the server wrote.
    pub fn log_tail(&self) -> String {
        let path = self
            .data
            .as_ref()
            .map(|data| data.path().join("server.log"));
        let text = path
            .and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(20)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The shared secret of agents.
    pub fn agent_secret(&self) -> &str {
        &self.agent_secret
    }

    /// Memory and time of the process; `None` if it was not started here.
    pub fn usage(&self) -> Option<Usage> {
        usage(&self.child.as_ref()?.id()?.to_string())
    }

    /// The database file; `None` if it was not started here.
    pub fn database(&self) -> Option<PathBuf> {
        Some(self.data.as_ref()?.path().join("bench.db"))
    }

    /// Size of the write-ahead log, bytes; 0 if it is not there.
    pub fn wal_bytes(&self) -> u64 {
        let path = self
            .data
            .as_ref()
            .map(|data| data.path().join("bench.db-wal"));
        path.and_then(|path| path.metadata().ok())
            .map_or(0, |metadata| metadata.len())
    }
}

/// Memory and time of a process of this machine (`self` is this one).
pub fn usage(process: &str) -> Option<Usage> {
    let folder = Path::new("/proc").join(process);
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let line = |name: &str| -> Option<u64> {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
            .map(|kib| kib * 1024)
    };
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name stands in brackets and may hold spaces; user and system time are 12th and 13th after it.
    let after = stat.rsplit_once(')')?.1;
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let cpu_s = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some(Usage {
        cpu_s,
        rss_bytes: line("VmRSS:")?,
        rss_peak_bytes: line("VmHWM:")?,
    })
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0_u8; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<bool, std::io::Error>(answer.ends_with(b" 200"))
    };
    tokio::time::timeout(Duration::from_secs(1), ask)
        .await
        .is_ok_and(|answer| answer.unwrap_or(false))
}
