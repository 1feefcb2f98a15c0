//! AES-128-CBC with PKCS#7 padding, as the session and the bootstrap use it.

use super::{
    aes::{Aes128, BLOCK},
    hash::sha256,
};
use crate::{limits, wire::NoRoom};

/// Encrypts and decrypts whole stuffed frames. Every message begins with the same vector, in both directions.
#[derive(Clone)]
pub struct SessionCipher {
    aes: Aes128,
    vector: [u8; BLOCK],
}

/// Why a message cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// Not whole blocks.
    #[error("{length} encrypted bytes; a positive multiple of 16 is right")]
    Length {
        /// Bytes that were given.
        length: usize,
    },
    /// Another key, or broken.
    #[error("the padding is wrong: another key, or not encrypted")]
    Padding,
}

impl SessionCipher {
    /// The cipher of a session key.
    pub fn new(key: &[u8; limits::SESSION_KEY]) -> SessionCipher {
        SessionCipher::with_vector_of(key, key)
    }

    /// The vector is the begin of the seed's SHA-256.
    pub(super) fn with_vector_of(key: &[u8; BLOCK], seed: &[u8]) -> SessionCipher {
        let mut vector = [0; BLOCK];
        crate::wire::copy(&mut vector, &sha256(&[seed]));
        SessionCipher { aes: Aes128::new(key), vector }
    }

    /// Encrypts the first `length` bytes of `buffer` in place; gives the length with padding, up to 16 bytes more.
    pub fn encrypt(&self, buffer: &mut [u8], length: usize) -> Result<usize, NoRoom> {
        // 1..=16: there is always some.
        let padding = BLOCK.saturating_sub(length % BLOCK);
        let needed = length.saturating_add(padding);
        let room = buffer.len();
        let message = buffer.get_mut(..needed).ok_or(NoRoom { needed, room })?;
        for byte in message.iter_mut().skip(length) {
            *byte = padding as u8;
        }
        let mut before = self.vector;
        let (blocks, _) = message.as_chunks_mut::<BLOCK>();
        for block in blocks {
            let mut work = xor(block, &before);
            self.aes.encrypt(&mut work);
            *block = work;
            before = work;
        }
        Ok(needed)
    }

    /// Decrypts in place; gives the message without padding. After [`CipherError::Padding`] the content is void.
    pub fn decrypt<'m>(&self, message: &'m mut [u8]) -> Result<&'m mut [u8], CipherError> {
        let length = message.len();
        let (blocks, rest) = message.as_chunks_mut::<BLOCK>();
        if blocks.is_empty() || !rest.is_empty() {
            return Err(CipherError::Length { length });
        }
        let mut before = self.vector;
        for block in blocks {
            let sealed = *block;
            let mut work = sealed;
            self.aes.decrypt(&mut work);
            *block = xor(&work, &before);
            before = sealed;
        }
        let padding = message.last().copied().unwrap_or(0);
        let end = length.checked_sub(padding.into()).ok_or(CipherError::Padding)?;
        let whole = (1..=BLOCK).contains(&padding.into());
        if !whole || message.iter().skip(end).any(|byte| *byte != padding) {
            return Err(CipherError::Padding);
        }
        message.get_mut(..end).ok_or(CipherError::Padding)
    }
}

impl core::fmt::Debug for SessionCipher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // No key in any log.
        f.debug_struct("SessionCipher").finish_non_exhaustive()
    }
}

fn xor(left: &[u8; BLOCK], right: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut both = *left;
    for (byte, right) in both.iter_mut().zip(right) {
        *byte ^= right;
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn every_length_comes_back() {
        let cipher = SessionCipher::new(b"0123456789abcdef");
        for length in 0..50 {
            let mut buffer = vec![7; 80];
            let sealed = cipher.encrypt(&mut buffer, length).unwrap();
            assert_eq!(sealed, length / 16 * 16 + 16);
            assert_eq!(cipher.decrypt(buffer.get_mut(..sealed).unwrap()).unwrap(), vec![7; length]);
            let error = cipher.encrypt(vec![0; sealed - 1].as_mut(), length).unwrap_err();
            assert_eq!(error, NoRoom { needed: sealed, room: sealed - 1 });
        }
    }

    #[test]
    fn what_was_not_encrypted_with_the_key_is_refused() {
        let cipher = SessionCipher::new(b"0123456789abcdef");
        assert_eq!(cipher.decrypt(&mut []), Err(CipherError::Length { length: 0 }));
        assert_eq!(cipher.decrypt(&mut [0; 17]), Err(CipherError::Length { length: 17 }));
        let mut buffer = [1; 16];
        let length = SessionCipher::new(b"fedcba9876543210").encrypt(&mut buffer, 5).unwrap();
        assert_eq!(cipher.decrypt(buffer.get_mut(..length).unwrap()), Err(CipherError::Padding));
    }
}
