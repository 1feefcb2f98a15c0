//! Work on a data folder itself, beside the running center or while it is stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{ConfigError, DATA_FOLDER, DataFolder, SEAL_KEY_FILE};
use crate::serve::{ServeError, local};
use crate::store::{Store, snapshot};

/// Why work on a data folder was not done.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The folder, its keys or its database.
    #[error(transparent)]
    Center(#[from] ServeError),
    /// The folder cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No center was ever started there.
    #[error("{0} holds no seal.key; give --data with the data folder of a center that was started before")]
    NoKeys(String),
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something is there already, or is not.
    #[error("{path} {rule}")]
    Place {
        /// The folder.
        path: String,
        /// What would be right.
        rule: &'static str,
    },
    /// A backup is not what was written.
    #[error("the backup is damaged: {path} {fault}; take another one")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        fault: String,
    },
    /// PostgreSQL has tools of its own.
    #[error(
        "--database is PostgreSQL: back it up with `pg_dump --format=custom`, which is consistent while centers serve, then \
         copy the folder objects/ and the file token of the data folder, in this order; keep QUECOTA_SEAL_KEY too"
    )]
    Postgres,
}

/// Options of `rotate-key`.
#[derive(Debug, Args)]
pub struct RotateOptions {
    /// Data folder of the center, which must be stopped
    #[arg(long, default_value = DATA_FOLDER, value_name = "DIR")]
    data: PathBuf,
}

/// Makes a new seal key for a data folder and seals every secret with it. A crash on the way is mended by the next start:
/// the file then holds the new key and the old one.
///
/// # Errors
/// The folder is in use or no center's, or its database cannot be opened with its keys.
pub fn rotate_key(options: &RotateOptions) -> Result<(), MaintenanceError> {
    let data = DataFolder::existing(&options.data);
    let keys = data.seal_keys()?;
    let keys = keys.ok_or_else(|| MaintenanceError::NoKeys(options.data.display().to_string()))?;
    let _lock = data.lock()?;
    let renewed = keys.renewed();
    data.keep_seal_keys(&renewed)?;
    let sealed = local(async {
        let store = Store::connect(&data.database(), renewed.clone()).await?;
        let sealed = store.seal_all().await?;
        store.close().await;
        Ok(sealed)
    })?;
    data.keep_seal_keys(&renewed.without_former())?;
    println!("{} secrets sealed with key {}", sealed.former + sealed.plain, renewed.current());
    println!("the key of before, {}, is gone from {}", keys.current(), data.seal_key_file().display());
    Ok(())
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct BackupOptions {
    /// Data folder of the center, which may serve meanwhile
    #[arg(long, default_value = DATA_FOLDER, value_name = "DIR")]
    data: PathBuf,
    /// The center's --database, if it has one
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Leave seal.key out: without it the secrets in the backup cannot be read, and it cannot be restored alone
    #[arg(long)]
    without_key: bool,
    /// Folder to write, which must be empty or not there
    #[arg(value_name = "FOLDER")]
    to: PathBuf,
}

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// Data folder to make, which must be empty or not there
    #[arg(long, default_value = DATA_FOLDER, value_name = "DIR")]
    data: PathBuf,
    /// A folder that `backup` wrote
    #[arg(value_name = "FOLDER")]
    from: PathBuf,
}

/// What says that a backup is whole; it is written last.
const MANIFEST: &str = "backup.json";
/// The database in a data folder and in a backup; it is restored last.
const DATABASE: &str = "center.db";
/// Times that a backup begins anew because a package was deleted on the way.
const ATTEMPTS: u32 = 3;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// Of the backup, not of the center.
    format: u32,
    /// Version of the center that wrote it.
    center: String,
    files: Vec<Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    path: String,
    size: u64,
    sha256: String,
}

/// Writes the database as it is at one instant, the packages' files and the keys to a new folder.
///
/// # Errors
/// The folders cannot be used, or a package's file is not what its digest says.
pub fn backup(options: &BackupOptions) -> Result<(), MaintenanceError> {
    if options.database.as_deref().is_some_and(|url| !url.starts_with("sqlite:")) {
        return Err(MaintenanceError::Postgres);
    }
    let database = match options.database.as_deref().and_then(|url| url.strip_prefix("sqlite://")) {
        Some(file) => PathBuf::from(file),
        None => options.data.join(DATABASE),
    };
    if !database.is_file() {
        return Err(place(&database, "is no database; give --data with the data folder of a center"));
    }
    make_empty(&options.to)?;
    let mut attempt = 1;
    let mut files = loop {
        match packages(options, &database) {
            // A package was deleted after the database was copied: the next copy does not know it.
            Err(MaintenanceError::File { source, .. })
                if source.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS =>
            {
                attempt += 1;
            }
            outcome => break outcome?,
        }
    };
    for name in ["url.key", "token", SEAL_KEY_FILE] {
        let from = options.data.join(name);
        if from.is_file() && !(options.without_key && name == SEAL_KEY_FILE) {
            files.push(copy(&from, &options.to, name)?);
        }
    }
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let count = files.len();
    let manifest = Manifest { format: 1, center: env!("CARGO_PKG_VERSION").to_owned(), files };
    let path = options.to.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(io::Error::other).map_err(failed(&path))?;
    write(&path, text.as_bytes())?;
    sync(&options.to)?;
    println!("{count} files, {bytes} bytes in {}", options.to.display());
    if options.to.join(SEAL_KEY_FILE).exists() {
        println!(
            "it holds {SEAL_KEY_FILE}: who has this folder can read the secrets of products and devices"
        );
    } else {
        println!(
            "it holds no {SEAL_KEY_FILE}: keep that elsewhere, a restored center does not start without it"
        );
    }
    Ok(())
}

/// The database, and the files that its packages have.
fn packages(options: &BackupOptions, database: &Path) -> Result<Vec<Kept>, MaintenanceError> {
    let into = options.to.join(DATABASE);
    if into.exists() {
        fs::remove_file(&into).map_err(failed(&into))?;
    }
    let objects = local(async { Ok(snapshot(database, &into).await?) })?;
    let mut files = vec![kept(&into, DATABASE)?];
    for (object, sha256) in objects {
        let path = format!("objects/{object}");
        let file = copy(&options.data.join(&path), &options.to, &path)?;
        if file.sha256 != sha256 {
            let fault = format!("has SHA-256 {}, not {sha256}", file.sha256);
            return Err(MaintenanceError::Damaged { path, fault });
        }
        files.push(file);
    }
    Ok(files)
}

/// Makes a data folder of a backup, after every file in it proved to be what was written.
///
/// # Errors
/// The target is not empty, or the backup is damaged; nothing is left of a restore that failed in its first look.
pub fn restore(options: &RestoreOptions) -> Result<(), MaintenanceError> {
    let path = options.from.join(MANIFEST);
    if !path.is_file() {
        return Err(place(&options.from, "holds no backup.json: it is no backup, or one that was cut off"));
    }
    let text = fs::read(&path).map_err(failed(&path))?;
    let damaged = |path: &str, fault: String| MaintenanceError::Damaged { path: path.to_owned(), fault };
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| damaged(MANIFEST, error.to_string()))?;
    if manifest.format != 1 {
        return Err(damaged(MANIFEST, format!("has format {}; this version knows 1", manifest.format)));
    }
    for file in &manifest.files {
        let inside = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(damaged(&file.path, "is no path inside the backup".to_owned()));
        }
        let found = kept(&options.from.join(&file.path), &file.path)?;
        if (found.size, &found.sha256) != (file.size, &file.sha256) {
            return Err(damaged(&file.path, "is not what was backed up".to_owned()));
        }
    }
    make_empty(&options.data)?;
    // The database last: a center does not take a half restored folder for a whole one.
    let (database, others): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|file| file.path == DATABASE);
    for file in others.into_iter().chain(database) {
        let copied = copy(&options.from.join(&file.path), &options.data, &file.path)?;
        if copied.sha256 != file.sha256 {
            return Err(damaged(&file.path, "changed while it was restored".to_owned()));
        }
    }
    sync(&options.data)?;
    println!("{} files restored to {}", manifest.files.len(), options.data.display());
    if !options.data.join(SEAL_KEY_FILE).exists() {
        println!("put {SEAL_KEY_FILE} there, or give QUECOTA_SEAL_KEY, before the center starts");
    }
    Ok(())
}

/// A folder without anything in it.
fn make_empty(folder: &Path) -> Result<(), MaintenanceError> {
    fs::create_dir_all(folder).map_err(failed(folder))?;
    if fs::read_dir(folder).map_err(failed(folder))?.next().is_some() {
        return Err(place(folder, "is not empty; give a folder that is not there yet"));
    }
    Ok(())
}

fn copy(from: &Path, folder: &Path, path: &str) -> Result<Kept, MaintenanceError> {
    let to = folder.join(path);
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(failed(parent))?;
    }
    let mut source = File::open(from).map_err(failed(from))?;
    let mut target = create(&to)?;
    io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).map_err(failed(&to))?;
    kept(&to, path)
}

fn write(path: &Path, content: &[u8]) -> Result<(), MaintenanceError> {
    let mut file = create(path)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed(path))
}

/// A file for its owner alone: there are keys among them.
fn create(path: &Path) -> Result<File, MaintenanceError> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).map_err(failed(path))
}

fn kept(file: &Path, path: &str) -> Result<Kept, MaintenanceError> {
    let mut content = File::open(file).map_err(failed(file))?;
    let (mut digest, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0; 64 * 1024]);
    loop {
        let read = content.read(&mut buffer).map_err(failed(file))?;
        if read == 0 {
            break;
        }
        digest.update(buffer.get(..read).unwrap_or_default());
        size += read as u64;
    }
    Ok(Kept { path: path.to_owned(), size, sha256: hex::encode(digest.finalize()) })
}

fn sync(folder: &Path) -> Result<(), MaintenanceError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

fn place(path: &Path, rule: &'static str) -> MaintenanceError {
    MaintenanceError::Place { path: path.display().to_string(), rule }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> MaintenanceError {
    let path = path.display().to_string();
    move |source| MaintenanceError::File { path: path.clone(), source }
}
