//! Downloads by signed URL: the answers that a device's HTTP client needs (QUECTHING.md 4.7).
//!
//! Status 200 or 206, an exact `Content-Length`, never chunked, a redirect only where the device follows one; the bytes stream
//! from the object store.

use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LOCATION, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt};
use tracing::{error, warn};

use super::object_store::{ObjectError, Objects};
use super::progress::{Progress, ProgressQueue};
use super::range::{self, Wanted};
use super::signature::{PublicUrl, Token, UrlKeys};
use crate::metrics::Metrics;
use crate::rules::component_fsm::is_quecota;
use crate::rules::{ComponentNo, DeviceId};
use crate::store::{PackageFile, PlanId, Store, StoreError, UpgradeId};

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
    /// Says whether an upgrade is over.
    pub store: Store,
    /// Remembers how far its device is.
    pub progress: ProgressQueue,
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
    pub(super) async fn find(&self, token: Token) -> Result<Option<Found>, StoreError> {
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
        let way = if self.presigned
            && queries.device_by_id(upgrade.device).await?.sdk_version.as_deref().is_some_and(is_quecota)
        {
            Way::Store
        } else {
            Way::Center
        };
        Ok(Some(Found {
            content: Content { sha256: file.digests.sha256, size: file.size },
            way,
            upgrade: upgrade.id,
            device: upgrade.device,
            plan: upgrade.plan,
            component: part.component,
            before,
        }))
    }

    /// Counts an answer that begins at `first`.
    pub(super) fn progress(&self, found: &Found, first: u64) -> Progress {
        let (queue, metrics) = (self.progress.clone(), self.metrics.clone());
        let reached = found.before.saturating_add(first);
        Progress::new(queue, metrics, found.upgrade, found.component.clone(), reached)
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
        Ok(Some(found)) if found.way == Way::Store => {
            let progress = downloads.progress(&found, 0);
            downloads.redirect(found.content, progress, &headers).await
        }
        Ok(Some(found)) => {
            let progress = |first| downloads.progress(&found, first);
            answer(&downloads.objects, found.content, Some(progress), &method, &headers).await
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
    answer(objects, content, None::<fn(u64) -> Progress>, method, headers).await
}

/// What a token stands for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) content: Content,
    pub(super) way: Way,
    upgrade: UpgradeId,
    pub(super) device: DeviceId,
    pub(super) plan: Option<PlanId>,
    component: ComponentNo,
    /// Bytes of the package before this file.
    before: u64,
}

/// Who answers a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// This center.
    Center,
    /// The object store itself.
    Store,
}

/// A content that may be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// Its name in the object store.
    pub(super) sha256: [u8; 32],
    /// Bytes.
    pub(super) size: u64,
}

/// What is answered to a GET or HEAD.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The bytes of the content that follow a GET's head, or a text.
    pub(super) bytes: Result<Range<u64>, String>,
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
pub(super) fn reply(content: Content, method: &Method, headers: &HeaderMap) -> Reply {
    // A range has a meaning for GET only (RFC 9110 14.2).
    let wanted = if method == Method::GET { wanted(content, headers) } else { Wanted::Whole };
    let size = content.size;
    let (status, bytes, part) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size, None),
        Wanted::Part { first, last } => {
            (StatusCode::PARTIAL_CONTENT, first..last + 1, Some(format!("bytes {first}-{last}/{size}")))
        }
        Wanted::Outside => {
            let reason = format!("this file has {size} bytes; the range asked for is outside\n");
            let fields = [
                (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
                (ACCEPT_RANGES, "bytes".to_owned()),
                (CONTENT_RANGE, format!("bytes */{size}")),
            ];
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return Reply { status, headers: fields_of(fields), bytes: Err(reason) };
        }
    };
    let mut headers = fields_of([
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, (bytes.end - bytes.start).to_string()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (ETAG, content.tag()),
    ]);
    headers.extend(fields_of(part.map(|part| (CONTENT_RANGE, part))));
    Reply { status, headers, bytes: Ok(bytes) }
}

/// Digits, letters and quotes are what a header may hold, so none is left out.
fn fields_of(fields: impl IntoIterator<Item = (HeaderName, String)>) -> HeaderMap {
    let value = |(name, value)| Some((name, HeaderValue::try_from(value).ok()?));
    fields.into_iter().filter_map(value).collect()
}

/// The same, over hyper.
async fn answer(
    objects: &Objects,
    content: Content,
    progress: Option<impl FnOnce(u64) -> Progress>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let Reply { status, headers, bytes } = reply(content, method, headers);
    let body = match bytes {
        Err(text) => Body::from(text),
        Ok(_) if method == Method::HEAD => Body::empty(),
        Ok(bytes) => match objects.read(&content.sha256, bytes.clone()).await {
            Ok(stream) => match progress {
                Some(progress) => Body::from_stream(counted(stream, progress(bytes.start))),
                None => Body::from_stream(stream),
            },
            Err(error @ ObjectError::Missing(_)) => {
                warn!(%error, "a download of a file that a package has");
                return refuse(StatusCode::NOT_FOUND, "the file is gone");
            }
            Err(error) => {
                error!(%error, "a download failed");
                return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the center could not read the file");
            }
        },
    };
    (status, headers, body).into_response()
}

/// The bytes, with the device's progress counted along.
fn counted<E: std::fmt::Display>(
    bytes: Pin<Box<dyn Stream<Item = Result<Bytes, E>> + Send>>,
    mut progress: Progress,
) -> impl Stream<Item = Result<Bytes, E>> + Send {
    bytes.inspect(move |part| match part {
        Ok(part) => progress.count(part.len() as u64),
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
        let progress = None::<fn(u64) -> Progress>;
        let (parts, body) = answer(objects, content, progress, &method, &headers).await.into_parts();
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
