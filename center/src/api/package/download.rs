//! `GET /packages/{package}/files/{file}`.

use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;

use crate::api::Api;
use crate::api::answer::FileBytes;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::packages::download;
use crate::store::PackageId;

/// The bytes of a package's file; files are numbered from 0.
pub async fn download(
    State(api): State<Api>,
    Named((id, file)): Named<(PackageId, usize)>,
    method: Method,
    headers: HeaderMap,
) -> Result<FileBytes, ApiError> {
    self::file(&api, id, file, &method, &headers).await.map(FileBytes)
}

/// Answers with a file of a package, or the part of it that the headers ask for.
pub(crate) async fn file(
    api: &Api,
    id: PackageId,
    file: usize,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let package = api.engine.store().read().await?.package(id).await?;
    let missing = || ApiError::missing("file", &format!("{file} in version package {}", id.0));
    let found = package.content.files.get(file).ok_or_else(missing)?;
    let mut response = download::send(&api.objects, found, method, headers).await;
    // The name may hold what a header must not; what a file is saved as is the client's decision anyway.
    let name: String = found
        .name
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
