//! The `Range` header of a download (RFC 9110 14), as far as devices use it: one range of bytes.

/// What a request asks for, given the size of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The whole file: no range, or one that the standard lets us ignore (unknown unit, several ranges, not a range).
    Whole,
    /// The bytes from `first` to `last`, both included and inside the file.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// A range that has no byte in the file: 416.
    Outside,
}

/// Reads the value of a `Range` header for a file of `size` bytes.
#[must_use]
pub fn read(header: &str, size: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Whole };
    let (first, last) = (first.trim(), last.trim());
    if !first.bytes().chain(last.bytes()).all(|c| c.is_ascii_digit()) {
        return Wanted::Whole;
    }
    match (number(first), number(last)) {
        (None, None) => Wanted::Whole,
        (None, Some(suffix)) if suffix == 0 || size == 0 => Wanted::Outside,
        (None, Some(suffix)) => Wanted::Part { first: size.saturating_sub(suffix), last: size - 1 },
        (Some(first), Some(last)) if last < first => Wanted::Whole,
        (Some(first), _) if first >= size => Wanted::Outside,
        (Some(first), last) => Wanted::Part { first, last: last.unwrap_or(u64::MAX).min(size - 1) },
    }
}

/// Digits as a number; more digits than a `u64` holds mean a position beyond any file.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(u64::MAX)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_to_the_byte() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, wanted) in [
            ("bytes=0-99", part(0, 99)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=99-99", part(99, 99)),
            ("bytes=90-", part(90, 99)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=0-99999999999999999999999", part(0, 99)),
            ("bytes=-1", part(99, 99)),
            ("bytes=-1000", part(0, 99)),
            ("BYTES = 1-2", part(1, 2)),
            ("bytes=100-", Wanted::Outside),
            ("bytes=100-200", Wanted::Outside),
            ("bytes=99999999999999999999999-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("0-1", Wanted::Whole),
        ] {
            assert_eq!(read(header, 100), wanted, "{header}");
        }
    }
}
