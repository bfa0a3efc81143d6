//! What an operator does with the binary: certificates and their renewal, sockets and words of
//! systemd, settings that are wrong.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use harness::PATIENCE;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const BINARY: &str = env!("CARGO_BIN_EXE_agent-messenger");

/// The binary with nothing of this process's environment that could be a setting.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/");
    command
}

/// Flags of a server that keeps to itself.
fn flags(data: &Path) -> Vec<String> {
    let data = data.display().to_string();
    let fixed = [
        "--port",
        "0",
        "--host",
        "127.0.0.1",
        "--admin-listen",
        "off",
    ];
    let mut flags: Vec<String> = fixed.iter().map(ToString::to_string).collect();
    flags.extend(["--data-dir".to_owned(), data]);
    flags
}

/// A running server, ended when dropped.
struct Running {
    child: Child,
    url: String,
    /// Open, so that the server may go on printing.
    _printed: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut printed = BufReader::new(child.stdout.take().expect("a pipe"));
        let url = loop {
            let mut line = String::new();
            let read = printed.read_line(&mut line).expect("text");
            assert!(read > 0, "it ended before it listened");
            if let Some(url) = line.strip_prefix("Agent Messenger listens on ") {
                break url.trim().to_owned();
            }
        };
        Self {
            child,
            url,
            _printed: printed,
        }
    }

    fn address(&self) -> SocketAddr {
        let (_, address) = self.url.split_once("://").expect("an address");
        address.parse().expect("an address")
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("signalled");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A certificate for localhost that signs itself, in two files.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let certificate = files.renew();
        (files, certificate)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let made = made.expect("a certificate");
        std::fs::write(self.path("cert.pem"), made.cert.pem()).expect("written");
        let key = made.signing_key.serialize_pem();
        std::fs::write(self.path("key.pem"), key).expect("written");
        made.cert.der().clone()
    }

    fn server(&self, data: &Path) -> Running {
        let mut server = command(BINARY);
        server
            .args(flags(data))
            .arg("--tls-cert")
            .arg(self.path("cert.pem"))
            .arg("--tls-key")
            .arg(self.path("key.pem"));
        Running::start(server)
    }
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

/// A request on a connection that stays open.
async fn health(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut bytes = vec![0; 4096];
    let count = stream.read(&mut bytes).await.expect("an answer");
    bytes.truncate(count);
    String::from_utf8(bytes).expect("text")
}

/// Until the server shows this certificate.
async fn until_shown(address: SocketAddr, certificate: &CertificateDer<'static>) {
    let start = Instant::now();
    while let Err(error) = connect(address, certificate).await {
        assert!(start.elapsed() < PATIENCE, "never shown: {error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[actix_rt::test]
async fn a_renewed_certificate_is_shown_after_sighup_and_old_connections_live_on() {
    let (files, first) = Files::new();
    let data = tempfile::tempdir().expect("a folder");
    let server = files.server(data.path());
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let address = server.address();
    let mut old = connect(address, &first).await.expect("trusted");
    let answer = health(&mut old).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("strict-transport-security"), "{answer}");

    let second = files.renew();
    server.signal(rustix::process::Signal::HUP);
    until_shown(address, &second).await;
    assert!(
        connect(address, &first).await.is_err(),
        "the old one is gone"
    );
    assert!(health(&mut old).await.starts_with("HTTP/1.1 200"));

    std::fs::write(files.path("key.pem"), "no key").expect("written");
    server.signal(rustix::process::Signal::HUP);
    // The signal has been handled when the next one is: a good pair again.
    connect(address, &second)
        .await
        .expect("a bad file changes nothing");
    let third = files.renew();
    server.signal(rustix::process::Signal::HUP);
    until_shown(address, &third).await;
}

#[actix_rt::test]
async fn a_socket_under_tls_chats_and_is_kept_like_any_other() {
    let (files, certificate) = Files::new();
    let data = tempfile::tempdir().expect("a folder");
    let server = files.server(data.path());
    let secret = std::fs::read_to_string(data.path().join("agent.secret")).expect("a secret");
    let path = format!(
        "wss://localhost/agent/connect?agent_id=bot&agent_secret={}",
        secret.trim()
    );
    let mut last = None;
    for _ in 0..2 {
        let tls = connect(server.address(), &certificate).await.expect("tls");
        let (mut socket, _) = tokio_tungstenite::client_async(path.as_str(), tls)
            .await
            .expect("let in");
        let welcome = futures_util::StreamExt::next(&mut socket).await;
        let text = welcome.expect("a frame").expect("a frame").into_text();
        assert!(text.expect("text").contains("\"connected\""));
        if let Some(mut replaced) = last.replace(socket) {
            let goodbye = futures_util::StreamExt::next(&mut replaced).await;
            let goodbye = goodbye.expect("a frame").expect("a close frame");
            assert!(goodbye.is_close(), "{goodbye:?}");
        }
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_at_start() {
    let (files, _) = Files::new();
    let (other, _) = Files::new();
    let data = tempfile::tempdir().expect("a folder");
    let ended = command(BINARY)
        .args(flags(data.path()))
        .arg("--tls-cert")
        .arg(files.path("cert.pem"))
        .arg("--tls-key")
        .arg(other.path("key.pem"))
        .output()
        .expect("ended");
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        said(&ended).contains("is not the key of"),
        "{}",
        said(&ended)
    );
}

fn said(ended: &Output) -> String {
    let both = [ended.stdout.as_slice(), ended.stderr.as_slice()].concat();
    String::from_utf8(both).expect("text")
}

#[actix_rt::test]
async fn a_socket_that_systemd_opened_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let data = tempfile::tempdir().expect("a folder");
    // The shell puts the listener where systemd would, and becomes the server.
    let mut server = command("/bin/sh");
    server
        .arg("-c")
        .arg("exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"")
        .arg(BINARY)
        .args(flags(data.path()))
        .stdin(Stdio::from(OwnedFd::from(listener)));
    let server = Running::start(server);
    assert_eq!(server.address(), address);
    let mut tcp = TcpStream::connect(address).await.expect("connected");
    tcp.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")
        .await
        .expect("written");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.contains(" 200 "), "{answer}");
}

#[test]
fn systemd_is_told_of_readiness_life_reloading_and_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let words = UnixDatagram::bind(&path).expect("a socket");
    words.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let hear = |wanted: &str| {
        let mut bytes = [0; 512];
        loop {
            let count = words.recv(&mut bytes).expect(wanted);
            let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
            if text.lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    let mut server = command(BINARY);
    server
        .args(flags(&folder.path().join("data")))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000");
    let mut server = Running::start(server);
    hear("READY=1");
    hear("WATCHDOG=1");
    server.signal(rustix::process::Signal::HUP);
    hear("RELOADING=1");
    hear("READY=1");
    server.signal(rustix::process::Signal::TERM);
    hear("STOPPING=1");
    assert!(server.child.wait().expect("ended").success());
}

#[test]
fn wrong_settings_are_told_all_at_once_and_nothing_is_created() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let settings = folder.path().join("am.toml");
    std::fs::write(&settings, "[server]\nprot = 1\n").expect("written");
    for task in [Some("check-config"), None] {
        let ended = command(BINARY)
            .args(task)
            .args(["--config".as_ref(), settings.as_os_str()])
            .env("DATA_DIR", &data)
            .env("JWT_TTL", "soon")
            .output()
            .expect("ended");
        assert_eq!(ended.status.code(), Some(2));
        let said = said(&ended);
        assert!(
            said.contains("am.toml:2: ") && said.contains("JWT_TTL: "),
            "{said}"
        );
        assert!(!data.exists());
    }
    let ended = command(BINARY).arg("check-config").output().expect("ended");
    assert_eq!(
        (ended.status.code(), said(&ended).as_str()),
        (Some(0), "configuration is valid\n")
    );
}

#[test]
fn log_lines_are_json_where_that_is_asked_for() {
    for (format, is_json) in [("json", true), ("pretty", false)] {
        let data = tempfile::tempdir().expect("a folder");
        let mut child = command(BINARY)
            .args(flags(data.path()))
            .args(["--log-format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut first = String::new();
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        log.read_line(&mut first).expect("a line");
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&first);
        assert_eq!(
            parsed.is_ok_and(|line| line["level"].is_string()),
            is_json,
            "{first}"
        );
        child.kill().expect("killed");
        child.wait().expect("gone");
        log.read_to_string(&mut first).expect("the rest");
    }
}

#[test]
fn with_postgresql_no_secret_is_made() {
    let data = tempfile::tempdir().expect("a folder");
    let ended = command(BINARY)
        .args(flags(data.path()))
        .env("DATABASE_URL", "postgres://127.0.0.1:1/log")
        .env("AGENT_SECRET", "an-agent-secret-for-tests")
        .output()
        .expect("ended");
    assert_eq!(ended.status.code(), Some(1));
    let said = said(&ended);
    assert!(said.contains("set JWT_SECRET, ADMIN_SECRET"), "{said}");
}
