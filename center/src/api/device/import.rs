//! `POST /products/{pk}/devices`: enters devices before they connect, from a CSV file.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use serde::Serialize;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{CsvStream, Named};
use crate::engine::new_secret;
use crate::rules::device_list::KeyColumn;
use crate::rules::{DeviceKey, ProductKey};

/// Devices that are entered in one transaction.
const BATCH: usize = 1_000;
/// Longest line: a key with some remarks behind it.
const LINE_MAX: usize = 4_096;
/// Bad lines that the report names; all are counted.
const REPORTED: usize = 1_000;
/// Characters of a bad line that the report shows.
const SHOWN: usize = 40;

/// What became of a file.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ImportReport")]
pub struct Report {
    /// Lines with a key.
    lines: u64,
    /// Devices that are new.
    added: u64,
    /// Devices that were known before, or stand in the file twice.
    known: u64,
    /// Lines that no device was made of.
    bad: u64,
    /// The first of them.
    bad_lines: Vec<BadLine>,
}

/// A line that no device was made of.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct BadLine {
    /// Its number, from 1.
    line: usize,
    value: String,
    reason: String,
}

/// A file on its way in.
struct Import {
    api: Api,
    product: ProductKey,
    report: Report,
    line: usize,
    column: KeyColumn,
    keys: Vec<DeviceKey>,
}

impl Import {
    fn bad(&mut self, value: &str, reason: String) {
        self.report.bad += 1;
        if self.report.bad_lines.len() < REPORTED {
            let value = value.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
            self.report.bad_lines.push(BadLine { line: self.line, value, reason });
        }
    }

    async fn line(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.line += 1;
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.bad(&String::from_utf8_lossy(bytes), "the line is not UTF-8".to_owned());
            return Ok(());
        };
        let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
        match self.column.key(text) {
            None => {}
            Some(Ok(key)) => self.keys.push(key),
            Some(Err(fault)) => self.bad(&fault.value.clone(), fault.rule.to_owned()),
        }
        if self.keys.len() >= BATCH { self.enter().await } else { Ok(()) }
    }

    async fn enter(&mut self) -> Result<(), ApiError> {
        let keys = std::mem::take(&mut self.keys);
        if keys.is_empty() {
            return Ok(());
        }
        let count = keys.len() as u64;
        let mut devices = Vec::with_capacity(keys.len());
        for key in keys {
            devices.push((key, new_secret()?));
        }
        let added = self.api.engine.import_devices(&self.product, &devices).await?;
        self.report.lines += count;
        self.report.added += added;
        self.report.known += count.saturating_sub(added);
        Ok(())
    }
}

/// Enters the devices of a CSV file, which has their keys in its first column, while it comes in. A bad line is left out
/// and reported; the others count, also when the file breaks off: sent again, it goes on where it was.
pub async fn import(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    CsvStream(body): CsvStream,
) -> Result<Json<Report>, ApiError> {
    api.engine.store().read().await?.product(&product).await?;
    let mut import = Import {
        api,
        product,
        report: Report::default(),
        line: 0,
        column: KeyColumn::default(),
        keys: Vec::new(),
    };
    let mut chunks = body.into_data_stream();
    let mut rest = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            let message = format!("the file breaks off after line {}: {error}", import.line);
            ApiError::new(StatusCode::BAD_REQUEST, "body", message)
        })?;
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line = rest.split_to(end);
            rest.advance(1);
            import.line(&line).await?;
        }
        if rest.len() > LINE_MAX {
            let message =
                format!("line {} has more than {LINE_MAX} bytes: this is no CSV file", import.line + 1);
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message));
        }
    }
    if !rest.is_empty() {
        import.line(&rest).await?;
    }
    import.enter().await?;
    if import.report.lines == 0 && import.report.bad == 0 {
        let rule = "no device key in it: one a line is needed, in the first column";
        return Err(ApiError::invalid("empty_list", "file", "", rule));
    }
    Ok(Json(import.report))
}
