//! TLS to the database without OpenSSL: libpq speaks plainly to a socket file of ours (in a folder
//! that only this user can enter), and what arrives there is carried to the server inside rustls,
//! after PostgreSQL's own `SSLRequest` (protocol documentation, "SSL Session Encryption").

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

/// How long connecting and the handshake may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The kernel gives up on a server that acknowledges nothing for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Length 8 and the code 1234.5679.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What libpq calls `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// TLS where the server offers it, whoever it is.
    Prefer,
    /// TLS, whoever it is.
    Require,
    /// TLS, with a certificate of a known authority.
    VerifyCa,
    /// TLS, with a certificate of a known authority for this host.
    VerifyFull,
}

/// Where a tunnel leads.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) mode: Mode,
    /// PEM; otherwise the system's authorities.
    pub(super) root_cert: Option<PathBuf>,
    /// Certificate chain and key of this client, PEM.
    pub(super) client_cert: Option<(PathBuf, PathBuf)>,
}

/// An open tunnel; closed with its folder when dropped.
pub(super) struct Tunnel {
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// Makes the folder and listens there.
    pub(super) fn open(target: Target) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("cannot open a way to the database: {error}");
        let connector = TlsConnector::from(Arc::new(client_config(&target)?));
        let folder = tempfile::Builder::new()
            .prefix("am-pg-")
            .tempdir()
            .map_err(said)?;
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join(".s.PGSQL.5432"))
            .map_err(said)?;
        listener.set_nonblocking(true).map_err(said)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(said)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("database-tls".into());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, Arc::new(target), connector) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            folder,
            stop: Some(stop),
            thread: Some(thread.map_err(said)?),
        })
    }

    /// The folder of its socket file.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the tunnel to the database panicked");
        }
    }
}

async fn accept(
    listener: std::os::unix::net::UnixListener,
    target: Arc<Target>,
    connector: TlsConnector,
) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no way to the database"),
    };
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                let (target, connector) = (Arc::clone(&target), connector.clone());
                tokio::spawn(carry(near, target, connector));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the database was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Carries one connection until either side ends it.
async fn carry(mut near: UnixStream, target: Arc<Target>, connector: TlsConnector) {
    let far = tokio::time::timeout(CONNECT, reach(&target, &connector)).await;
    let far = far.unwrap_or_else(|_| Err("no answer in 10 seconds".to_owned()));
    match far {
        Ok(mut far) => {
            if let Err(error) = copy_bidirectional(&mut near, &mut far).await {
                tracing::debug!(%error, "a connection to the database broke");
            }
        }
        Err(text) => drop(near.write_all(&refusal(&text)).await),
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn reach(target: &Target, connector: &TlsConnector) -> Result<Box<dyn Stream>, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut tcp = TcpStream::connect((target.host.as_str(), target.port))
        .await
        .map_err(said)?;
    tcp.set_nodelay(true).map_err(said)?;
    give_up_in_time(&tcp);
    tcp.write_all(&SSL_REQUEST).await.map_err(said)?;
    match tcp.read_u8().await.map_err(said)? {
        b'S' => {
            let name = ServerName::try_from(target.host.clone())
                .map_err(|_| "the host is no name for a certificate".to_owned())?;
            let tls = connector.connect(name, tcp).await;
            Ok(Box::new(tls.map_err(|error| format!("TLS: {error}"))?))
        }
        b'N' if target.mode == Mode::Prefer => Ok(Box::new(tcp)),
        b'N' => Err("the server does not offer TLS".to_owned()),
        _ => Err("the server does not speak PostgreSQL".to_owned()),
    }
}

fn give_up_in_time(tcp: &TcpStream) {
    let socket = socket2::SockRef::from(tcp);
    let keep_alive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5));
    if let Err(error) = socket.set_tcp_keepalive(&keep_alive) {
        tracing::debug!(%error, "no keep-alive to the database");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_user_timeout(Some(USER_TIMEOUT)) {
        tracing::debug!(%error, "no TCP_USER_TIMEOUT to the database");
    }
}

/// An `ErrorResponse` for libpq, so that the reason reaches the operator.
fn refusal(text: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (kind, value) in [
        (b'S', "FATAL"),
        (b'V', "FATAL"),
        (b'C', "08001"),
        (b'M', text),
    ] {
        fields.push(kind);
        fields.extend_from_slice(value.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let mut message = vec![b'E'];
    message.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(&fields);
    message
}

fn client_config(target: &Target) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier(target, provider)?);
    match &target.client_cert {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let chain = certificates(chain)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("{}: {error}", key.display()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the client certificate: {error}"))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let said = |error: rustls::pki_types::pem::Error| format!("{}: {error}", path.display());
    CertificateDer::pem_file_iter(path)
        .map_err(said)?
        .collect::<Result<_, _>>()
        .map_err(said)
}

fn verifier(
    target: &Target,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if matches!(target.mode, Mode::Prefer | Mode::Require) {
        return Ok(Arc::new(Anybody(provider)));
    }
    let mut roots = RootCertStore::empty();
    match &target.root_cert {
        Some(path) => {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| format!("no authority to verify the server with: {error}"))?;
    Ok(match target.mode {
        Mode::VerifyFull => inner,
        _ => Arc::new(AnyName(inner)),
    })
}

/// Encrypts, and asks nobody who they are: what libpq does for `prefer` and `require`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the authority and not the name: `verify-ca`.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::Error::InvalidCertificate;
        let verified = self
            .0
            .verify_server_cert(certificate, chain, name, ocsp, now);
        match verified {
            Err(InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
