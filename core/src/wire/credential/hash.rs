//! SHA-256 of short texts. Every password needs it, also in an image whose files are not proved by it.

/// SHA-256 of the parts, one after the other: by the digests of files, as a second one would take its own bytes.
#[cfg(feature = "sha256")]
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use crate::digest::{Announced, Digests};
    let mut digests = Digests::of(&Announced { sha256: Some([0; 32]), ..Announced::default() });
    for part in parts {
        digests.update(part);
    }
    digests.finish().sha256.unwrap_or_default()
}

/// The same where those digests are without it.
#[cfg(not(feature = "sha256"))]
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn it_is_the_sum_that_the_crate_computes() {
        let data = [0xA7; 200];
        for length in 0..=data.len() {
            let (head, tail) = data.get(..length).unwrap().split_at(length / 3);
            let right: [u8; 32] = Sha256::digest(data.get(..length).unwrap()).into();
            assert_eq!(sha256(&[head, &[], tail]), right, "{length}");
        }
    }
}
