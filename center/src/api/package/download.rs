//! `GET /packages/{package}/files/{file}`.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

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
    let answer = self::file(&api, id, file, &method, &headers).await?;
    match answer.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let range = headers.get(RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
            let error = ApiError::invalid("range", "Range", range, "the file has no such part");
            let mut refused = error.with_status(StatusCode::RANGE_NOT_SATISFIABLE).into_response();
            if let Some(size) = answer.headers().get(CONTENT_RANGE) {
                refused.headers_mut().insert(CONTENT_RANGE, size.clone());
            }
            Ok(FileBytes(refused))
        }
        StatusCode::NOT_FOUND => {
            Err(ApiError::missing("file", &format!("{file} in version package {}", id.0)))
        }
        status if status.is_server_error() => Err(ApiError::new(
            status,
            "file_unreadable",
            "the center could not read the file; its log says why",
        )),
        _ => Ok(FileBytes(answer)),
    }
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
