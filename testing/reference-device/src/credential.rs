//! Passwords and the session cipher (QUECTHING.md 4.2).

use aes::Aes128;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

/// Whether the device asks for an encrypted session (FLAG of QUECTHING.md 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEncryption {
    /// FLAG 0.
    Off,
    /// FLAG 1.
    On,
}

fn flag(encryption: SessionEncryption) -> &'static str {
    match encryption {
        SessionEncryption::Off => "0000",
        SessionEncryption::On => "0001",
    }
}

fn signature(text: &str) -> String {
    Base64::encode_string(&Sha256::digest(text))
}

/// Key: the first 16 bytes of `secret`; IV: the first 16 of its SHA-256.
fn key_and_iv(secret: &str) -> ([u8; 16], [u8; 16]) {
    let digest = Sha256::digest(secret);
    (secret.as_bytes()[..16].try_into().unwrap(), digest[..16].try_into().unwrap())
}

/// AES-128-CBC with PKCS#7 under `secret`, 16 bytes or more.
pub fn encrypt(secret: &str, plain: &[u8]) -> Vec<u8> {
    let (key, iv) = key_and_iv(secret);
    encrypt_with(key, iv, plain)
}

/// AES-128-CBC with PKCS#7.
pub fn encrypt_with(key: [u8; 16], iv: [u8; 16], plain: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into()).encrypt_padded_vec::<Pkcs7>(plain)
}

/// What [`encrypt`] sealed.
pub fn decrypt(secret: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let (key, iv) = key_and_iv(secret);
    cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into())
        .decrypt_padded_vec::<Pkcs7>(sealed)
        .map_err(|_| format!("{} bytes that the session key does not open", sealed.len()))
}

/// The password of a device without a secret of its own; `random` is 16 characters.
pub fn bootstrap(encryption: SessionEncryption, pk: &str, ps: &str, dk: &str, random: &str) -> String {
    let proof = signature(&format!("{dk};{ps};{random}"));
    let sealed = encrypt(ps, format!("{dk};{random};{proof}").as_bytes());
    format!("0;{};{pk};{}", flag(encryption), Base64::encode_string(&sealed))
}

/// The password of a device that has its secret.
pub fn login(encryption: SessionEncryption, ds: &str, ps: &str, random: &str) -> String {
    format!("1;{};{random};{}", flag(encryption), signature(&format!("{ds};{ps};{random}")))
}
