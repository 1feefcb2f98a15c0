//! TTLV (QUECTHING.md 4.4).

/// A value; a list is a struct, or an array when all its ids are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Types 0 and 1.
    Bool(bool),
    /// Type 2: magnitude / 10^decimals.
    Number {
        /// Below zero.
        negative: bool,
        /// 0..=15.
        decimals: u8,
        /// Without sign.
        magnitude: u64,
    },
    /// Type 3: bytes or text.
    Bytes(Vec<u8>),
    /// Type 4.
    List(Vec<(u16, Value)>),
}

/// A text.
pub fn text(value: &str) -> Value {
    Value::Bytes(value.as_bytes().to_vec())
}

/// A whole number.
pub fn number(value: i64) -> Value {
    Value::Number { negative: value < 0, decimals: 0, magnitude: value.unsigned_abs() }
}

/// The bytes of a list.
pub fn emit(items: &[(u16, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, value) in items {
        put(&mut out, *id, value);
    }
    out
}

fn put(out: &mut Vec<u8>, id: u16, value: &Value) {
    let kind: u16 = match value {
        Value::Bool(flag) => u16::from(*flag),
        Value::Number { .. } => 2,
        Value::Bytes(_) => 3,
        Value::List(_) => 4,
    };
    out.extend((id << 3 | kind).to_be_bytes());
    match value {
        Value::Bool(_) => {}
        Value::Number { negative, decimals, magnitude } => {
            let bytes = magnitude.to_be_bytes();
            let skipped = (magnitude.leading_zeros() as usize / 8).min(7);
            let kept = &bytes[skipped..];
            out.push(u8::from(*negative) << 7 | decimals << 3 | (kept.len() as u8 - 1));
            out.extend(kept);
        }
        Value::Bytes(bytes) => {
            out.extend((bytes.len() as u16).to_be_bytes());
            out.extend(bytes);
        }
        Value::List(items) => {
            out.extend((items.len() as u16).to_be_bytes());
            for (id, value) in items {
                put(out, *id, value);
            }
        }
    }
}

/// The list in `bytes`, or where it breaks off.
pub fn parse(bytes: &[u8]) -> Result<Vec<(u16, Value)>, String> {
    let mut rest = bytes;
    let mut items = Vec::new();
    while !rest.is_empty() {
        items.push(item(&mut rest).map_err(|why| format!("{why} at byte {}", bytes.len() - rest.len()))?);
    }
    Ok(items)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (head, tail) = rest.split_at_checked(count).ok_or(format!("{count} bytes wanted"))?;
    *rest = tail;
    Ok(head)
}

fn short(rest: &mut &[u8]) -> Result<u16, String> {
    let bytes = take(rest, 2)?;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn item(rest: &mut &[u8]) -> Result<(u16, Value), String> {
    let tag = short(rest)?;
    let value = match tag & 7 {
        flag @ (0 | 1) => Value::Bool(flag == 1),
        2 => {
            let flag = take(rest, 1)?[0];
            let bytes = take(rest, usize::from(flag & 7) + 1)?;
            let magnitude = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            Value::Number { negative: flag & 0x80 != 0, decimals: flag >> 3 & 15, magnitude }
        }
        3 => {
            let length = short(rest)?;
            Value::Bytes(take(rest, usize::from(length))?.to_vec())
        }
        4 => {
            let count = short(rest)?;
            Value::List((0..count).map(|_| item(rest)).collect::<Result<_, _>>()?)
        }
        other => return Err(format!("type {other}")),
    };
    Ok((tag >> 3, value))
}

/// The first value with this id.
pub fn find(items: &[(u16, Value)], id: u16) -> Option<&Value> {
    items.iter().find(|(found, _)| *found == id).map(|(_, value)| value)
}

/// The list with this id.
pub fn list(items: &[(u16, Value)], id: u16) -> Option<&[(u16, Value)]> {
    match find(items, id)? {
        Value::List(items) => Some(items),
        _ => None,
    }
}

/// The text with this id.
pub fn text_of(items: &[(u16, Value)], id: u16) -> Option<String> {
    match find(items, id)? {
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

/// The whole number with this id.
pub fn integer_of(items: &[(u16, Value)], id: u16) -> Option<i64> {
    match find(items, id)? {
        Value::Number { negative, decimals: 0, magnitude } => {
            let magnitude = i64::try_from(*magnitude).ok()?;
            Some(if *negative { -magnitude } else { magnitude })
        }
        _ => None,
    }
}
