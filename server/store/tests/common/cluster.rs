//! A PostgreSQL server of a test's own, that may be killed, and a wire to it that may be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The folder of `initdb` and `postgres`.
const BINARIES: &str = "AM_TEST_POSTGRES_BIN";

/// The folder of the server's programs, where there are any.
pub fn binaries() -> Option<PathBuf> {
    super::wanted(BINARIES).map(PathBuf::from)
}

/// A server in a folder of its own.
pub struct Cluster {
    pub folder: TempDir,
    pub port: u16,
    binaries: PathBuf,
    server: Option<Child>,
}

impl Cluster {
    /// Makes and starts one. `settings` are lines of its configuration; the files they name are put
    /// into the folder by `prepare`.
    pub fn start(settings: &str, prepare: impl FnOnce(&std::path::Path)) -> Option<Self> {
        let binaries = binaries()?;
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut cluster = Self {
            folder,
            port,
            binaries,
            server: None,
        };
        prepare(cluster.folder.path());
        cluster.give_away();
        let data = cluster.data();
        let made = cluster
            .command("initdb")
            .args(["-U", "postgres", "-A", "trust", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb");
        let defaults = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        let all = format!(
            "{defaults}\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n{settings}\n"
        );
        std::fs::write(data.join("postgresql.conf"), all).unwrap();
        cluster.run();
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The user that must own the files: the server refuses to be root.
    fn user() -> Option<(u32, u32)> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let line = passwd.lines().find(|line| line.starts_with("postgres:"))?;
        let mut fields = line.split(':').skip(2);
        let (user, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        is_root().then_some((user, group))
    }

    fn give_away(&self) {
        if let Some((user, group)) = Self::user() {
            let mut all = vec![self.folder.path().to_path_buf()];
            all.extend(
                std::fs::read_dir(self.folder.path())
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            for path in all {
                std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
            }
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.current_dir("/");
        if let Some((user, group)) = Self::user() {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server, and waits until it answers.
    pub fn run(&mut self) {
        self.spawn();
        let start = Instant::now();
        let url = self.url("postgres");
        while let Err(error) = try_connect(&url) {
            assert!(
                start.elapsed() < super::PATIENCE,
                "no answer: {error}\n{}",
                std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
            );
            std::thread::park_timeout(Duration::from_millis(20));
            // Sessions of a killed server may still be going: then it does not start.
            let ended = self
                .server
                .as_mut()
                .is_none_or(|server| server.try_wait().is_ok_and(|status| status.is_some()));
            if ended {
                self.spawn();
            }
        }
    }

    fn spawn(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let server = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
    }

    /// `kill -9` for the server and all its sessions: what a power cut leaves.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        // The sessions see their parent go and end; SIGQUIT would be polite.
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| {
        use std::os::unix::fs::MetadataExt;
        meta.uid() == 0
    })
}

pub fn try_connect(url: &str) -> Result<(), diesel::ConnectionError> {
    use diesel::connection::Connection;
    diesel::PgConnection::establish(url).map(drop)
}

/// What happens to the next COMMIT on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// It passes.
    Not = 0,
    /// The wire is cut before the server sees it.
    Before = 1,
    /// The server gets it, and the answer is lost.
    After = 2,
    /// The same, and nobody can connect any more.
    AfterAndStay = 3,
}

/// The wire was cut, and nobody can connect.
const STAYS_CUT: u8 = 13;

/// A wire to a server that can be cut at a COMMIT.
pub struct Wire {
    pub port: u16,
    cut: Arc<AtomicU8>,
}

impl Wire {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicU8::new(Cut::Not as u8));
        let shared = Arc::clone(&cut);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                if shared.load(Ordering::SeqCst) == STAYS_CUT {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", server)).unwrap();
                carry(near, far, Arc::clone(&shared));
            }
        });
        Self { port, cut }
    }

    /// Arms the next COMMIT.
    pub fn at_next_commit(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    /// Lets connections pass again.
    pub fn mend(&self) {
        self.cut.store(Cut::Not as u8, Ordering::SeqCst);
    }

    /// Whether the armed cut has happened.
    pub fn was_cut(&self) -> bool {
        let now = self.cut.load(Ordering::SeqCst);
        now == Cut::Not as u8 || now == STAYS_CUT
    }
}

fn carry(mut near: TcpStream, mut far: TcpStream, cut: Arc<AtomicU8>) {
    let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    let deaf = Arc::new(AtomicU8::new(0));
    let hears = Arc::clone(&deaf);
    std::thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = back_from.read(&mut bytes) {
            if hears.load(Ordering::SeqCst) == 1 || back_to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        drop(back_to.shutdown(Shutdown::Both));
    });
    std::thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = near.read(&mut bytes) {
            let now = cut.load(Ordering::SeqCst);
            let is_commit = bytes[..count].windows(7).any(|part| part == b"COMMIT\0");
            if is_commit && (1..=3).contains(&now) {
                if now == Cut::Before as u8 {
                    cut.store(Cut::Not as u8, Ordering::SeqCst);
                    break;
                }
                let after = if now == Cut::AfterAndStay as u8 {
                    STAYS_CUT
                } else {
                    Cut::Not as u8
                };
                cut.store(after, Ordering::SeqCst);
                // The server answers, nobody hears it, and the wire is cut.
                deaf.store(1, Ordering::SeqCst);
                far.write_all(&bytes[..count]).unwrap();
                std::thread::park_timeout(Duration::from_millis(100));
                break;
            }
            if far.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        drop(near.shutdown(Shutdown::Both));
        drop(far.shutdown(Shutdown::Both));
    });
}
