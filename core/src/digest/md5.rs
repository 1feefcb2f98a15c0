//! The compression function of MD5: the `md-5` crate's on hosts; on bare metal a small one, because the crate's is
//! unrolled and takes 1.3 KB more there. Tests hold the small one to the crate.

#[cfg(not(target_os = "none"))]
pub(super) use ::md5::block_api::compress;
#[cfg(target_os = "none")]
pub(super) use small::compress;

/// Step by step (RFC 1321, 3.4).
#[cfg(any(test, target_os = "none"))]
mod small {
    use crate::digest::BLOCK;

    /// Bits to rotate by; each round goes through its four again and again.
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

    /// `floor(2^32 * abs(sin(i + 1)))` of step `i`, by round.
    const SINES: [[u32; 16]; 4] = [
        [
            0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
            0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
        ],
        [
            0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
            0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
        ],
        [
            0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
            0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
        ],
        [
            0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
            0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
        ],
    ];

    pub fn compress(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
        for block in blocks {
            compress_block(state, block);
        }
    }

    fn compress_block(state: &mut [u32; 4], block: &[u8; BLOCK]) {
        let (words, _) = block.as_chunks::<4>();
        let [mut a, mut b, mut c, mut d] = *state;
        for (round, (sines, shifts)) in SINES.iter().zip(&SHIFTS).enumerate() {
            for (step, sine) in sines.iter().enumerate() {
                let (mixed, word) = match round {
                    0 => ((b & c) | (!b & d), step),
                    1 => ((d & b) | (!d & c), 5 * step + 1),
                    2 => (b ^ c ^ d, 3 * step + 5),
                    _ => (c ^ (b | !d), 7 * step),
                };
                let word = u32::from_le_bytes(words[word % 16]);
                let sum = a.wrapping_add(mixed).wrapping_add(*sine).wrapping_add(word);
                (a, b, c, d) = (d, b.wrapping_add(sum.rotate_left(shifts[step % 4])), b, c);
            }
        }
        for (before, after) in state.iter_mut().zip([a, b, c, d]) {
            *before = before.wrapping_add(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::BLOCK;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn the_small_one_is_the_crate_word_for_word(
            state in any::<[u32; 4]>(),
            data in prop::collection::vec(any::<u8>(), 0..4 * BLOCK),
        ) {
            let blocks: Vec<_> = data.as_chunks::<BLOCK>().0.to_vec();
            let (mut small, mut host) = (state, state);
            small::compress(&mut small, &blocks);
            compress(&mut host, &blocks);
            prop_assert_eq!(small, host);
        }
    }
}
