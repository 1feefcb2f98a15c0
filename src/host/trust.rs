//! Which certificate authorities TLS trusts: the system's, and those of `QUECOTA_CA_FILE`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

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
    /// None of the certificates can be read.
    #[error("TLS: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// Trusted authorities, read for each connection with TLS, so that a file that comes late or changes counts from the
/// next one on.
#[derive(Debug)]
pub(super) struct Trust {
    ca_file: Option<PathBuf>,
}

impl Trust {
    /// The system's authorities and those in `ca_file`.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Trust { ca_file }
    }

    /// For `mqtts` and `https`.
    pub fn rustls(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let Authorities { system, own } = self.authorities()?;
        let mut roots = RootCertStore::empty();
        // A system's store may hold certificates that rustls cannot read; the others still count.
        roots.add_parsable_certificates(system.into_iter().chain(own.iter().cloned()));
        let provider = Arc::new(ring::default_provider());
        let by_authority =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { by_authority, own }))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    fn authorities(&self) -> Result<Authorities, TrustError> {
        // Unreadable system certificates only make fewer servers trusted, which the handshake then says.
        let system = rustls_native_certs::load_native_certs().certs;
        let own = self.ca_file.as_deref().map_or(Ok(Vec::new()), certificates)?;
        if system.is_empty() && own.is_empty() {
            Err(TrustError::Empty)
        } else {
            Ok(Authorities { system, own })
        }
    }
}

struct Authorities {
    system: Vec<CertificateDer<'static>>,
    /// Those of `QUECOTA_CA_FILE`.
    own: Vec<CertificateDer<'static>>,
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let failed = |reason: String| TrustError::CaFile { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| failed(e.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

/// Verifies as rustls does, and takes a certificate of `QUECOTA_CA_FILE` that the server presents itself: the usual
/// self-signed one of `openssl req -x509` is marked as an authority (CA:TRUE), and rustls takes no authority for a server.
#[derive(Debug)]
struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.by_authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The validity period was checked before; a test holds that.
            Err(error) if is_authority_as_server(&error) => {
                if !self.own.contains(end_entity) {
                    return Err(rustls::Error::General(AUTHORITY_AS_SERVER.to_owned()));
                }
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

const AUTHORITY_AS_SERVER: &str = "the server presents a certificate of an authority (CA:TRUE) as its own: put that certificate \
     in QUECOTA_CA_FILE, or make one with CA:FALSE";

/// rustls has no variant of its own for it; its text is the name that the crate webpki gives it.
fn is_authority_as_server(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other))
        if other.0.to_string() == "CaUsedAsEndEntity")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_is_read_again_and_named_while_it_is_missing_or_holds_no_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let trust = Trust::new(Some(path.clone()));
        let message = trust.rustls().unwrap_err().to_string();
        assert!(message.starts_with(&format!("QUECOTA_CA_FILE={}: ", path.display())), "{message}");
        std::fs::write(&path, "not a certificate\n").unwrap();
        let message = trust.rustls().unwrap_err().to_string();
        assert!(message.ends_with("holds no PEM certificate"), "{message}");
        let made = rcgen::generate_simple_self_signed(["broker.example".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        trust.rustls().unwrap();
    }
}
