//! Whom to trust, and what to offer.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::HttpVersion;
use crate::message::ConfigError;

/// Mozilla's roots and those in `file`.
pub(super) fn roots(file: Option<&Path>) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let Some(file) = file else {
        return Ok(Arc::new(roots));
    };
    let fail =
        |reason: String| ConfigError::new("ca_file", format!("{}: {reason}", file.display()));

    let mozillas = roots.len();
    for certificate in
        CertificateDer::pem_file_iter(file).map_err(|error| fail(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| fail(error.to_string()))?;
    }
    if roots.len() == mozillas {
        return Err(fail("holds no certificate".to_owned()));
    }
    Ok(Arc::new(roots))
}

/// TLS 1.2 and 1.3 by ring, offering `http`.
pub(super) fn config(
    roots: &Arc<RootCertStore>,
    http: HttpVersion,
) -> Result<ClientConfig, ConfigError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new("http", error.to_string()))?;
    let mut config = builder
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    let (h2, http1) = (b"h2".to_vec(), b"http/1.1".to_vec());
    config.alpn_protocols = match http {
        HttpVersion::Auto => vec![h2, http1],
        HttpVersion::Http1 => vec![http1],
        HttpVersion::Http2 => vec![h2],
    };
    Ok(config)
}
