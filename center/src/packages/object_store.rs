//! Where the files of packages are kept: an object store, each content once, under its SHA-256.
//!
//! A file streams in under `incoming/` and gets its name `sha256/ab/ab12...` only when it is whole and on
//! disk, so a name always stands for its content. What is dropped on the way takes its bytes along.

use std::io;
use std::ops::Range;
use std::path::{Path as FolderPath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::Method;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::signer::Signer;
use object_store::{
    ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::store::Digests;

/// Bytes gathered before they are written: the least that S3-compatible stores take as a part, and so all the
/// memory that an upload of any size needs.
const PART: usize = 5 * 1024 * 1024;

/// Bytes of a content in a folder that are read at once.
const READ: usize = 256 * 1024;

/// How long a request to an S3-compatible store may take, its repetitions included: an upload or a download waits for it.
const S3_DEADLINE: Duration = Duration::from_secs(20);
/// The longest silence of such a store.
const S3_TIMEOUT: Duration = Duration::from_secs(10);
const S3_RETRIES: usize = 3;

/// Where files that are not whole yet come in.
const INCOMING: &str = "incoming";
/// Where contents are kept.
const CONTENTS: &str = "sha256";

/// Why the object store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// No room for the bytes; nothing of them is left.
    #[error("the center's disk is full: {0}; free some space and send the file again")]
    Full(#[source] object_store::Error),
    /// The content is not there (any more).
    #[error("the content {0} is not in the object store")]
    Missing(String),
    /// The folder cannot be used.
    #[error("cannot use the folder {folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The place is none.
    #[error("--packages {place:?}: {rule}")]
    Place {
        /// As given.
        place: String,
        /// What would be right.
        rule: String,
    },
    /// Any other failure of the object store.
    #[error("the object store failed: {}", to_its_root(.0))]
    Store(#[source] object_store::Error),
}

/// The error, and the cause at its root if it keeps that to itself: a name that is not known, a certificate.
fn to_its_root(error: &object_store::Error) -> String {
    let text = error.to_string();
    let causes =
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    match causes.last().map(ToString::to_string) {
        Some(root) if !text.contains(&root) => format!("{text}: {root}"),
        _ => text,
    }
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        if is_full(&error) { Self::Full(error) } else { Self::Store(error) }
    }
}

/// Whether an input/output error at the root of `error` says that there is no room.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            );
        }
        cause = error.source();
    }
    false
}

/// The files of all packages.
#[derive(Debug, Clone)]
pub struct Objects {
    backend: Arc<dyn ObjectStore>,
    /// The folder that the files are in; none: they are elsewhere.
    folder: Option<Arc<FolderPath>>,
    /// Whether the bytes of an upload that is dropped stay until somebody says that they may go.
    keeps_dropped: bool,
    /// The bucket and the prefix in it, for URLs that the store answers itself.
    s3: Option<(Arc<AmazonS3>, Path)>,
}

impl Objects {
    /// The place that an operator names: a folder, or `s3://BUCKET` or `s3://BUCKET/PREFIX` with the usual variables of the
    /// environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT; AWS_ALLOW_HTTP for http://).
    pub async fn at(place: &str, abandoned_after: Duration) -> Result<Self, ObjectError> {
        let Some(bucket) = place.strip_prefix("s3://") else {
            if place.is_empty() || place.contains("://") {
                let rule = "it is a folder, or s3://BUCKET or s3://BUCKET/PREFIX".to_owned();
                return Err(ObjectError::Place { place: place.to_owned(), rule });
            }
            return Self::in_folder(FolderPath::new(place), abandoned_after);
        };
        let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        let refused = |rule: String| ObjectError::Place { place: place.to_owned(), rule };
        let retries =
            RetryConfig { max_retries: S3_RETRIES, retry_timeout: S3_DEADLINE, ..RetryConfig::default() };
        let options = ClientOptions::new()
            .with_timeout(S3_DEADLINE)
            .with_connect_timeout(S3_TIMEOUT)
            .with_allow_http(std::env::var("AWS_ALLOW_HTTP").is_ok_and(|allow| allow == "true"));
        let bucket = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retries)
            .with_client_options(options)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let s3 = Arc::new(bucket);
        let backend: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&s3), prefix));
        let objects = Self { backend, folder: None, keeps_dropped: true, s3: Some((s3, Path::from(prefix))) };
        objects
            .check()
            .await
            .map_err(|error| refused(format!("the store does not answer as it should: {error}")))?;
        objects.remove_incoming(abandoned_after).await?;
        Ok(objects)
    }

    /// Whether the store answers.
    pub async fn check(&self) -> Result<(), ObjectError> {
        // The content of no bytes: most likely it is not there, which is an answer.
        self.holds(&Sha256::digest([]).into()).await.map(drop)
    }

    /// A URL by which the store itself answers a download of a content, for so long; none: it is a folder.
    pub async fn presigned(&self, sha256: &[u8; 32], valid: Duration) -> Result<Option<String>, ObjectError> {
        let Some((s3, prefix)) = &self.s3 else { return Ok(None) };
        let place: Path = prefix.parts().chain(place_of(sha256).parts()).collect();
        Ok(Some(s3.signed_url(Method::GET, &place, valid).await?.to_string()))
    }

    /// Contents that were not written for `age`, each by its SHA-256.
    pub async fn older_than(&self, age: Duration) -> Result<Vec<([u8; 32], String)>, ObjectError> {
        let now = SystemTime::now();
        let mut contents = self.backend.list(Some(&Path::from(CONTENTS)));
        let mut old = Vec::new();
        while let Some(object) = contents.try_next().await? {
            let written = SystemTime::from(object.last_modified);
            let mut sha256 = [0; 32];
            let name = object.location.filename().unwrap_or_default();
            if hex::decode_to_slice(name, &mut sha256).is_ok()
                && now.duration_since(written).unwrap_or_default() >= age
            {
                old.push((sha256, object.location.to_string()));
            }
        }
        Ok(old)
    }

    /// Removes what came in whole and never got its name, and was not written for `age`.
    async fn remove_incoming(&self, age: Duration) -> Result<(), ObjectError> {
        let now = SystemTime::now();
        let found: Vec<_> = self.backend.list(Some(&Path::from(INCOMING))).try_collect().await?;
        for object in found {
            if now.duration_since(SystemTime::from(object.last_modified)).unwrap_or_default() >= age {
                self.backend.delete(&object.location).await?;
            }
        }
        Ok(())
    }

    /// Files in `folder`, which is made if it is not there. What an earlier process left half-written there and
    /// nobody has touched for `abandoned_after` is removed.
    pub fn in_folder(folder: &FolderPath, abandoned_after: Duration) -> Result<Self, ObjectError> {
        let failed = |source| ObjectError::Folder { folder: folder.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        remove_abandoned(&folder.join(INCOMING), abandoned_after).map_err(failed)?;
        let backend = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self { backend: Arc::new(backend), folder: Some(folder.into()), keeps_dropped: false, s3: None })
    }

    /// Begins to take in one file.
    pub async fn receive(&self) -> Result<Incoming, ObjectError> {
        let place = Path::from(format!("{INCOMING}/{:032x}", rand::random::<u128>()));
        let upload = Upload::new(self.backend.put_multipart(&place).await?, self.keeps_dropped);
        Ok(Incoming {
            upload,
            place,
            gathered: BytesMut::new(),
            size: 0,
            md5: Md5::new(),
            crc32: crc32fast::Hasher::new(),
            sha256: Sha256::new(),
        })
    }

    /// Whether the content is there.
    pub async fn holds(&self, sha256: &[u8; 32]) -> Result<bool, ObjectError> {
        match self.backend.head(&place_of(sha256)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file that is whole its name; a content that is there already stays one file.
    pub async fn keep(&self, file: Staged) -> Result<(), ObjectError> {
        let Staged { upload, place, digests, .. } = file;
        upload.complete().await?;
        if let Err(error) = self.backend.rename(&place, &place_of(&digests.sha256)).await {
            // The first error is the one to tell; what stays is removed at the next start.
            let _ = self.backend.delete(&place).await;
            return Err(error.into());
        }
        Ok(())
    }

    /// Removes a content.
    pub async fn remove(&self, sha256: &[u8; 32]) -> Result<(), ObjectError> {
        match self.backend.delete(&place_of(sha256)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The file of a content, where contents are files.
    pub(super) fn file_of(&self, sha256: &[u8; 32]) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(place_of(sha256).as_ref()))
    }

    /// Streams the bytes of `range` of a content, a few at a time.
    pub async fn read(
        &self,
        sha256: &[u8; 32],
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, object_store::Error>>, ObjectError> {
        if let Some(file) = self.file_of(sha256) {
            return read_file(&file, sha256, range).await;
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        match self.backend.get_opts(&place_of(sha256), options).await {
            Ok(found) => Ok(found.into_stream()),
            Err(object_store::Error::NotFound { .. }) => Err(ObjectError::Missing(hex::encode(sha256))),
            Err(error) => Err(error.into()),
        }
    }
}

/// Streams the bytes of `range` of a content in a file: by large reads, for each is a visit to another thread.
async fn read_file(
    file: &FolderPath,
    sha256: &[u8; 32],
    range: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes, object_store::Error>>, ObjectError> {
    let failed =
        |error: io::Error| object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) };
    let mut file = match tokio::fs::File::open(file).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ObjectError::Missing(hex::encode(sha256)));
        }
        Err(error) => return Err(failed(error).into()),
    };
    let bytes = file.metadata().await.map_err(failed)?.len();
    if bytes < range.end {
        let short = format!("the content {} has {bytes} bytes and not {}", hex::encode(sha256), range.end);
        return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, short)).into());
    }
    file.seek(io::SeekFrom::Start(range.start)).await.map_err(failed)?;
    let wanted = range.end.saturating_sub(range.start);
    let step = usize::try_from(wanted).unwrap_or(READ).clamp(1, READ);
    Ok(ReaderStream::with_capacity(file.take(wanted), step).map_err(failed).boxed())
}

/// The parts of a file on their way into the store.
#[derive(Debug)]
struct Upload {
    parts: Option<Box<dyn MultipartUpload>>,
    keeps_dropped: bool,
}

impl Upload {
    fn new(parts: Box<dyn MultipartUpload>, keeps_dropped: bool) -> Self {
        Self { parts: Some(parts), keeps_dropped }
    }

    async fn put_part(&mut self, part: PutPayload) -> Result<(), object_store::Error> {
        match &mut self.parts {
            Some(parts) => parts.put_part(part).await,
            None => Err(ended()),
        }
    }

    async fn complete(mut self) -> Result<(), object_store::Error> {
        // Of an upload that cannot be completed nothing is seen; its parts go with it.
        match &mut self.parts {
            Some(parts) => parts.complete().await.map(drop)?,
            None => return Err(ended()),
        }
        self.parts = None;
        Ok(())
    }

    async fn abort(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            // That the removal fails too changes nothing: what is abandoned is removed later.
            let _ = parts.abort().await;
        }
    }
}

/// Never seen: an upload that has ended is not used any more.
fn ended() -> object_store::Error {
    object_store::Error::Generic { store: "upload", source: "it has ended".into() }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (true, Some(mut parts), Ok(runtime)) =
            (self.keeps_dropped, self.parts.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                // The store's own rule for unfinished uploads takes what cannot be removed now.
                let _ = parts.abort().await;
            });
        }
    }
}

/// A file that streams in. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Incoming {
    upload: Upload,
    place: Path,
    gathered: BytesMut,
    size: u64,
    md5: Md5,
    crc32: crc32fast::Hasher,
    sha256: Sha256,
}

/// A file that came in whole and has no name yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Staged {
    upload: Upload,
    place: Path,
    /// Bytes.
    pub size: u64,
    /// Its digests.
    pub digests: Digests,
}

impl Staged {
    /// The name that the object store will keep it under.
    #[must_use]
    pub fn object(&self) -> String {
        place_of(&self.digests.sha256).to_string()
    }
}

impl Incoming {
    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        self.size += bytes.len() as u64;
        self.md5.update(bytes);
        self.crc32.update(bytes);
        self.sha256.update(bytes);
        self.gathered.extend_from_slice(bytes);
        while self.gathered.len() >= PART {
            let part = self.gathered.split_to(PART).freeze();
            self.store(part).await?;
        }
        Ok(())
    }

    /// Ends the file: its bytes are handed to the store and its digests are known.
    pub async fn finish(mut self) -> Result<Staged, ObjectError> {
        let rest = self.gathered.split().freeze();
        if !rest.is_empty() {
            self.store(rest).await?;
        }
        let digests = Digests {
            md5: self.md5.finalize().into(),
            crc32: self.crc32.finalize(),
            sha256: self.sha256.finalize().into(),
        };
        Ok(Staged { upload: self.upload, place: self.place, size: self.size, digests })
    }

    async fn store(&mut self, part: Bytes) -> Result<(), ObjectError> {
        let written = self.upload.put_part(part.into()).await;
        if written.is_err() {
            // At once, so that the room is free before anybody is told that there was none.
            self.upload.abort().await;
        }
        Ok(written?)
    }
}

/// Where a content is kept.
fn place_of(sha256: &[u8; 32]) -> Path {
    let name = hex::encode(sha256);
    let shelf = name.get(..2).unwrap_or_default();
    Path::from(format!("{CONTENTS}/{shelf}/{name}"))
}

/// Removes the files of `folder` that were not written to for `age`: uploads cut off by the end of a process.
fn remove_abandoned(folder: &FolderPath, age: Duration) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let touched = entry.metadata()?.modified()?;
        // A file from the future is as fresh as one of now.
        if SystemTime::now().duration_since(touched).unwrap_or_default() >= age {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_under(folder: &FolderPath) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.file_name().into_string().unwrap());
                }
            }
        }
        found
    }

    async fn kept(objects: &Objects, content: &[u8]) -> Digests {
        let mut incoming = objects.receive().await.unwrap();
        for bytes in content.chunks(100_000) {
            incoming.write(bytes).await.unwrap();
        }
        let staged = incoming.finish().await.unwrap();
        let digests = staged.digests;
        objects.keep(staged).await.unwrap();
        digests
    }

    #[tokio::test]
    async fn digests_are_those_of_the_standards() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        let digests = kept(&objects, b"123456789").await;
        assert_eq!(hex::encode(digests.md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(digests.crc32, 0xcbf4_3926);
        assert_eq!(
            hex::encode(digests.sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
    }

    #[tokio::test]
    async fn the_same_content_is_stored_once_and_reads_back_by_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        let content: Vec<u8> = (0..PART * 2 + 17).map(|i| (i % 251) as u8).collect();
        let digests = kept(&objects, &content).await;
        assert_eq!(kept(&objects, &content).await, digests);
        assert_eq!(files_under(folder.path()), [hex::encode(digests.sha256)]);
        for range in [0..content.len(), 0..1, PART - 1..PART + 1, content.len() - 1..content.len()] {
            let stream = objects.read(&digests.sha256, range.start as u64..range.end as u64).await.unwrap();
            let parts: Vec<Bytes> = stream.try_collect().await.unwrap();
            assert_eq!(parts.concat(), &content[range]);
        }
        objects.remove(&digests.sha256).await.unwrap();
        assert!(!objects.holds(&digests.sha256).await.unwrap());
        let missing = objects.read(&digests.sha256, 0..1).await.err().unwrap();
        assert!(missing.to_string().contains(&hex::encode(digests.sha256)));
    }

    #[tokio::test]
    async fn an_upload_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        let mut incoming = objects.receive().await.unwrap();
        incoming.write(&vec![1; PART + 1]).await.unwrap();
        assert_eq!(files_under(folder.path()).len(), 1);
        drop(incoming);
        let mut incoming = objects.receive().await.unwrap();
        incoming.write(b"whole, but refused").await.unwrap();
        drop(incoming.finish().await.unwrap());
        // The removal runs on the runtime's blocking threads: wait for it, not for a time.
        while !files_under(folder.path()).is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_removed_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let incoming = folder.path().join("incoming");
        std::fs::create_dir(&incoming).unwrap();
        std::fs::write(incoming.join("ab#1"), b"half").unwrap();
        Objects::in_folder(folder.path(), Duration::from_secs(3600)).unwrap();
        assert_eq!(files_under(folder.path()).len(), 1, "it may be another center's upload");
        Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        assert!(files_under(folder.path()).is_empty());
    }
}
