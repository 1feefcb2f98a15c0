//! Why a command did not do what it was asked for.

use std::io;

use super::refusal::Refusal;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The center refused; its own words.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The center could not be asked.
    #[error(
        "cannot reach the center at {server}: {cause}; is `quecota-center serve` running there? (--server URL)"
    )]
    Unreachable {
        /// Its address.
        server: String,
        /// Why not.
        cause: String,
    },
    /// The address is no server's.
    #[error("server {server:?}: it must begin with http:// or https:// and name a host")]
    Server {
        /// The address.
        server: String,
    },
    /// Something answered that is no center.
    #[error(
        "{server} answered {status} without JSON: that is no quecota-center, or a proxy in front of it failed"
    )]
    NoCenter {
        /// Its address.
        server: String,
        /// The status.
        status: u16,
    },
    /// No token was given or found.
    #[error(
        "no token: give --token or QUECOTA_TOKEN, or --data with the center's data folder ({looked} was not found), or sign \
         in with `quecota-center login`"
    )]
    NoToken {
        /// Where it was looked for.
        looked: String,
    },
    /// A file to upload cannot be read.
    #[error("file {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// A download did not come whole.
    #[error("the download broke off, nothing of it was kept: {0}")]
    Broken(#[source] io::Error),
    /// An argument breaks a rule.
    #[error("{0}")]
    Argument(String),
    /// Standard output is not writable.
    #[error("cannot write the answer: {0}")]
    Output(#[source] io::Error),
}
