//! The files of a firmware, as 0x0113 names them: one, or a module package of several (QUECTHING.md 3.4, id 20).
//!
//! A package is downloaded as one image, its files one behind another in the order of the list, and each is verified
//! when it is complete. In the image area each file begins at an erase block of its own, so that the next one never
//! touches what is verified.

use super::Piece;
use crate::digest::{Announced, Digests};
use crate::limits;
use crate::platform::{FetchUrl, StagedFile, ceil_to, floor_to};
use crate::text::Text;
use crate::wire::message::{PackageFile, Records};

/// A file of a package.
#[derive(Debug, Clone, Copy)]
struct File {
    index: u32,
    size: u32,
    md5: [u8; 16],
    /// Where its URL ends in `urls`.
    url_end: u16,
}

const NO_FILE: File = File { index: 0, size: 0, md5: [0; 16], url_end: 0 };

/// Where the bytes of an image come from.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// 0: one file, of which the image itself says all.
    count: u8,
    /// Of several files; those behind `count` are unused.
    files: [File; limits::PACKAGE_FILES],
    /// URLs, one behind another, each with a NUL.
    urls: Text<{ limits::PACKAGE_URLS }>,
}

/// Why the files cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No file, too many, or more than 4 GB together.
    #[error("a package of no file, of too many, or of more than 4 GB")]
    Files,
    /// The URLs take more than [`limits::PACKAGE_URLS`].
    #[error("the URLs of the package are too long together")]
    Urls,
}

impl Default for Package {
    fn default() -> Self {
        Self::new()
    }
}

impl Package {
    /// Nothing.
    pub const fn new() -> Self {
        Package { count: 0, files: [NO_FILE; limits::PACKAGE_FILES], urls: Text::new() }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.count = 0;
        self.urls.clear();
    }

    /// One file.
    pub fn set_url(&mut self, url: &str) -> Result<(), Unusable> {
        self.clear();
        self.push_url(url)
    }

    fn push_url(&mut self, url: &str) -> Result<(), Unusable> {
        self.urls.push(url).and_then(|()| self.urls.push("\0")).map_err(|_| Unusable::Urls)
    }

    /// The files of a list; gives the bytes in all.
    pub fn set_files(&mut self, files: &Records<'_, PackageFile<'_>>) -> Result<u32, Unusable> {
        self.clear();
        let mut size = 0u32;
        for (place, file) in files.iter().enumerate() {
            let PackageFile { index, url, size: bytes, md5 } = file;
            self.push_url(url)?;
            size = size.checked_add(bytes).ok_or(Unusable::Files)?;
            let url_end = u16::try_from(self.urls.len()).map_err(|_| Unusable::Urls)?;
            *self.files.get_mut(place).ok_or(Unusable::Files)? = File { index, size: bytes, md5, url_end };
            self.count = self.count.saturating_add(1);
        }
        if size == 0 { Err(Unusable::Files) } else { Ok(size) }
    }

    /// How many files the list has; 0: it is no list.
    #[cfg_attr(not(feature = "lists"), allow(clippy::unnecessary_min_or_max))] // then it is always 0
    pub fn count(&self) -> usize {
        usize::from(self.count).min(limits::PACKAGE_FILES)
    }

    fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().take(self.count())
    }

    /// The files with where each begins in the image.
    fn placed(&self) -> impl Iterator<Item = (u32, &File)> {
        self.files().scan(0u32, |start, file| {
            let begins = *start;
            *start = start.saturating_add(file.size);
            Some((begins, file))
        })
    }

    /// One digest for the list, so that a package is the same exactly if all of its files are.
    pub fn identity(&self) -> Announced {
        let mut digests = Digests::of(&Announced { md5: Some([0; 16]), ..Announced::default() });
        for File { index, size, md5, .. } in self.files() {
            digests.update(&index.to_be_bytes());
            digests.update(&size.to_be_bytes());
            digests.update(md5);
        }
        Announced { md5: digests.finish().md5, ..Announced::default() }
    }

    fn find(&self, start: u32) -> Option<&File> {
        self.placed().find(|(begins, _)| *begins == start).map(|(_, file)| file)
    }

    /// The file that begins at `start` of the image, as a piece of it. `None`: none does, or it is no list.
    pub fn file_at(&self, start: u32) -> Option<Piece> {
        self.find(start).map(|file| Piece { start, length: file.size })
    }

    /// What is announced of the file that begins at `start` of the image.
    pub fn announced_at(&self, start: u32) -> Option<Announced> {
        self.find(start).map(|file| Announced { md5: Some(file.md5), ..Announced::default() })
    }

    /// The URL of the file that begins at `start`; without a list, the URL.
    pub fn url(&self, start: u32) -> Option<FetchUrl<'_>> {
        if self.count() == 0 {
            return FetchUrl::of(&self.urls);
        }
        let mut from = 0;
        for (begins, file) in self.placed() {
            let end = usize::from(file.url_end);
            if begins == start {
                return self.urls.get(from..end).and_then(FetchUrl::of);
            }
            from = end;
        }
        None
    }

    /// Where in the image area the file is staged that begins at `start` of the image; 0 without a list.
    pub fn place(&self, start: u32, erase: u32) -> u32 {
        let before = self.placed().take_while(|(begins, _)| *begins < start);
        before.fold(0, |place: u32, (_, file)| place.saturating_add(ceil_to(file.size, erase)))
    }

    /// Bytes of the image area that the list takes; `u32::MAX`, which no area has, when it does not fit 32 bits.
    pub fn room(&self, erase: u32) -> u32 {
        self.files().fold(0, |room: u32, file| {
            let whole = floor_to(file.size, erase);
            let rest = if whole < file.size { erase } else { 0 };
            room.saturating_add(whole).saturating_add(rest)
        })
    }

    /// The files as they are staged, in `out`.
    pub fn staged<'o>(
        &self,
        erase: u32,
        out: &'o mut [StagedFile; limits::PACKAGE_FILES],
    ) -> &'o [StagedFile] {
        for ((start, file), place) in self.placed().zip(out.iter_mut()) {
            let offset = self.place(start, erase);
            let File { index, size, md5, .. } = file;
            place.index = *index;
            place.offset = offset;
            place.size = *size;
            place.md5.iter_mut().zip(md5).for_each(|(to, from)| *to = *from);
        }
        out.get(..self.count()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(index: u32, url: &str, size: u32) -> PackageFile<'_> {
        PackageFile { index, url, size, md5: [index as u8; 16] }
    }

    fn package(files: &[PackageFile<'_>]) -> Result<(Package, u32), Unusable> {
        let mut package = Package::new();
        let size = package.set_files(&Records::of(files))?;
        Ok((package, size))
    }

    #[test]
    #[cfg(feature = "lists")]
    fn files_lie_one_behind_another_in_the_image_and_in_blocks_of_their_own_on_flash() {
        let files = [file(3, "http://a/1", 5000), file(1, "http://a/22", 4096), file(2, "http://a/3", 1)];
        let (package, size) = package(&files).unwrap();
        assert_eq!(size, 9097);
        for (start, length, place, url) in
            [(0, 5000, 0, "http://a/1"), (5000, 4096, 8192, "http://a/22"), (9096, 1, 12288, "http://a/3")]
        {
            assert_eq!(package.file_at(start).unwrap(), Piece { start, length });
            assert_eq!((package.place(start, 4096), package.url(start).unwrap().as_str()), (place, url));
        }
        assert!(package.file_at(1).is_none());
        assert_eq!(package.room(4096), 16384);
        let mut out = [StagedFile::default(); limits::PACKAGE_FILES];
        let staged: std::vec::Vec<_> =
            package.staged(4096, &mut out).iter().map(|f| (f.index, f.offset)).collect();
        assert_eq!(staged, [(3, 0), (1, 8192), (2, 12288)]);
    }

    #[test]
    #[cfg(feature = "lists")]
    fn a_package_is_the_same_only_if_every_file_is() {
        let files = [file(0, "http://a/1", 10), file(1, "http://a/2", 20)];
        let identity = |files: &[PackageFile<'_>]| package(files).unwrap().0.identity();
        let [first, second] = files;
        assert_eq!(identity(&files), identity(&[PackageFile { url: "http://b/new", ..first }, second]));
        for other in [
            [second, first],
            [first, PackageFile { md5: [9; 16], ..second }],
            [first, PackageFile { index: 7, ..second }],
            [PackageFile { size: 11, ..first }, second],
        ] {
            assert_ne!(identity(&files), identity(&other));
        }
    }

    #[test]
    #[cfg(feature = "lists")]
    fn what_cannot_be_held_is_refused() {
        let long: std::string::String = core::iter::repeat_n('x', limits::FIRMWARE_URL).collect();
        assert!(package(&[file(0, &long, 1)]).is_ok());
        assert_eq!(package(&[file(0, &long, 1), file(1, &long, 1)]).err(), Some(Unusable::Urls));
        assert_eq!(package(&[file(0, "u", u32::MAX), file(1, "u", 1)]).err(), Some(Unusable::Files));
        assert_eq!(package(&[file(0, "u", 1); 6]).err(), Some(Unusable::Files));
        assert_eq!(package(&[]).err(), Some(Unusable::Files));
    }

    #[test]
    #[cfg(not(feature = "lists"))]
    fn without_lists_no_package_is_held() {
        for files in [&[][..], &[file(0, "u", 1)], &[file(0, "u", 1), file(1, "u", 1)]] {
            assert_eq!(package(files).err(), Some(Unusable::Files));
        }
    }
}
