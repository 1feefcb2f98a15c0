//! Base64 with padding. Encoding is ours, since `base64ct` keeps a panic in the image and devices encode; decoding,
//! which only platforms do, is the crate's.

use super::SEALED;
use crate::text::{Chars, Text};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The base64 of `bytes`; what does not fit into the text is left out.
pub(in crate::wire) fn encode<const N: usize>(bytes: &[u8]) -> Text<N> {
    let mut text = Text::new();
    write(bytes, &mut text);
    text
}

#[inline(never)]
fn write(bytes: &[u8], text: &mut Chars<[u8]>) {
    for group in bytes.chunks(3) {
        let mut places = group.iter().copied();
        let mut next = || u32::from(places.next().unwrap_or(0));
        let bits = next() << 16 | next() << 8 | next();
        let mut digits = [18, 12, 6, 0].map(|shift| {
            // Six bits: always in the alphabet.
            ALPHABET.get((bits >> shift & 63) as usize).copied().unwrap_or(b'=')
        });
        for padding in digits.iter_mut().skip(group.len().saturating_add(1)) {
            *padding = b'=';
        }
        if core::str::from_utf8(&digits).is_ok_and(|digits| text.append(digits).is_err()) {
            break;
        }
    }
}

/// The bytes of a base64, at most as many as a bootstrap seals.
pub(super) fn decode<'o>(text: &str, out: &'o mut [u8; SEALED]) -> Option<&'o mut [u8]> {
    use base64ct::Encoding;
    let length = base64ct::Base64::decode(text, out).ok()?.len();
    out.get_mut(..length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64, Encoding};
    use std::vec;

    #[test]
    fn it_is_what_the_crate_writes() {
        for length in 0..=96u8 {
            let bytes: vec::Vec<u8> = (0..length).map(|at| at.wrapping_mul(37) ^ length).collect();
            let mut room = [0; 128];
            assert_eq!(&*encode::<128>(&bytes), Base64::encode(&bytes, &mut room).unwrap());
        }
    }

    #[test]
    fn more_than_a_bootstrap_seals_is_refused() {
        assert_eq!(decode("AAEC", &mut [9; SEALED]), Some(&mut [0, 1, 2][..]));
        assert_eq!(decode(&"A".repeat(132), &mut [0; SEALED]), None);
        assert_eq!(decode("AAE", &mut [0; SEALED]), None);
    }
}
