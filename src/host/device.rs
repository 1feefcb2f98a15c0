//! The host as a device: its identity, clock and module firmware.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use quecota_core::platform::{Area, Level, StagedFile};

use super::log::Log;
use super::settings::is_device_key;
use super::storage::{Files, Folder, FolderError};

/// File of the device key that was made up.
const DEVICE_KEY: &str = "device-key";
/// File of the module firmware that was taken over last.
const MODULE: &str = "module.bin";
/// One line per module firmware that was taken over.
const MODULE_RECORD: &str = "module.txt";

/// There is no usable device key.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeviceKeyError {
    /// The kept one is damaged.
    #[error(
        "{path} holds {text:?}: must be 1 to 16 letters and digits; correct it or set QUECOTA_DEVICE_KEY"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Its content.
        text: String,
    },
    /// It could not be read.
    #[error("cannot read {0}: {1}")]
    Read(String, io::Error),
    /// It could not be kept.
    #[error(transparent)]
    Keep(#[from] FolderError),
    /// None could be made.
    #[error("no random bytes for a device key: {0}")]
    Random(#[from] getrandom::Error),
}

/// The key kept in the folder; made at the first start, so that a platform sees one device for ever.
pub(super) fn device_key(folder: &Folder) -> Result<String, DeviceKeyError> {
    let path = folder.file(DEVICE_KEY);
    let name = || path.display().to_string();
    match fs::read_to_string(&path) {
        Ok(text) if is_device_key(text.trim_end()) => Ok(text.trim_end().to_owned()),
        Ok(text) => Err(DeviceKeyError::Damaged { path: name(), text }),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(DeviceKeyError::Read(name(), e)),
        Err(_) => {
            let mut bytes = [0; 8];
            getrandom::getrandom(&mut bytes)?;
            let key = format!("{:016X}", u64::from_be_bytes(bytes));
            folder.replace(DEVICE_KEY, |file| io::Write::write_all(file, format!("{key}\n").as_bytes()))?;
            Ok(key)
        }
    }
}

/// Keeps module firmware `0..size` of the image as `module.bin`: a host has no module whose flash could be written.
/// Whoever runs it takes the file from there, and starts again with the new `QUECOTA_MODULE_VERSION`.
pub(super) fn keep_module(
    folder: &Folder,
    files: &mut Files,
    size: u32,
    log: Log,
) -> Result<(), FolderError> {
    copy(folder, files, MODULE, 0, size)?;
    record(folder, MODULE, size, log);
    Ok(())
}

/// The same for the files of a package: each as `module-INDEX.bin`.
pub(super) fn keep_package(
    folder: &Folder,
    files: &mut Files,
    staged: &[StagedFile],
    log: Log,
) -> Result<(), FolderError> {
    for file in staged {
        let name = format!("module-{}.bin", file.index);
        copy(folder, files, &name, file.offset, file.size)?;
        record(folder, &name, file.size, log);
    }
    Ok(())
}

fn copy(folder: &Folder, files: &mut Files, name: &str, from: u32, size: u32) -> Result<(), FolderError> {
    const CHUNK: u32 = 64 * 1024;
    let image = files.area(Area::Image);
    folder.replace(name, |file| {
        let mut chunk = vec![0; CHUNK as usize];
        for offset in (0..size).step_by(CHUNK as usize) {
            let length = CHUNK.min(size.saturating_sub(offset)) as usize;
            let part = chunk.get_mut(..length).unwrap_or_default();
            image.read(from.saturating_add(offset), part).map_err(io::Error::other)?;
            io::Write::write_all(file, part)?;
        }
        Ok(())
    })
}

/// A line of the list of firmware that was kept.
fn record(folder: &Folder, name: &str, size: u32, log: Log) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let record = folder.file(MODULE_RECORD);
    let kept = appended(&record, &format!("{seconds} {name} {size} bytes\n"));
    if let Err(e) = kept {
        // The firmware itself is safe; only its line in the list is missing.
        log.line(Level::Warn, &format!("cannot write {}: {e}", record.display()));
    }
}

fn appended(path: &Path, line: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_key_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let key = device_key(&folder).unwrap();
        assert!(is_device_key(&key), "{key}");
        assert_eq!(device_key(&folder).unwrap(), key);
    }

    #[test]
    fn a_damaged_device_key_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        fs::write(folder.file("device-key"), "not a key\n").unwrap();
        let message = device_key(&folder).unwrap_err().to_string();
        assert!(message.contains("device-key holds \"not a key\\n\""), "{message}");
    }

    #[test]
    fn module_firmware_is_kept_whole_and_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let log = Log::new(Level::Error);
        let mut files = Files::open(&folder, 256 * 1024, log).unwrap();
        let firmware: Vec<u8> = (0..100_001u32).map(|i| (i % 251) as u8).collect();
        files.area(Area::Image).write(0, &firmware).unwrap();
        keep_module(&folder, &mut files, 100_001, log).unwrap();
        assert!(fs::read(folder.file("module.bin")).unwrap() == firmware);
        let record = fs::read_to_string(folder.file("module.txt")).unwrap();
        assert!(record.ends_with(" module.bin 100001 bytes\n"), "{record}");
    }

    #[test]
    fn the_files_of_a_package_are_kept_each_under_its_index() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let log = Log::new(Level::Error);
        let mut files = Files::open(&folder, 256 * 1024, log).unwrap();
        let firmware: Vec<u8> = (0..100_001u32).map(|i| (i % 251) as u8).collect();
        files.area(Area::Image).write(0, &firmware).unwrap();
        let staged = |index, offset, size| StagedFile { index, offset, size, md5: [0; 16] };
        keep_package(&folder, &mut files, &[staged(4, 0, 70_000), staged(2, 73_728, 9)], log).unwrap();
        assert!(fs::read(folder.file("module-4.bin")).unwrap() == firmware[..70_000]);
        assert!(fs::read(folder.file("module-2.bin")).unwrap() == firmware[73_728..73_737]);
        let record = fs::read_to_string(folder.file("module.txt")).unwrap();
        assert!(record.ends_with(" module-2.bin 9 bytes\n"), "{record}");
    }

    #[test]
    fn module_firmware_larger_than_the_image_is_refused_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let log = Log::new(Level::Error);
        let mut files = Files::open(&folder, 8192, log).unwrap();
        assert!(keep_module(&folder, &mut files, 8193, log).is_err());
        assert!(!folder.file("module.bin").exists());
    }
}
