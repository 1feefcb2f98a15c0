//! Work on a data folder itself, beside the running center or while it is stopped.

use std::path::PathBuf;

use clap::Args;

use crate::config::{ConfigError, DATA_FOLDER, DataFolder};
use crate::serve::{ServeError, local};
use crate::store::Store;

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
