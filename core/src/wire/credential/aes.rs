//! AES-128 on one block: the `aes` crate on hosts, where it uses the processor's instructions; on bare metal a small
//! one, because the crate's takes 11 KB there and keeps panics in the image. Tests hold the small one to the crate.

#[cfg(not(target_os = "none"))]
pub(super) use host::Aes128;
#[cfg(target_os = "none")]
pub(super) use small::Aes128;

/// Bytes of a block and of a key.
pub(super) const BLOCK: usize = 16;

#[cfg(not(target_os = "none"))]
mod host {
    use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

    use super::BLOCK;

    #[derive(Clone)]
    pub struct Aes128(aes::Aes128);

    impl Aes128 {
        pub fn new(key: &[u8; BLOCK]) -> Aes128 {
            Aes128(aes::Aes128::new(&(*key).into()))
        }

        pub fn encrypt(&self, block: &mut [u8; BLOCK]) {
            self.0.encrypt_block(aes::Block::cast_from_core_mut(block));
        }

        pub fn decrypt(&self, block: &mut [u8; BLOCK]) {
            self.0.decrypt_block(aes::Block::cast_from_core_mut(block));
        }
    }
}

/// Byte by byte (FIPS 197). Its table look-ups take the same time on cores without a data cache.
#[cfg(any(test, target_os = "none"))]
mod small {
    use super::BLOCK;

    type State = [u8; BLOCK];
    const ROUNDS: usize = 10;

    #[derive(Clone)]
    pub struct Aes128 {
        keys: [State; ROUNDS + 1],
    }

    impl Aes128 {
        pub fn new(key: &State) -> Aes128 {
            let mut keys = [[0; BLOCK]; ROUNDS + 1];
            let mut last = *key;
            let mut constant = 1;
            for round in &mut keys {
                *round = last;
                let [.., a, b, c, d] = last;
                let mut word = [b, c, d, a].map(|byte| substitute(&FORWARD, byte));
                word[0] ^= constant;
                constant = double(constant);
                for (at, byte) in last.iter_mut().enumerate() {
                    if let Some(before) = word.get_mut(at % 4) {
                        *byte ^= *before;
                        *before = *byte;
                    }
                }
            }
            Aes128 { keys }
        }

        pub fn encrypt(&self, block: &mut State) {
            let [first, middle @ .., last] = &self.keys;
            add(block, first);
            for key in middle {
                *block = block.map(|byte| substitute(&FORWARD, byte));
                shift_rows(block, 1);
                mix_columns(block);
                add(block, key);
            }
            *block = block.map(|byte| substitute(&FORWARD, byte));
            shift_rows(block, 1);
            add(block, last);
        }

        pub fn decrypt(&self, block: &mut State) {
            let [first, middle @ .., last] = &self.keys;
            add(block, last);
            for key in middle.iter().rev() {
                shift_rows(block, 3);
                *block = block.map(|byte| substitute(&INVERSE, byte));
                add(block, key);
                // Four times is once around, so three times is back.
                for _ in 0..3 {
                    mix_columns(block);
                }
            }
            shift_rows(block, 3);
            *block = block.map(|byte| substitute(&INVERSE, byte));
            add(block, first);
        }
    }

    fn add(block: &mut State, key: &State) {
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
    }

    /// Row `r` of the column-wise state moves by `r * step` columns.
    fn shift_rows(block: &mut State, step: usize) {
        let before = *block;
        for (at, byte) in block.iter_mut().enumerate() {
            let from = at.wrapping_add(at.wrapping_mul(4).wrapping_mul(step)) % BLOCK;
            // Row at % 4 of column at / 4: four places are one column.
            *byte = before.get(from).copied().unwrap_or(0);
        }
    }

    fn mix_columns(block: &mut State) {
        for column in block.as_chunks_mut::<4>().0 {
            let [a, b, c, d] = *column;
            let all = a ^ b ^ c ^ d;
            *column = [
                a ^ all ^ double(a ^ b),
                b ^ all ^ double(b ^ c),
                c ^ all ^ double(c ^ d),
                d ^ all ^ double(d ^ a),
            ];
        }
    }

    const fn double(byte: u8) -> u8 {
        (byte << 1) ^ ((byte >> 7) * 0x1B)
    }

    fn substitute(table: &[u8; 256], byte: u8) -> u8 {
        // Every byte has its place.
        table.get(usize::from(byte)).copied().unwrap_or(0)
    }

    static FORWARD: [u8; 256] = TABLES.0;
    static INVERSE: [u8; 256] = TABLES.1;

    /// The S-box and its inverse, made at compile time: `p` runs through the powers of 3 and `q` through those of its
    /// inverse, so each is the other's multiplicative inverse.
    const TABLES: ([u8; 256], [u8; 256]) = {
        let mut forward = [0; 256];
        let mut inverse = [0; 256];
        let (mut p, mut q) = (1u8, 1u8);
        loop {
            p ^= double(p);
            q ^= q << 1;
            q ^= q << 2;
            q ^= q << 4;
            if q & 0x80 != 0 {
                q ^= 0x09;
            }
            let affine = q ^ q.rotate_left(1) ^ q.rotate_left(2) ^ q.rotate_left(3) ^ q.rotate_left(4);
            forward[p as usize] = affine ^ 0x63;
            if p == 1 {
                break;
            }
        }
        forward[0] = 0x63;
        let mut at = 0;
        while at < 256 {
            inverse[forward[at] as usize] = at as u8;
            at += 1;
        }
        (forward, inverse)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_one_is_the_crate_byte_for_byte() {
        let mut block = [0u8; BLOCK];
        let mut key = [0u8; BLOCK];
        for round in 0..=255 {
            key[usize::from(round) % BLOCK] ^= round;
            let (small, host) = (small::Aes128::new(&key), host::Aes128::new(&key));
            let (plain, mut other) = (block, block);
            small.encrypt(&mut block);
            host.encrypt(&mut other);
            assert_eq!(block, other);
            small.decrypt(&mut other);
            assert_eq!(other, plain);
        }
    }
}
