//! Downloads by signed URL: the answers that a device's HTTP client needs (QUECTHING.md 4.7).
//!
//! Status 200 or 206, an exact `Content-Length`, never chunked, a redirect only where the device follows one; the bytes stream
//! from the object store.

use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LOCATION, RANGE,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::time::sleep;
use tracing::{debug, error, warn};

use super::object_store::{ObjectError, Objects};
use super::range::{self, Wanted};
use super::signature::{PublicUrl, Token, UrlKeys};
use crate::metrics::Metrics;
use crate::rules::ComponentNo;
use crate::rules::component_fsm::is_quecota;
use crate::store::{PackageFile, Store, StoreError, UpgradeId};

/// How often it is tried to keep the progress of a download, and the pause between two tries: some minutes in all.
const PROGRESS_ATTEMPTS: u32 = 60;
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);
/// How long a URL of the object store is good: for one request, of 100 MB over a slow line.
const PRESIGNED: Duration = Duration::from_secs(60 * 60);

/// Longest URL that a device with quecota follows.
const REDIRECT_MAX: usize = 2048;

/// Why devices cannot be sent to the object store.
#[derive(Debug, thiserror::Error)]
pub enum NoRedirect {
    /// Packages in a folder have no URL of their own.
    #[error("only an S3 store, --packages s3://BUCKET/PREFIX, answers downloads itself")]
    Folder,
    /// A download that begins under TLS stays there.
    #[error(
        "the store is at an http:// address, and devices do not follow there from {0}: give AWS_ENDPOINT an https:// \
         address, or leave --presigned out"
    )]
    LeavesTls(String),
    /// The credentials are part of the URL.
    #[error(
        "URLs of the store have {0} characters with these credentials, and devices follow one of at most {REDIRECT_MAX}: \
         take credentials with a shorter session token or none, or leave --presigned out"
    )]
    TooLong(usize),
    /// The store cannot be asked.
    #[error(transparent)]
    Objects(#[from] ObjectError),
}

/// Whether devices with quecota can follow where [`Downloads::presigned`] sends them.
pub async fn check_redirects(objects: &Objects, public: &PublicUrl) -> Result<(), NoRedirect> {
    let url = objects.presigned(&[0; 32], PRESIGNED).await?.ok_or(NoRedirect::Folder)?;
    let public = public.to_string();
    if public.starts_with("https:") && !url.starts_with("https:") {
        return Err(NoRedirect::LeavesTls(public));
    }
    if url.len() > REDIRECT_MAX { Err(NoRedirect::TooLong(url.len())) } else { Ok(()) }
}

/// What downloads need.
#[derive(Debug, Clone)]
pub struct Downloads {
    /// The files.
    pub objects: Objects,
    /// The keys that URLs are signed with.
    pub keys: UrlKeys,
    /// Says whether an upgrade is over, and remembers how far its device is.
    pub store: Store,
    /// Counts what is sent.
    pub metrics: Metrics,
    /// Whether devices with quecota are sent to the object store by a redirect. Vendor devices never are: they follow none.
    pub presigned: bool,
}

impl Downloads {
    /// `/f/TOKEN/SIGNATURE/NAME`.
    pub fn router(self) -> Router {
        Router::new().route("/f/{token}/{signature}/{*name}", get(download)).with_state(self)
    }

    /// The file that a token stands for, unless its upgrade is over or its user has cancelled it.
    async fn find(&self, token: Token) -> Result<Option<(Content, Progress, Way)>, StoreError> {
        let mut queries = self.store.read().await?;
        let upgrade = match queries.upgrade(token.upgrade).await {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            upgrade => upgrade?,
        };
        if upgrade.ended.is_some() || upgrade.cancelled.is_some() {
            return Ok(None);
        }
        let Some(part) = upgrade.components.into_iter().find(|part| part.package == token.package) else {
            return Ok(None);
        };
        let Some(package) = queries.find_package(token.package).await? else { return Ok(None) };
        let files = package.content.files;
        let before = files.iter().take(token.file_index).map(|file| file.size).sum();
        let Some(file) = files.get(token.file_index) else { return Ok(None) };
        let content = Content { sha256: file.digests.sha256, size: file.size };
        let progress = Progress {
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            upgrade: upgrade.id,
            component: part.component,
            reached: before,
            moved: Moved::No,
        };
        let way = if self.presigned
            && queries.device_by_id(upgrade.device).await?.sdk_version.as_deref().is_some_and(is_quecota)
        {
            Way::Store
        } else {
            Way::Center
        };
        Ok(Some((content, progress, way)))
    }

    /// Sends a device to the object store.
    async fn redirect(&self, content: Content, mut progress: Progress, headers: &HeaderMap) -> Response {
        // The bytes do not come by here. It has what is before those that it asks for.
        if let Wanted::Part { first, .. } = wanted(content, headers)
            && first > 0
        {
            progress.advance(first);
        }
        match self.objects.presigned(&content.sha256, PRESIGNED).await {
            Ok(Some(url)) => {
                (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, url), (CONTENT_LENGTH, "0".to_owned())])
                    .into_response()
            }
            Ok(None) => refuse(StatusCode::NOT_FOUND, "the packages are in no store that answers by itself"),
            Err(error) => {
                warn!(%error, "a download was put off");
                refuse(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store of the packages is not available now; try again",
                )
            }
        }
    }
}

async fn download(
    State(downloads): State<Downloads>,
    Path((token, signature, _name)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if !downloads.keys.verify(&token, &signature) {
        downloads.metrics.download(StatusCode::FORBIDDEN.as_u16());
        return refuse(StatusCode::FORBIDDEN, "this center did not sign this URL");
    }
    let found = match token.parse() {
        Ok(token) => downloads.find(token).await,
        Err(_) => Ok(None),
    };
    let response = match found {
        Ok(Some((content, progress, Way::Store))) => downloads.redirect(content, progress, &headers).await,
        Ok(Some((content, progress, Way::Center))) => {
            answer(&downloads.objects, content, Some(progress), &method, &headers).await
        }
        Ok(None) => refuse(StatusCode::NOT_FOUND, "the upgrade that this URL was made for is over"),
        Err(error) => {
            warn!(%error, "a download was put off");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the center's database is not available now; try again")
        }
    };
    downloads.metrics.download(response.status().as_u16());
    response
}

/// Answers an operator's download of a package's file, by ranges too.
pub async fn send(objects: &Objects, file: &PackageFile, method: &Method, headers: &HeaderMap) -> Response {
    let content = Content { sha256: file.digests.sha256, size: file.size };
    answer(objects, content, None, method, headers).await
}

/// How far a device is in the files of its component's package, told to the store when the answer ends, whole or not.
#[derive(Debug)]
struct Progress {
    store: Store,
    metrics: Metrics,
    upgrade: UpgradeId,
    component: ComponentNo,
    /// Bytes of the package up to here, files before this one included.
    reached: u64,
    moved: Moved,
}

/// Who answers a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// This center.
    Center,
    /// The object store itself.
    Store,
}

/// Whether the device is known to have come further.
#[derive(Debug, PartialEq, Eq)]
enum Moved {
    No,
    Yes,
}

impl Progress {
    fn count(&mut self, bytes: &Bytes) {
        self.metrics.downloaded(bytes.len() as u64);
        self.advance(bytes.len() as u64);
    }

    fn advance(&mut self, bytes: u64) {
        self.reached = self.reached.saturating_add(bytes);
        self.moved = Moved::Yes;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let (Moved::Yes, Ok(runtime)) = (&self.moved, Handle::try_current()) else { return };
        let (store, upgrade, component, reached) =
            (self.store.clone(), self.upgrade, self.component.clone(), self.reached);
        runtime.spawn(async move {
            // Without it a failure may count that need not, and lists are wrong: it waits for its turn.
            for _ in 0..PROGRESS_ATTEMPTS {
                let raised = async {
                    let mut store = store.write().await?;
                    store.raise_fetched(upgrade, &component, reached).await?;
                    store.commit().await
                };
                match raised.await {
                    Err(error) if error.is_temporary() => {
                        debug!(%error, upgrade = upgrade.0, "the progress of a download is kept later");
                        sleep(PROGRESS_PAUSE).await;
                    }
                    Err(error) => {
                        error!(%error, upgrade = upgrade.0, "the progress of a download cannot be kept");
                        return;
                    }
                    Ok(()) => return,
                }
            }
            warn!(
                upgrade = upgrade.0,
                "the progress of a download was not kept: the database was away for too long"
            );
        });
    }
}

/// A content that may be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content {
    /// Its name in the object store.
    sha256: [u8; 32],
    /// Bytes.
    size: u64,
}

impl Content {
    /// The content is its digest, so the tag is as strong as a tag can be.
    fn tag(self) -> String {
        format!("\"{}\"", hex::encode(self.sha256))
    }
}

/// What a GET asks for.
fn wanted(content: Content, headers: &HeaderMap) -> Wanted {
    asked_range(headers, &content.tag()).map_or(Wanted::Whole, |asked| range::read(asked, content.size))
}

/// Answers GET and HEAD for one content.
async fn answer(
    objects: &Objects,
    content: Content,
    progress: Option<Progress>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    // A range has a meaning for GET only (RFC 9110 14.2).
    let wanted = if method == Method::GET { wanted(content, headers) } else { Wanted::Whole };
    let (status, first, end) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, content.size),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last + 1),
        Wanted::Outside => {
            let head =
                [(CONTENT_RANGE, format!("bytes */{}", content.size)), (ACCEPT_RANGES, "bytes".to_owned())];
            let reason = format!("this file has {} bytes; the range asked for is outside\n", content.size);
            return (StatusCode::RANGE_NOT_SATISFIABLE, head, reason).into_response();
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        match objects.read(&content.sha256, first..end).await {
            Ok(bytes) => match progress {
                Some(mut progress) => {
                    progress.reached = progress.reached.saturating_add(first);
                    Body::from_stream(counted(bytes, progress))
                }
                None => Body::from_stream(bytes),
            },
            Err(error @ ObjectError::Missing(_)) => {
                warn!(%error, "a download of a file that a package has");
                return refuse(StatusCode::NOT_FOUND, "the file is gone");
            }
            Err(error) => {
                error!(%error, "a download failed");
                return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the center could not read the file");
            }
        }
    };
    let mut response = (
        status,
        [
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
            (CONTENT_LENGTH, (end - first).to_string()),
            (ACCEPT_RANGES, "bytes".to_owned()),
            (ETAG, content.tag()),
        ],
        body,
    )
        .into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(range) = format!("bytes {first}-{}/{}", end - 1, content.size).parse()
    {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    response
}

/// The bytes, with the device's progress counted along.
fn counted<E: std::fmt::Display>(
    bytes: Pin<Box<dyn Stream<Item = Result<Bytes, E>> + Send>>,
    mut progress: Progress,
) -> impl Stream<Item = Result<Bytes, E>> + Send {
    bytes.inspect(move |part| match part {
        Ok(part) => progress.count(part),
        // After the head, a failure can only be told by ending the connection short of Content-Length.
        Err(error) => error!(%error, upgrade = progress.upgrade.0, "a download broke off"),
    })
}

/// The range asked for, unless it is asked for of a content that is not this one.
fn asked_range<'h>(headers: &'h HeaderMap, tag: &str) -> Option<&'h str> {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return None };
    if headers.get(IF_RANGE).is_some_and(|condition| condition.as_bytes() != tag.as_bytes()) {
        return None;
    }
    range.to_str().ok()
}

/// A refusal in plain text.
fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, format!("{reason}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn get(
        objects: &Objects,
        content: Content,
        method: Method,
        headers: &[(&str, &str)],
    ) -> (Response, Vec<u8>) {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let progress = Progress {
            store: Store::in_memory().await.unwrap(),
            metrics: Metrics::default(),
            upgrade: UpgradeId(1),
            component: ComponentNo::new("STM32").unwrap(),
            reached: 0,
            moved: Moved::No,
        };
        let (parts, body) = answer(objects, content, Some(progress), &method, &headers).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (Response::from_parts(parts, Body::empty()), body)
    }

    #[tokio::test]
    async fn a_range_of_another_content_is_answered_whole() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        let mut incoming = objects.receive().await.unwrap();
        incoming.write(b"0123456789").await.unwrap();
        let staged = incoming.finish().await.unwrap();
        let content = Content { sha256: staged.digests.sha256, size: staged.size };
        objects.keep(staged).await.unwrap();

        let (response, body) = get(&objects, content, Method::GET, &[("range", "bytes=2-3")]).await;
        assert_eq!((response.status(), body.as_slice()), (StatusCode::PARTIAL_CONTENT, &b"23"[..]));
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes 2-3/10");
        let tag = response.headers()[ETAG].to_str().unwrap().to_owned();

        let (response, _) =
            get(&objects, content, Method::GET, &[("range", "bytes=2-3"), ("if-range", &tag)]).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        let (response, body) =
            get(&objects, content, Method::GET, &[("range", "bytes=2-3"), ("if-range", "\"other\"")]).await;
        assert_eq!((response.status(), body.len()), (StatusCode::OK, 10));

        let (response, body) = get(&objects, content, Method::HEAD, &[("range", "bytes=2-3")]).await;
        assert_eq!((response.status(), body.len()), (StatusCode::OK, 0));
        assert_eq!(response.headers()[CONTENT_LENGTH], "10");

        let (response, _) = get(&objects, content, Method::GET, &[("range", "bytes=10-")]).await;
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes */10");
    }

    #[tokio::test]
    async fn a_content_that_vanished_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        let content = Content { sha256: [1; 32], size: 10 };
        let (response, _) = get(&objects, content, Method::GET, &[]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
