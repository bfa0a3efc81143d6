//! Certificates of the public listener.

use clap::Args;
use std::path::PathBuf;

/// Certificates of the public listener.
#[derive(Debug, Clone, Args)]
pub struct TlsSettings {
    /// Certificate chain, PEM: the public port then speaks https only. Read again on SIGHUP.
    #[arg(long = "tls-cert", env = "TLS_CERT")]
    pub cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long = "tls-key", env = "TLS_KEY")]
    pub key: Option<PathBuf>,
}

impl TlsSettings {
    /// Both files, where TLS is wanted.
    pub fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.cert.as_ref().zip(self.key.as_ref())
    }

    pub(super) fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match (&self.cert, &self.key) {
            (Some(_), None) => problems.push("TLS_CERT is set and TLS_KEY is not".to_owned()),
            (None, Some(_)) => problems.push("TLS_KEY is set and TLS_CERT is not".to_owned()),
            _ => {}
        }
        let before = problems.len();
        for (name, path) in [("TLS_CERT", &self.cert), ("TLS_KEY", &self.key)] {
            if let Some(path) = path
                && let Err(error) = std::fs::File::open(path)
            {
                problems.push(format!("{name}: cannot read {}: {error}", path.display()));
            }
        }
        if before == problems.len()
            && let Err(error) = crate::tls::Certificates::load(self)
        {
            problems.push(format!("{error:#}"));
        }
        problems
    }
}
