//! What the center says of upgrades: plans (0x0111) and firmware (0x0113).

use crate::ttlv::{self, Value, list};

/// A plan for one component, as 0x0111 brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Id 4.
    pub component: String,
    /// Id 5, or empty.
    pub source: String,
    /// Id 6.
    pub target: String,
    /// Id 7: 0 module, 1 MCU.
    pub kind: i64,
    /// Id 8, %.
    pub battery: i64,
    /// Id 9, bytes.
    pub space: i64,
    /// Id 10, dBm.
    pub signal: i64,
}

/// What 0x0113 says of a file, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Id 4.
    pub component: String,
    /// Id 6.
    pub target: String,
    /// Id 7: 0 module, 1 MCU.
    pub kind: i64,
    /// Id 1; empty when there are several files.
    pub url: String,
    /// Id 2, bytes; of several files their sum.
    pub size: u64,
    /// Id 3; empty when there are several files.
    pub md5: String,
    /// Id 15.
    pub crc: u32,
    /// Id 16.
    pub sha256: Option<String>,
    /// Id 20: the files of a package of several.
    pub files: Vec<File>,
}

/// One of several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Id 30.
    pub index: i64,
    /// Id 1.
    pub url: String,
    /// Id 2, bytes.
    pub size: u64,
    /// Id 3.
    pub md5: String,
}

/// The plans of a 0x0111: one, or those of its list.
pub fn plans_of(payload: &[u8]) -> Result<Vec<Plan>, String> {
    let items = ttlv::parse(payload)?;
    match list(&items, 28) {
        None => Ok(vec![plan_of(&items)?]),
        Some(entries) => entries
            .iter()
            .map(|(_, entry)| match entry {
                Value::List(items) => plan_of(items),
                other => Err(format!("a plan list holds {other:?}")),
            })
            .collect(),
    }
}

fn plan_of(items: &[(u16, Value)]) -> Result<Plan, String> {
    let text = |id| ttlv::text_of(items, id).ok_or(format!("a plan without id {id}"));
    let number = |id| ttlv::integer_of(items, id);
    Ok(Plan {
        component: text(4)?,
        source: ttlv::text_of(items, 5).unwrap_or_default(),
        target: text(6)?,
        kind: number(7).ok_or("a plan without id 7")?,
        battery: number(8).unwrap_or(0),
        space: number(9).unwrap_or(0),
        signal: number(10).unwrap_or(0),
    })
}

/// What a 0x0113 says.
pub fn firmware_of(payload: &[u8]) -> Result<Firmware, String> {
    let items = ttlv::parse(payload)?;
    let text = |id| ttlv::text_of(&items, id).ok_or(format!("firmware info without id {id}"));
    let kind = ttlv::integer_of(&items, 7).ok_or("firmware info without id 7")?;
    let (component, target) = (text(4)?, text(6)?);
    if let Some(entries) = list(&items, 20) {
        let files = entries.iter().map(|(_, entry)| file_of(entry)).collect::<Result<Vec<_>, _>>()?;
        let size = files.iter().map(|file| file.size).sum();
        let (url, md5) = (String::new(), String::new());
        return Ok(Firmware { component, target, kind, url, size, md5, crc: 0, sha256: None, files });
    }
    Ok(Firmware {
        component,
        target,
        kind,
        url: text(1)?,
        size: size_of(&items)?,
        md5: text(3)?,
        crc: u32::from_str_radix(&text(15)?, 16).map_err(|error| format!("id 15: {error}"))?,
        sha256: ttlv::text_of(&items, 16),
        files: Vec::new(),
    })
}

fn size_of(items: &[(u16, Value)]) -> Result<u64, String> {
    let size = ttlv::integer_of(items, 2).and_then(|size| u64::try_from(size).ok());
    Ok(size.ok_or("firmware info without id 2")?)
}

fn file_of(entry: &Value) -> Result<File, String> {
    let Value::List(items) = entry else { return Err(format!("a file list holds {entry:?}")) };
    let text = |id| ttlv::text_of(items, id).ok_or(format!("a file without id {id}"));
    Ok(File {
        index: ttlv::integer_of(items, 30).ok_or("a file without id 30")?,
        url: text(1)?,
        size: size_of(items)?,
        md5: text(3)?,
    })
}
