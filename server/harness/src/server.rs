//! A real server in this process, on a thread and a system of its own.

use crate::{ADMIN_SECRET, AGENT_SECRET, Http, PATIENCE};
use agent_messenger::application::Application;
use agent_messenger::config::{Config, Environment};
use agent_messenger::metrics::Metrics;
use agent_messenger::registry::Directory;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use store::{Clock, SystemClock};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// How a test server differs from the default.
pub struct Options {
    /// Flags beside those that every test server gets.
    pub flags: Vec<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// A data folder that outlives the server; `None`: one of its own.
    pub data: Option<PathBuf>,
    /// Rates are kept.
    pub rates: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flags: Vec::new(),
            clock: Arc::new(SystemClock),
            data: None,
            rates: false,
        }
    }
}

impl Options {
    /// The defaults with these flags.
    pub fn with_flags(flags: &[&str]) -> Self {
        Self {
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// What the server's thread tells when it runs.
struct Started {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    setup_token: String,
}

/// A running server; stopping it checks that nothing is left behind.
pub struct TestServer {
    started: Started,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    stopped: Receiver<()>,
    folder: Option<TempDir>,
    data: PathBuf,
}

impl TestServer {
    /// A server with the defaults of tests: no rates, loopback, port 0.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// A server with options.
    pub fn with(options: Options) -> Self {
        let folder = options
            .data
            .is_none()
            .then(|| TempDir::new().expect("a temporary folder"));
        let data = options
            .data
            .clone()
            .unwrap_or_else(|| folder.as_ref().expect("a folder").path().join("data"));
        let config = config_of(&options, &data);
        let (tell, told) = channel();
        let (tell_stopped, stopped) = channel();
        let (stop, stop_wanted) = oneshot::channel();
        let clock = options.clock;
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let application = match Application::start(config, clock) {
                    Ok(application) => application,
                    Err(error) => {
                        tell.send(Err(format!("{error:#}")))
                            .expect("the test waits");
                        return;
                    }
                };
                let node = application.node();
                let started = Started {
                    address: application.address(),
                    admin_address: application.admin_address(),
                    directory: Arc::clone(&node.directory),
                    metrics: Arc::clone(&node.metrics),
                    setup_token: setup_token(&application),
                };
                tell.send(Ok(started)).expect("the test waits");
                drop(stop_wanted.await);
                application.stop().await;
                tell_stopped.send(()).ok();
            });
        });
        let started = told
            .recv_timeout(PATIENCE)
            .expect("the server starts in time");
        let started = started.unwrap_or_else(|error| panic!("the server did not start: {error}"));
        Self {
            started,
            stop: Some(stop),
            thread: Some(thread),
            stopped,
            folder,
            data,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.started.address
    }

    /// `http://…`
    pub fn url(&self) -> String {
        format!("http://{}", self.started.address)
    }

    /// `http://…` of the admin listener.
    pub fn admin_url(&self) -> String {
        format!(
            "http://{}",
            self.started.admin_address.expect("an admin listener")
        )
    }

    /// A client over HTTP of the admin listener.
    pub fn admin(&self) -> Http {
        Http::new(self.admin_url())
    }

    /// A client over HTTP.
    pub fn http(&self) -> Http {
        Http::new(self.url())
    }

    /// Who is where.
    pub fn directory(&self) -> &Directory {
        &self.started.directory
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.started.metrics
    }

    /// Makes the first owner.
    pub fn setup_token(&self) -> &str {
        &self.started.setup_token
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.data.join("agent-messenger.db")
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Stops it in order; a new server may be started on [`TestServer::data`] if that was given.
    pub fn stop(mut self) {
        self.stop_and_check();
    }

    fn stop_and_check(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
            self.stopped
                .recv_timeout(PATIENCE)
                .expect("the server drains in time");
            let counts = self.started.directory.counts();
            assert_eq!(counts.sessions, 0, "sessions are left after the drain");
            assert_eq!(
                self.started.directory.pending_submits(),
                0,
                "submits are left after the drain"
            );
            if let Some(thread) = self.thread.take() {
                thread.join().expect("the server's thread did not panic");
            }
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop_and_check();
        }
        drop(self.folder.take());
    }
}

fn setup_token(application: &Application) -> String {
    use secrecy::ExposeSecret;
    application
        .node()
        .auth
        .setup_token()
        .expose_secret()
        .to_owned()
}

fn config_of(options: &Options, data: &Path) -> Config {
    let data = data.to_str().expect("a plain path");
    let rates = if options.rates { "0" } else { "1" };
    let fixed = [
        "agent-messenger",
        "--port",
        "0",
        "--host",
        "127.0.0.1",
        "--admin-listen",
        "127.0.0.1:0",
        "--data-dir",
        data,
        "--agent-secret",
        AGENT_SECRET,
        "--admin-secret",
        ADMIN_SECRET,
        "--rate-limit-disabled",
        rates,
        "--workers",
        "2",
    ];
    let args = fixed
        .into_iter()
        .map(OsString::from)
        .chain(crate::postgres::flags().into_iter().map(OsString::from))
        .chain(options.flags.iter().map(OsString::from));
    Config::parse_from_args(args, &Environment::new()).unwrap_or_else(|error| panic!("{error}"))
}
