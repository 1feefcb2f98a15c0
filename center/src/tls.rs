//! TLS from PEM files, which are read again when they change: connections made from then on get the new certificate.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A client shakes hands within this time, or is gone.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the right kind.
    #[error("{option} {path}: {cause}")]
    File {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("--tls-cert {certificate} with --tls-key {key}: {source}")]
    Pair {
        /// File of the certificate.
        certificate: String,
        /// File of its key.
        key: String,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}

/// TLS for the ports of one center. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    files: Arc<Files>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.files.certificate).finish_non_exhaustive()
    }
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files(..)")
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // It is replaced as a whole: nothing can be half of it.
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Of a certificate with its chain and its key, both as PEM.
    ///
    /// # Errors
    /// A file cannot be used, or both do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let current = RwLock::new(Arc::new(read(certificate, key, &provider)?));
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let files = Arc::new(Files { certificate, key, provider: provider.clone(), current });
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| files.pair(source))?
            .with_no_client_auth()
            .with_cert_resolver(files.clone());
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), files })
    }

    /// Reads the files again. What cannot be used changes nothing.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.files.certificate, &self.files.key, &self.files.provider)?;
        *self.files.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }

    /// Reads the files again whenever they change, and at each SIGHUP, until `stop`.
    pub async fn keep_current(self, stop: CancellationToken) {
        // A system without the signal still has the files.
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.files.stamps();
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = next(&mut hangup) => true,
                _ = looks.tick() => false,
            };
            let now = self.files.stamps();
            if now == seen && !asked {
                continue;
            }
            // A renewal writes one file after the other: a pair that does not fit is tried again at the next look.
            match self.reload() {
                Ok(()) => {
                    seen = now;
                    info!(certificate = %self.files.certificate.display(), "certificate read again");
                }
                Err(error) => warn!(%error, "the certificate of before stays in use"),
            }
        }
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// It speaks no TLS, or does not go on.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        match timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

async fn next(hangup: &mut Option<tokio::signal::unix::Signal>) {
    let came = match hangup {
        Some(hangup) => hangup.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending::<()>().await;
    }
}

impl Files {
    fn stamps(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let about = fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        })
    }

    fn pair(&self, source: rustls::Error) -> TlsError {
        pair(&self.certificate, &self.key, source)
    }
}

fn pair(certificate: &Path, key: &Path, source: rustls::Error) -> TlsError {
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    TlsError::Pair { certificate, key, source }
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let wrong = |option: &'static str, path: &Path, cause: String| TlsError::File {
        option,
        path: path.display().to_string(),
        cause,
    };
    let no_certificate = |cause| wrong("--tls-cert", certificate, cause);
    let pem = fs::read(certificate).map_err(|error| no_certificate(error.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| no_certificate(format!("it is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(no_certificate("it holds no `BEGIN CERTIFICATE`".to_owned()));
    }
    let no_key = |cause| wrong("--tls-key", key, cause);
    let pem = fs::read(key).map_err(|error| no_key(error.to_string()))?;
    // The cause is a position at most, never a part of the key.
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| no_key("it holds no `BEGIN PRIVATE KEY` that can be read".to_owned()))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| pair(certificate, key, source))
}
