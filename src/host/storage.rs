//! Image and journal in files with flash semantics, in a folder that one process owns.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use quecota_core::platform::{Area, Geometry, Level, StorageError, floor_to};

use super::log::Log;
use super::settings::ERASE_UNIT;
use super::signal::without_file_limit;

/// Bytes of the journal file.
const JOURNAL_SIZE: u32 = 64 * 1024;
/// Bytes of the file system that the image leaves to what else the folder holds, and to the file system's own blocks.
const SPARED: u64 = 32 * 1024;
/// What an erased byte reads as.
const ERASED: u8 = 0xFF;

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    /// Two processes on one journal would destroy it.
    #[error("{} is in use by another process; give each its own QUECOTA_DIR", .0.display())]
    Busy(PathBuf),
    /// The file system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Says of an I/O result what was tried on which path.
trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, FolderError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, FolderError> {
        self.map_err(|source| FolderError::Io { doing, path: path.to_owned(), source })
    }
}

/// A folder that this process holds until it ends.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked while it is open; the system unlocks it even after SIGKILL.
    _lock: File,
}

impl Folder {
    /// Creates the folder where it is missing and takes it for this process.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        // Absolute, so that it stays the same when the program changes its working directory.
        let path = std::path::absolute(path).doing("find", path)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&path).doing("create the folder", &path)?;
        let lock_path = path.join("lock");
        let lock = private(&lock_path).doing("open", &lock_path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Busy(path)),
            Err(TryLockError::Error(e)) => Err(e).doing("lock", &lock_path),
        }
    }

    /// Path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts a whole new file in place of `name`: a reader sees the old content or the new, never a part.
    pub fn replace(
        &self,
        name: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), FolderError> {
        let (path, draft) = (self.file(name), self.file(&format!("{name}.new")));
        let written = private(&draft).and_then(|mut file| {
            file.set_len(0)?;
            without_file_limit(|| fill(&mut file))?;
            file.sync_all()
        });
        if let Err(e) = written.and_then(|()| fs::rename(&draft, &path)) {
            // The draft is of no use to anyone; that it cannot be removed changes nothing about the error.
            let _ = fs::remove_file(&draft);
            return Err(e).doing("write", &path);
        }
        self.sync()
    }

    /// Makes names that were created or renamed last.
    fn sync(&self) -> Result<(), FolderError> {
        File::open(&self.path).and_then(|dir| dir.sync_all()).doing("sync", &self.path)
    }
}

/// Opens or creates a file that only its owner may read: the journal holds secrets, and the image is somebody's firmware.
/// One of an earlier version that others may read becomes private.
fn private(path: &Path) -> io::Result<File> {
    let options = &mut OpenOptions::new();
    let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The two areas.
#[derive(Debug)]
pub(super) struct Files {
    image: FlashFile,
    journal: FlashFile,
}

impl Files {
    /// Opens `image` (`staging` bytes, sparse) and `journal` in `folder`.
    pub fn open(folder: &Folder, staging: u32, log: Log) -> Result<Self, FolderError> {
        let image = FlashFile::open(folder.file("image"), staging, log)?;
        let new = !folder.file("journal").exists();
        let journal = FlashFile::open(folder.file("journal"), JOURNAL_SIZE, log)?;
        if new {
            // Flash comes erased from its maker; a journal of zeros would be a damaged one.
            journal.erase(0, JOURNAL_SIZE).map_err(io::Error::other).doing("erase", &journal.path)?;
        }
        folder.sync()?;
        Ok(Files { image, journal })
    }

    /// The file behind `area`.
    pub fn area(&mut self, area: Area) -> &mut FlashFile {
        match area {
            Area::Image => &mut self.image,
            Area::Journal => &mut self.journal,
        }
    }

    /// Bytes of firmware that the image can hold: what its file has already, and what the file system has for it.
    pub fn free_space(&self) -> u32 {
        self.image.growth_limit(SPARED)
    }

    /// The same for module firmware, which is there twice once it is taken over: staged, and as a file of its own.
    pub fn module_space(&self) -> u32 {
        self.free_space() / 2
    }

    /// The shape of `area`.
    pub fn geometry(&self, area: Area) -> Geometry {
        match area {
            Area::Image => self.image.geometry(),
            Area::Journal => self.journal.geometry(),
        }
    }
}

/// One area in one file. A byte that was never erased or written reads as 0.
#[derive(Debug)]
pub(super) struct FlashFile {
    file: File,
    path: PathBuf,
    size: u32,
    log: Log,
}

impl FlashFile {
    fn open(path: PathBuf, size: u32, log: Log) -> Result<Self, FolderError> {
        let file = private(&path).doing("open", &path)?;
        // No blocks are taken yet: a device that never downloads needs no disk.
        without_file_limit(|| file.set_len(u64::from(size))).doing("resize", &path)?;
        Ok(FlashFile { file, path, size, log })
    }

    /// Size and units.
    pub fn geometry(&self) -> Geometry {
        Geometry { size: self.size, erase: ERASE_UNIT, program: 1, erased: ERASED }
    }

    /// Fills `buffer` from `offset`.
    pub fn read(&self, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.check(offset, buffer.len())?;
        self.file.read_exact_at(buffer, u64::from(offset)).map_err(|e| self.failed("read", offset, &e))
    }

    /// Writes `data` at `offset`.
    pub fn write(&self, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        self.check(offset, data.len())?;
        without_file_limit(|| self.file.write_all_at(data, u64::from(offset)))
            .map_err(|e| self.failed("write", offset, &e))
    }

    /// Fills whole erase units with [`ERASED`].
    pub fn erase(&self, offset: u32, length: u32) -> Result<(), StorageError> {
        self.check(offset, length as usize)?;
        if !offset.is_multiple_of(ERASE_UNIT) || !length.is_multiple_of(ERASE_UNIT) {
            return Err(StorageError::Range);
        }
        let unit = [ERASED; ERASE_UNIT as usize];
        without_file_limit(|| {
            (offset..offset.saturating_add(length)).step_by(ERASE_UNIT as usize).try_for_each(|at| {
                self.file.write_all_at(&unit, u64::from(at)).map_err(|e| self.failed("erase", at, &e))
            })
        })
    }

    /// Returns once everything written is on the disk.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(|e| self.failed("sync", 0, &e))
    }

    /// Gives the blocks of the file back; it keeps its length and reads as zeros.
    pub fn discard(&self) -> Result<(), StorageError> {
        let emptied = without_file_limit(|| {
            self.file.set_len(0)?;
            self.file.set_len(u64::from(self.size))
        });
        emptied.map_err(|e| self.failed("empty", 0, &e))
    }

    /// Whole erase units that can be written, `spared` bytes left to others. A file system that does not say counts as
    /// one with room.
    fn growth_limit(&self, spared: u64) -> u32 {
        const BLOCK: u64 = 512; // unit of st_blocks
        let room = self.file.metadata().and_then(|own| {
            let available = available(&self.file)?;
            Ok(available.saturating_sub(spared).saturating_add(own.blocks().saturating_mul(BLOCK)))
        });
        match room {
            Ok(room) => floor_to(u32::try_from(room).unwrap_or(u32::MAX), ERASE_UNIT).min(self.size),
            Err(e) => {
                self.log
                    .line(Level::Warn, &format!("free space of {} is not known: {e}", self.path.display()));
                self.size
            }
        }
    }

    fn check(&self, offset: u32, length: usize) -> Result<(), StorageError> {
        let end = u64::from(offset).saturating_add(length as u64);
        if end <= u64::from(self.size) { Ok(()) } else { Err(StorageError::Range) }
    }

    fn failed(&self, doing: &str, offset: u32, error: &io::Error) -> StorageError {
        let path = self.path.display();
        self.log.line(Level::Error, &format!("cannot {doing} {path} at byte {offset}: {error}"));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                StorageError::Full
            }
            _ => StorageError::Failed,
        }
    }
}

/// Bytes that this user may still write to the file system of `file`.
fn available(file: &File) -> io::Result<u64> {
    // SAFETY: a plain C struct, for which zeros are valid; written by the call, which gets an open descriptor.
    let (result, system) = unsafe {
        let mut system = zeroed::<libc::statvfs>();
        (libc::fstatvfs(file.as_raw_fd(), &raw mut system), system)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // Narrower on some targets.
    #[allow(clippy::useless_conversion)]
    Ok(u64::from(system.f_bavail).saturating_mul(u64::from(system.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn quiet() -> Log {
        Log::new(Level::Error)
    }

    #[test]
    fn erase_gives_ff_and_writes_stay_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        {
            let folder = Folder::open(dir.path()).unwrap();
            let mut files = Files::open(&folder, 8192, quiet()).unwrap();
            let image = files.area(Area::Image);
            image.write(0, &[7; 8192]).unwrap();
            image.erase(4096, 4096).unwrap();
            image.write(4097, b"new").unwrap();
            image.sync().unwrap();
        }
        let folder = Folder::open(dir.path()).unwrap();
        let mut files = Files::open(&folder, 8192, quiet()).unwrap();
        let mut bytes = [0; 8];
        files.area(Area::Image).read(4093, &mut bytes).unwrap();
        assert_eq!(bytes, [7, 7, 7, 0xFF, b'n', b'e', b'w', 0xFF]);
    }

    #[test]
    fn a_fresh_image_of_64_mib_takes_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let files = Files::open(&folder, 64 << 20, quiet()).unwrap();
        assert_eq!(files.geometry(Area::Image).size, 64 << 20);
        let meta = fs::metadata(folder.file("image")).unwrap();
        assert_eq!(meta.len(), 64 << 20);
        assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    }

    #[test]
    fn a_new_journal_is_erased_and_an_old_one_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut journal = vec![0; JOURNAL_SIZE as usize];
        let mut files = Files::open(&folder, 4096, quiet()).unwrap();
        files.area(Area::Journal).read(0, &mut journal).unwrap();
        assert!(journal.iter().all(|byte| *byte == ERASED));
        files.area(Area::Journal).write(100, b"record").unwrap();
        let mut files = Files::open(&folder, 4096, quiet()).unwrap();
        files.area(Area::Journal).read(0, &mut journal).unwrap();
        assert_eq!(&journal[99..107], b"\xFFrecord\xFF");
    }

    #[test]
    fn accesses_outside_the_area_or_across_units_are_range_errors() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut files = Files::open(&folder, 8192, quiet()).unwrap();
        let image = files.area(Area::Image);
        assert_eq!(image.write(8190, b"abc"), Err(StorageError::Range));
        assert_eq!(image.read(u32::MAX, &mut [0; 2]), Err(StorageError::Range));
        assert_eq!(image.erase(0, 100), Err(StorageError::Range));
        assert_eq!(image.erase(100, 4096), Err(StorageError::Range));
        assert_eq!(image.erase(8192, 4096), Err(StorageError::Range));
    }

    #[test]
    fn a_full_disk_is_reported_as_full() {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let image = FlashFile { file, path, size: 8192, log: quiet() };
        assert_eq!(image.write(0, b"x"), Err(StorageError::Full));
        assert_eq!(image.erase(0, 4096), Err(StorageError::Full));
    }

    /// A file system of 600 KB at a folder of its own; `None` where this user may not mount.
    struct SmallDisk(tempfile::TempDir);

    impl SmallDisk {
        fn mount() -> Option<Self> {
            let dir = tempfile::tempdir().unwrap();
            let path = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
            let (kind, options) = (c"tmpfs".as_ptr(), c"size=600k".as_ptr());
            // SAFETY: NUL-terminated strings that live for the call.
            let mounted = unsafe { libc::mount(kind, path.as_ptr(), kind, 0, options.cast()) };
            if mounted != 0 {
                eprintln!("left out, no mount: {}", io::Error::last_os_error());
                return None;
            }
            Some(SmallDisk(dir))
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let path = std::ffi::CString::new(self.0.path().to_str().unwrap()).unwrap();
            // SAFETY: a NUL-terminated string that lives for the call.
            unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        }
    }

    #[test]
    fn free_space_is_what_the_file_system_has_and_the_image_holds() {
        let Some(disk) = SmallDisk::mount() else { return };
        let folder = Folder::open(disk.0.path()).unwrap();
        let mut files = Files::open(&folder, 64 << 20, quiet()).unwrap();
        let free = files.free_space();
        // 600 KB without the journal and what is spared.
        assert!((450 * 1024..=504 * 1024).contains(&free), "{free}");
        assert_eq!((free % ERASE_UNIT, files.module_space()), (0, free / 2));
        let image = files.area(Area::Image);
        image.erase(0, free).unwrap();
        image.write(0, &vec![7; free as usize]).unwrap();
        // What is staged is room for what is staged next, and module firmware of half of it can be taken over.
        assert_eq!(files.free_space(), free);
        files.area(Area::Image).discard().unwrap();
        let half = files.module_space();
        files.area(Area::Image).write(0, &vec![7; half as usize]).unwrap();
        folder.replace("module.bin", |file| file.write_all(&vec![7; half as usize])).unwrap();
    }

    #[test]
    fn a_discarded_image_gives_its_blocks_back_and_keeps_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut files = Files::open(&folder, 1 << 20, quiet()).unwrap();
        let image = files.area(Area::Image);
        image.write(0, &[7; 256 * 1024]).unwrap();
        image.sync().unwrap();
        assert!(fs::metadata(folder.file("image")).unwrap().blocks() >= 512);
        image.discard().unwrap();
        let meta = fs::metadata(folder.file("image")).unwrap();
        assert_eq!((meta.len(), meta.blocks()), (1 << 20, 0));
    }

    #[test]
    fn a_second_owner_of_the_folder_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path()).unwrap();
        let message = Folder::open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("in use by another process"), "{message}");
        assert!(message.contains(&dir.path().display().to_string()), "{message}");
        drop(first);
        Folder::open(dir.path()).unwrap();
    }

    #[test]
    fn a_relative_folder_stays_where_it_was_when_the_program_moves() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let relative = Path::new(dir.path().file_name().unwrap());
        let folder = Folder::open(relative).unwrap();
        assert_eq!(folder.file("image"), std::env::current_dir().unwrap().join(relative).join("image"));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let message = Folder::open(&file.join("sub")).unwrap_err().to_string();
        assert!(message.starts_with("cannot create the folder "), "{message}");
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        folder.replace("module.bin", |f| f.write_all(b"old")).unwrap();
        let failed = folder.replace("module.bin", |f| {
            f.write_all(b"half of the n")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(folder.file("module.bin")).unwrap(), b"old");
        assert!(!folder.file("module.bin.new").exists());
    }
}
