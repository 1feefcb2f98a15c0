//! Room on disks: said before it is gone.

use std::io;
use std::path::{Path, PathBuf};

/// A folder whose disk must keep some room.
#[derive(Debug, Clone)]
pub struct Disk {
    folder: PathBuf,
    least: u64,
}

/// A disk without the room that the center needs.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Too little room.
    #[error("the disk of {folder} has {free} bytes left, and {least} are the least: free some space")]
    Full {
        /// The folder.
        folder: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that should be.
        least: u64,
    },
    /// It cannot be asked.
    #[error("the disk of {folder} cannot be asked for its room: {source}")]
    Unknown {
        /// The folder.
        folder: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Disk {
    /// The disk of `folder`, which is to have `least` bytes free.
    #[must_use]
    pub fn of(folder: &Path, least: u64) -> Self {
        Self { folder: folder.to_owned(), least }
    }

    /// Bytes that are free for this process.
    ///
    /// # Errors
    /// [`DiskError::Unknown`].
    pub fn free(&self) -> Result<u64, DiskError> {
        let about = rustix::fs::statvfs(&self.folder).map_err(|error| DiskError::Unknown {
            folder: self.folder.display().to_string(),
            source: error.into(),
        })?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    /// Whether the room is there.
    ///
    /// # Errors
    /// [`DiskError::Full`] if it is not.
    pub fn check(&self) -> Result<(), DiskError> {
        let free = self.free()?;
        if free >= self.least {
            return Ok(());
        }
        Err(DiskError::Full { folder: self.folder.display().to_string(), free, least: self.least })
    }
}
