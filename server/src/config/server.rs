//! Where the server listens.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the server listens.
#[derive(Debug, Clone, Args)]
pub struct ServerSettings {
    /// Port for people and agents; 0 takes a free one.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Address to listen on. All interfaces by default, so that a phone in the same network gets
    /// in; accounts stay closed to it all the same (see --registration).
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,
    /// Folder for the database and the generated secrets.
    #[arg(long, env = "DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// Listener for metrics and administration; `off` for none. Never expose it.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9464")]
    pub admin_listen: String,
    /// Serve /metrics on the public port too.
    #[arg(
        long = "metrics-public",
        env = "METRICS_PUBLIC",
        default_value_t = false,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub metrics_public: bool,
    /// Addresses of reverse proxies whose forwarding headers are believed, as a comma list of
    /// CIDRs. Loopback always is.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "", value_parser = proxies)]
    pub trusted_proxies: String,
    /// Web pages that may call this server, as a comma list of origins; `*` for all. Its own
    /// origin always may.
    #[arg(long, env = "CORS_ALLOWED_ORIGINS", default_value = "")]
    pub cors_allowed_origins: String,
    /// Threads that serve sockets and requests; 0 for one less than there are cores.
    #[arg(long, env = "WORKERS", default_value_t = 0)]
    pub workers: usize,
    /// Number of this node, 0 to 1023; part of message ids.
    #[arg(long, env = "NODE_ID", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1023))]
    pub node_id: u16,
}

impl ServerSettings {
    /// The admin listener, if there is one.
    pub fn admin_address(&self) -> Result<Option<SocketAddr>, std::net::AddrParseError> {
        match self.admin_listen.as_str() {
            "off" | "" => Ok(None),
            address => address.parse().map(Some),
        }
    }
}

impl ServerSettings {
    pub(super) fn check(&self) -> Vec<String> {
        let wrong = self.admin_address().is_err();
        let text = || {
            format!(
                "ADMIN_LISTEN is {:?}, not an address such as 127.0.0.1:9464, or off",
                self.admin_listen
            )
        };
        wrong.then(text).into_iter().collect()
    }
}

fn proxies(text: &str) -> Result<String, String> {
    crate::limits::Proxies::parse(text).map(|_| text.to_owned())
}
