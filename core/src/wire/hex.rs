//! Digests as hexadecimal text.

use crate::text::Text;

/// `2 * N` hex digits of either case as `N` bytes.
pub fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    decode(text.as_bytes(), &mut bytes).then_some(bytes)
}

/// Whether `digits` are exactly those of `bytes`, which get what they say. Once in the image, not once for each length.
#[inline(never)]
pub(crate) fn decode(digits: &[u8], bytes: &mut [u8]) -> bool {
    let (pairs, rest) = digits.as_chunks::<2>();
    let is_whole = rest.is_empty() && pairs.len() == bytes.len();
    is_whole
        && bytes.iter_mut().zip(pairs).all(|(byte, [high, low])| match (value(*high), value(*low)) {
            (Some(high), Some(low)) => {
                *byte = high << 4 | low;
                true
            }
            _ => false,
        })
}

/// `bytes` in lower-case hex; what does not fit into the text (64 digits: a SHA-256) is left out.
pub fn text(bytes: &[u8]) -> Text<64> {
    let mut text = Text::new();
    for byte in bytes {
        let pair = [digit(byte >> 4), digit(byte & 15)];
        // Full: the 32 bytes of the longest digest are in.
        if core::str::from_utf8(&pair).is_ok_and(|pair| text.push(pair).is_err()) {
            break;
        }
    }
    text
}

/// The value of one hex digit.
pub(crate) fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a' - 10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A' - 10)),
        _ => None,
    }
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0'.wrapping_add(value) } else { (b'a' - 10).wrapping_add(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_in_either_case_and_prints_in_lower_case() {
        let bytes: [u8; 4] = parse("09aFfFE0").unwrap();
        assert_eq!(bytes, [0x09, 0xAF, 0xFF, 0xE0]);
        assert_eq!(text(&bytes).as_str(), "09afffe0");
        assert_eq!(text(&[0xAB; 32]).as_str(), "ab".repeat(32));
    }

    #[test]
    fn what_is_no_digest_of_that_length_is_refused() {
        for wrong in ["", "0", "012", "01234", "0g", "é0"] {
            assert_eq!(parse::<2>(wrong), None, "{wrong}");
        }
    }
}
