//! The centers that somebody signed in to: address and token of each, in a file of their own that nobody else may read.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::ClientError;

/// A center that somebody signed in to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) server: String,
    pub(super) token: String,
    /// Number of the token at the center.
    pub(super) token_id: i64,
    pub(super) account: String,
    /// What the center's certificate must be signed by.
    #[serde(default)]
    pub(super) ca: Option<PathBuf>,
}

/// All of them, by the names that their user gave.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Profiles {
    /// The one that is meant where none is named.
    pub(super) current: Option<String>,
    #[serde(default)]
    pub(super) centers: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Those of the user of this process.
    pub(super) fn load() -> Result<Self, ClientError> {
        let Some(path) = path() else { return Ok(Self::default()) };
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                let rule = format!("{}: {error}; mend it, or remove it and sign in again", path.display());
                ClientError::Argument(rule)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Keeps them, readable by their owner alone.
    pub(super) fn save(&self) -> Result<PathBuf, ClientError> {
        let Some(path) = path() else {
            let rule = "neither XDG_CONFIG_HOME nor HOME says where to keep the sign-in: set one of them";
            return Err(ClientError::Argument(rule.to_owned()));
        };
        let folder = path.parent().unwrap_or(&path);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| failed(&path, &e))?;
        let fresh = path.with_extension(format!("new-{:016x}", rand::random::<u64>()));
        let text = format!("{:#}\n", serde_json::json!(self));
        let written = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&fresh, &path));
        written.map_err(|error| failed(&path, &error))?;
        Ok(path)
    }

    /// The center of this name, or the current one; none: nobody signed in.
    pub(super) fn find(&self, name: Option<&str>) -> Result<Option<&Profile>, ClientError> {
        let Some(name) = name.or(self.current.as_deref()) else { return Ok(None) };
        match self.centers.get(name) {
            Some(profile) => Ok(Some(profile)),
            None => {
                let known = self.centers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let known =
                    if known.is_empty() { "none is known".to_owned() } else { format!("known: {known}") };
                Err(ClientError::Argument(format!(
                    "--center {name:?}: {known}; `quecota-center login --center {name} --server URL` signs in"
                )))
            }
        }
    }
}

fn path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("quecota").join("centers.json"))
}

fn failed(path: &std::path::Path, error: &io::Error) -> ClientError {
    ClientError::File { path: path.display().to_string(), cause: error.to_string() }
}
