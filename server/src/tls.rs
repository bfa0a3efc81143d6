//! The certificate of the public listener. It is read again when the operator says so (SIGHUP):
//! new connections get the new one, old ones live on, and a bad one changes nothing.

use crate::config::TlsSettings;
use anyhow::Context;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::PathBuf;
use std::sync::Arc;

/// The certificate in use and the files it came from.
#[derive(Debug)]
pub struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the files; `None` where TLS is not wanted.
    pub fn load(settings: &TlsSettings) -> anyhow::Result<Option<Arc<Self>>> {
        let Some((chain, key)) = settings.files() else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = read(chain, key, &provider)?;
        Ok(Some(Arc::new(Self {
            chain: chain.clone(),
            key: key.clone(),
            provider,
            current: RwLock::new(Arc::new(current)),
        })))
    }

    /// Reads the files again. After an error the old certificate stays in use.
    pub fn reload(&self) -> anyhow::Result<()> {
        let fresh = read(&self.chain, &self.key, &self.provider)?;
        *self.current.write() = Arc::new(fresh);
        Ok(())
    }

    /// For the listener. HTTP/2 and HTTP/1.1 are both offered: a WebSocket's client asks for
    /// HTTP/1.1, or for nothing.
    pub fn server_config(self: &Arc<Self>) -> anyhow::Result<ServerConfig> {
        Ok(
            ServerConfig::builder_with_provider(Arc::clone(&self.provider))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(self) as _),
        )
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

fn read(chain: &PathBuf, key: &PathBuf, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let (chain_shown, key_shown) = (chain.display(), key.display());
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("TLS_CERT: cannot use {chain_shown}"))?;
    anyhow::ensure!(
        !certificates.is_empty(),
        "TLS_CERT: {chain_shown} holds no certificate"
    );
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("TLS_KEY: cannot use {key_shown}"))?;
    let signing = provider
        .key_provider
        .load_private_key(private)
        .with_context(|| format!("TLS_KEY: cannot use {key_shown}"))?;
    let certified = CertifiedKey::new(certificates, signing);
    certified
        .keys_match()
        .with_context(|| format!("{key_shown} is not the key of {chain_shown}"))?;
    Ok(certified)
}
