//! Where the center keeps its things and what it was told at start.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::packages::signature::{PublicUrl, PublicUrlError};
use crate::seal::{Keyring, SealError};

/// The data folder when none is given.
pub const DATA_FOLDER: &str = "./quecota-data";

/// The file of the seal keys in a data folder.
pub const SEAL_KEY_FILE: &str = "seal.key";

/// The file of the key of download URLs in the data folder of a version before.
const URL_KEY_FILE: &str = "url.key";

/// What stops a center from starting, in words for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or folder cannot be used.
    #[error("cannot use {path}: {source}")]
    Path {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another center works in the folder.
    #[error("the data folder {0} is in use by another quecota-center; stop that one or give another --data")]
    InUse(String),
    /// The token or the key of the folder cannot be one.
    #[error("{path} holds no usable value: {rule}; put one there, or remove the file to get a new one")]
    Secret {
        /// The file.
        path: String,
        /// What would be right.
        rule: &'static str,
    },
    /// Seal keys that are none.
    #[error("{place}: {source}")]
    SealKeys {
        /// Where they were given.
        place: String,
        /// What is wrong.
        #[source]
        source: SealError,
    },
    /// Several centers may work on a PostgreSQL database: a key that one of them makes would be unknown to the others.
    #[error(
        "a PostgreSQL database needs the key that its secrets are sealed with: give QUECOTA_SEAL_KEY (64 hexadecimal \
         digits, as `openssl rand -hex 32` prints them) or --seal-key-file, the same for every center of this database"
    )]
    SealKeyNeeded,
    /// Devices could not download from the public URL.
    #[error(transparent)]
    PublicUrl(#[from] PublicUrlError),
    /// Devices with the vendor's SDK could not download from the public URL.
    #[error(
        "--public-url {0:?}: devices with the vendor's SDK download from a host of 4 to 63 characters with a '.' among them: \
         give a full name or an IPv4 address, as in http://ota.example.org:8080, or --no-vendor-devices if there are none"
    )]
    NotForVendorDevices(String),
    /// The public URL cannot be derived.
    #[error(
        "--http {0} listens on every address, so devices need to be told one: give --public-url http://HOST:PORT"
    )]
    PublicUrlNeeded(SocketAddr),
}

/// The data folder.
#[derive(Debug, Clone)]
pub struct DataFolder(PathBuf);

/// Held while a center works alone in its folder; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DataFolder {
    /// The folder, which is made if it is not there.
    pub fn open(folder: &Path) -> Result<Self, ConfigError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        // Of versions that let others of the machine read them.
        for name in ["center.db", "center.db-wal", "center.db-shm", "objects"] {
            close_to_others(&folder.join(name))?;
        }
        Ok(Self(folder.to_path_buf()))
    }

    /// The folder that a client command reads its token from; nothing is made.
    #[must_use]
    pub fn existing(folder: &Path) -> Self {
        Self(folder.to_path_buf())
    }

    /// Takes the folder for this process alone: SQLite in one file is one process's.
    pub fn lock(&self) -> Result<FolderLock, ConfigError> {
        let path = self.0.join("lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock(file)),
            Err(TryLockError::WouldBlock) => Err(ConfigError::InUse(self.0.display().to_string())),
            Err(TryLockError::Error(source)) => Err(failed(&path)(source)),
        }
    }

    /// The database of a center that is given none, as a URL.
    #[must_use]
    pub fn database(&self) -> String {
        format!("sqlite://{}", self.0.join("center.db").display())
    }

    /// The folder of the packages' files.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// The API's token: made at the first start.
    pub fn token(&self) -> Result<String, ConfigError> {
        let path = self.0.join("token");
        let token = secret(&path)?;
        check_token(&token).map_err(|rule| ConfigError::Secret { path: path.display().to_string(), rule })?;
        Ok(token)
    }

    /// The name of this folder's center: made at the first start.
    pub fn center_id(&self) -> Result<String, ConfigError> {
        let path = self.0.join("center.id");
        center_id(&secret(&path)?)
            .map_err(|rule| ConfigError::Secret { path: path.display().to_string(), rule })
    }

    /// The API's token, if a center was started here before.
    #[must_use]
    pub fn known_token(&self) -> Option<String> {
        fs::read_to_string(self.0.join("token")).ok().map(|token| token.trim().to_owned())
    }

    /// The file of the keys that secrets are sealed with.
    #[must_use]
    pub fn seal_key_file(&self) -> PathBuf {
        self.0.join(SEAL_KEY_FILE)
    }

    /// The keys that secrets in this folder's database are sealed with, if the folder has some.
    pub fn seal_keys(&self) -> Result<Option<Keyring>, ConfigError> {
        let path = self.seal_key_file();
        if path.try_exists().map_err(failed(&path))? { Ok(Some(seal_keys_of(&path)?)) } else { Ok(None) }
    }

    /// Keeps the seal keys beside the data, readable by their owner alone.
    pub fn keep_seal_keys(&self, keys: &Keyring) -> Result<(), ConfigError> {
        let path = self.seal_key_file();
        let fresh = write_beside(&path, &keys.text())?;
        let synced = fs::rename(&fresh, &path).and_then(|()| File::open(&self.0)?.sync_all());
        synced.map_err(failed(&path))
    }

    /// The key of download URLs that a version before kept here: the database has them now.
    pub fn former_url_key(&self) -> Result<Option<[u8; 32]>, ConfigError> {
        let path = self.0.join(URL_KEY_FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(failed(&path))?,
        };
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| ConfigError::Secret {
            path: path.display().to_string(),
            rule: "it must be 64 hexadecimal digits",
        })?;
        Ok(Some(key))
    }

    /// Removes that key, once it is in the database.
    pub fn forget_url_key(&self) -> Result<(), ConfigError> {
        let path = self.0.join(URL_KEY_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed(&path)),
        }
    }
}

/// The seal keys in a file.
pub fn seal_keys_of(path: &Path) -> Result<Keyring, ConfigError> {
    let text = fs::read_to_string(path).map_err(failed(path))?;
    Keyring::parse(&text)
        .map_err(|source| ConfigError::SealKeys { place: path.display().to_string(), source })
}

/// A center's name that somebody chose: it stands before a `/` in the names of its devices' connections.
pub fn center_id(id: &str) -> Result<String, &'static str> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > 64 || !id.bytes().all(fits) {
        return Err("a center id has 1 to 64 letters, digits, '-', '_' and '.'");
    }
    Ok(id.to_owned())
}

/// Checks a token that somebody chose: it must fit in a header and be more than a guess.
pub fn check_token(token: &str) -> Result<(), &'static str> {
    if token.len() < 16 || !token.bytes().all(|c| c.is_ascii_graphic()) {
        return Err("a token has 16 or more visible ASCII characters");
    }
    Ok(())
}

/// The address that devices are told to download from: the given one, else the one we listen on.
pub fn public_url(given: Option<&str>, http: SocketAddr, secure: bool) -> Result<PublicUrl, ConfigError> {
    match given {
        Some(url) => Ok(PublicUrl::parse(url)?),
        None if http.ip().is_unspecified() => Err(ConfigError::PublicUrlNeeded(http)),
        None => Ok(PublicUrl::parse(&format!("{}://{http}", if secure { "https" } else { "http" }))?),
    }
}

/// Takes all rights to a file or folder from everybody but its owner; it may be missing.
fn close_to_others(path: &Path) -> Result<(), ConfigError> {
    let Ok(about) = fs::metadata(path) else { return Ok(()) };
    let mode = about.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o700)).map_err(failed(path))
}

/// The text of a secret file; a missing one is made of 32 random bytes, readable by its owner alone.
fn secret(path: &Path) -> Result<String, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
        Err(_) => {}
    }
    let text = hex::encode(rand::random::<[u8; 32]>());
    // Linked into place, so that nobody ever reads half a secret; of two centers that start at once in one folder,
    // both take the one that came first.
    let fresh = write_beside(path, &text)?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh).map_err(failed(&fresh))?;
    match linked {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(fs::read_to_string(path).map_err(failed(path))?.trim().to_owned())
        }
        Err(error) => Err(failed(path)(error)),
    }
}

/// The text in a new file beside `path`, readable by its owner alone and on the disk.
fn write_beside(path: &Path, text: &str) -> Result<PathBuf, ConfigError> {
    let fresh = path.with_extension(format!("new-{:016x}", rand::random::<u64>()));
    let mut file =
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh).map_err(failed(&fresh))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&fresh))?;
    Ok(fresh)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ConfigError {
    let path = path.display().to_string();
    move |source| ConfigError::Path { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let token = data.token().unwrap();
        assert_eq!(data.token().unwrap(), token);
        assert_eq!(data.known_token(), Some(token));
        let mode = fs::metadata(folder.path().join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_broken_secret_is_named_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        fs::write(folder.path().join("url.key"), "12").unwrap();
        fs::write(folder.path().join("token"), "").unwrap();
        assert!(data.former_url_key().unwrap_err().to_string().contains("url.key"));
        assert!(data.token().unwrap_err().to_string().contains("token"));
    }

    #[test]
    fn seal_keys_are_kept_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        assert!(data.seal_keys().unwrap().is_none());
        let keys = Keyring::made();
        data.keep_seal_keys(&keys).unwrap();
        data.keep_seal_keys(&keys.renewed()).unwrap();
        assert_ne!(data.seal_keys().unwrap().unwrap().current(), keys.current());
        assert_eq!(fs::metadata(data.seal_key_file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(data.seal_key_file(), "cafe").unwrap();
        let error = data.seal_keys().unwrap_err().to_string();
        assert!(error.contains("seal.key") && !error.contains("cafe"), "{error}");
    }

    #[test]
    fn a_folder_has_one_center() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let held = data.lock().unwrap();
        assert!(matches!(data.lock(), Err(ConfigError::InUse(_))));
        drop(held);
        data.lock().unwrap();
    }

    #[test]
    fn the_public_url_comes_from_the_listening_address() {
        let url = |given, http: &str| public_url(given, http.parse().unwrap(), false);
        assert_eq!(url(None, "127.0.0.1:80").unwrap().to_string(), "http://127.0.0.1:80");
        assert_eq!(url(Some("https://a.b"), "0.0.0.0:80").unwrap().to_string(), "https://a.b");
        assert!(matches!(url(None, "0.0.0.0:80"), Err(ConfigError::PublicUrlNeeded(_))));
        assert!(matches!(url(None, "[::1]:80"), Err(ConfigError::PublicUrl(_))));
    }
}
