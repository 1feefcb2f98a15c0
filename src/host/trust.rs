//! Which certificate authorities TLS trusts: the system's, and those of `QUECOTA_CA_FILE`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// TLS cannot be set up.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum TrustError {
    /// The extra file is unusable.
    #[error("QUECOTA_CA_FILE={}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing would ever verify.
    #[error("no trusted certificates: install the system's CA certificates or set QUECOTA_CA_FILE")]
    Empty,
    /// The TLS library refused its own defaults.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Trusted authorities, read when first needed: plain MQTT and HTTP need none.
#[derive(Debug)]
pub(super) struct Trust {
    ca_file: Option<PathBuf>,
    authorities: OnceLock<Result<Arc<[CertificateDer<'static>]>, TrustError>>,
}

impl Trust {
    /// The system's authorities and those in `ca_file`.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Trust { ca_file, authorities: OnceLock::new() }
    }

    /// For `mqtts` and `https`.
    pub fn rustls(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let mut roots = RootCertStore::empty();
        // A system's store may hold certificates that rustls cannot read; the others still count.
        roots.add_parsable_certificates(self.authorities()?.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    fn authorities(&self) -> Result<Arc<[CertificateDer<'static>]>, TrustError> {
        self.authorities.get_or_init(|| authorities(self.ca_file.as_deref())).clone()
    }
}

fn authorities(ca_file: Option<&Path>) -> Result<Arc<[CertificateDer<'static>]>, TrustError> {
    // Unreadable system certificates only make fewer servers trusted, which the handshake then says.
    let mut all = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = ca_file {
        let failed = |reason: String| TrustError::CaFile { path: path.to_owned(), reason };
        let before = all.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))? {
            all.push(certificate.map_err(|e| failed(e.to_string()))?);
        }
        if all.len() == before {
            return Err(failed("holds no PEM certificate".to_owned()));
        }
    }
    if all.is_empty() { Err(TrustError::Empty) } else { Ok(all.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_is_missing_or_holds_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let message = Trust::new(Some(path.clone())).rustls().unwrap_err().to_string();
        assert!(message.starts_with(&format!("QUECOTA_CA_FILE={}: ", path.display())), "{message}");
        std::fs::write(&path, "not a certificate\n").unwrap();
        let message = Trust::new(Some(path.clone())).rustls().unwrap_err().to_string();
        assert!(message.ends_with("holds no PEM certificate"), "{message}");
    }
}
