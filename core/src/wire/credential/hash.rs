//! SHA-256 of short texts. The compression function is that of `sha2`; padding is ours, because the crate's buffer
//! keeps a panic in the image.

/// The fractional parts of the square roots of the first eight primes (FIPS 180-4, 5.3.3).
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const BLOCK: usize = 64;
/// Where the length stands in the last block.
const LENGTH_AT: usize = 56;

/// SHA-256 of the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Hash { state: START, block: [0; BLOCK], used: 0 };
    let mut bits = 0u64;
    for byte in parts.iter().copied().flatten() {
        hash.push(*byte);
        bits = bits.wrapping_add(8);
    }
    hash.push(0x80);
    while hash.used != LENGTH_AT {
        hash.push(0);
    }
    for byte in bits.to_be_bytes() {
        hash.push(byte);
    }
    let mut sum = [0; 32];
    for (place, word) in sum.as_chunks_mut().0.iter_mut().zip(hash.state) {
        *place = word.to_be_bytes();
    }
    sum
}

struct Hash {
    state: [u32; 8],
    block: [u8; BLOCK],
    /// Bytes in the block, fewer than it has.
    used: usize,
}

impl Hash {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.block.get_mut(self.used) {
            *place = byte;
        }
        self.used = self.used.wrapping_add(1);
        if self.used == BLOCK {
            sha2::block_api::compress256(&mut self.state, &[self.block]);
            self.used = 0;
        }
    }
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
