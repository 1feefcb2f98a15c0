//! Lists as CSV (RFC 4180), streamed page by page: a million rows take no more memory than one page.

use std::pin::Pin;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::error::ApiError;

/// A page of rows, and where the next one begins; none: it was the last one.
pub(super) type Part = (String, Option<String>);
/// A page that is being read.
type Reading = Pin<Box<dyn Future<Output = Result<Part, ApiError>> + Send>>;

/// One row.
pub(super) fn row(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(&cell)).collect();
    format!("{}\r\n", cells.join(","))
}

fn quoted(cell: &str) -> String {
    // A spreadsheet takes such a text of a device for a formula; a number is none.
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// The answer: a heading, then what `page` gives for each place, from the beginning on. The first page is read before
/// the answer begins, so that a refusal is one; later a failure can only break the body off.
pub(super) async fn answer(
    heading: &[&str],
    name: &str,
    page: impl Fn(Option<String>) -> Reading + Send + 'static,
) -> Result<Response, ApiError> {
    let (first, next) = page(None).await?;
    let heading = row(heading.iter().map(|&cell| cell.to_owned()));
    let rest = stream::try_unfold((next, page), |(place, page)| async move {
        let Some(place) = place else { return Ok(None) };
        let (rows, next) = page(Some(place)).await.map_err(|_| std::io::Error::other("a page failed"))?;
        Ok::<_, std::io::Error>(Some((Bytes::from(rows), (next, page))))
    });
    let start = stream::iter([Ok(Bytes::from(heading + &first))]);
    let body = Body::from_stream(futures_util::StreamExt::chain(start, rest));
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
    ];
    Ok((StatusCode::OK, head, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_read_back_as_it_was_and_is_no_formula() {
        let cells = ["860", "a,b", "say \"no\"", "", "-101", "=1+1", "two\nlines"];
        assert_eq!(
            row(cells.map(str::to_owned)),
            "860,\"a,b\",\"say \"\"no\"\"\",,-101,'=1+1,\"two\nlines\"\r\n"
        );
    }
}
