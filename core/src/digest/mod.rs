//! MD5, CRC-32 and SHA-256 of one stream in one pass, whichever the platform announced (QUECTHING.md 4.5, ids 3, 15, 16).
//!
//! The compression functions are [`md5`]'s and the `sha2` crate's; the buffering is ours, because one block buffer serves
//! both and because the state between two bytes has to go into the journal and come back after a reboot.

mod md5;

/// Bytes of one block of MD5 and SHA-256.
const BLOCK: usize = 64;

/// Longest saved form of [`Digests`]: flags, length, MD5, CRC-32, SHA-256, and a block that is not complete.
pub const SAVED_MAX: usize = 1 + 4 + 16 + 4 + 32 + (BLOCK - 1);

/// The digests that are in the image at all. What is announced of another does not count.
const IN_IMAGE: u8 = HAS_MD5 | HAS_CRC32 | if cfg!(feature = "sha256") { HAS_SHA256 } else { 0 };

const HAS_MD5: u8 = 1;
const HAS_CRC32: u8 = 2;
const HAS_SHA256: u8 = 4;

/// What the platform announced of an image. Equal announcements mean the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Announced {
    /// Id 3.
    pub md5: Option<[u8; 16]>,
    /// Id 15. The platform's polynomial is not known; taken as CRC-32/ISO-HDLC.
    pub crc32: Option<u32>,
    /// Id 16, only in SHA-256 mode.
    pub sha256: Option<[u8; 32]>,
}

/// What the bytes of a whole stream came to, for the digests that were announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// MD5.
    pub md5: Option<[u8; 16]>,
    /// CRC-32/ISO-HDLC.
    pub crc32: Option<u32>,
    /// SHA-256.
    pub sha256: Option<[u8; 32]>,
}

/// Whether an image is what was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every announced digest matches.
    Match,
    /// MD5 or SHA-256 match and CRC-32 does not: worth a log line, since its polynomial is a guess.
    MatchExceptCrc32,
    /// The bytes are others than announced.
    Mismatch,
    /// Nothing was announced, so nothing can be said.
    NothingAnnounced,
}

impl Announced {
    /// Which are announced, as [`Digests::save`] says it.
    fn flags(&self) -> u8 {
        let flag = |is_there: bool, flag| if is_there { flag } else { 0 };
        flag(self.md5.is_some(), HAS_MD5)
            | flag(self.crc32.is_some(), HAS_CRC32)
            | flag(self.sha256.is_some(), HAS_SHA256 & IN_IMAGE)
    }

    /// Judges the sums of a whole stream. CRC-32 decides only where it stands alone.
    pub fn judge(&self, sums: &Sums) -> Verdict {
        let md5 = self.md5.map(|announced| Some(announced) == sums.md5);
        let sha256 = self
            .sha256
            .filter(|_| IN_IMAGE & HAS_SHA256 != 0)
            .map(|announced| Some(announced) == sums.sha256);
        let crc32 = self.crc32.map(|announced| Some(announced) == sums.crc32);
        match (md5, sha256, crc32) {
            (None, None, None) => Verdict::NothingAnnounced,
            (Some(false), _, _) | (_, Some(false), _) | (None, None, Some(false)) => Verdict::Mismatch,
            (_, _, Some(false)) => Verdict::MatchExceptCrc32,
            _ => Verdict::Match,
        }
    }
}

/// The announced digests of a stream, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Which are computed; the state of the others is 0.
    flags: u8,
    length: u32,
    /// MD5 (4), CRC-32 (1), SHA-256 (8).
    words: [u32; WORDS],
    /// The first `length % 64` bytes are those that do not fill a block yet; the rest is 0.
    block: [u8; BLOCK],
}

impl Digests {
    /// None is computed.
    pub const NONE: Digests = Digests { flags: 0, length: 0, words: [0; WORDS], block: [0; BLOCK] };

    /// Before the first byte; computes what `announced` holds.
    #[inline(never)]
    pub fn of(announced: &Announced) -> Self {
        let mut digests = Digests { flags: announced.flags(), ..Self::NONE };
        for (index, (word, start)) in digests.words.iter_mut().zip(START).enumerate() {
            if digests.flags & flag_of(index) != 0 {
                *word = start;
            }
        }
        digests
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag & IN_IMAGE != 0
    }

    /// Bytes hashed so far. Images are smaller than 4 GB (id 2 of 0x0113 is kept in 32 bits).
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The next bytes.
    pub fn update(&mut self, data: &[u8]) {
        if self.has(HAS_CRC32) {
            let mut crc = Crc32::resume(self.words[MD5_WORDS]);
            crc.update(data);
            self.words[MD5_WORDS] = crc.finish();
        }
        let held = self.length as usize % BLOCK;
        self.length = self.length.wrapping_add(data.len() as u32);
        if !self.has_block() {
            return;
        }
        let (head, data) = data.split_at(data.len().min(BLOCK - held));
        copy(self.block.iter_mut().skip(held), head);
        if held + head.len() < BLOCK {
            return;
        }
        compress(self.flags, &mut self.words, core::slice::from_ref(&self.block));
        let (blocks, rest) = data.as_chunks::<BLOCK>();
        compress(self.flags, &mut self.words, blocks);
        self.block = [0; BLOCK];
        copy(self.block.iter_mut(), rest);
    }

    /// The sums, as if the stream ended here.
    pub fn finish(&self) -> Sums {
        let bits = u64::from(self.length).wrapping_mul(8);
        let mut words = self.words;
        let mut blocks = [[0; BLOCK]; 2];
        if self.has(HAS_MD5) {
            compress(HAS_MD5, &mut words, self.padded(bits.to_le_bytes(), &mut blocks));
        }
        if self.has(HAS_SHA256) {
            compress(HAS_SHA256, &mut words, self.padded(bits.to_be_bytes(), &mut blocks));
        }
        let [md5 @ .., crc32, _, _, _, _, _, _, _, _] = words;
        let [_, _, _, _, _, sha256 @ ..] = words;
        Sums {
            md5: self.has(HAS_MD5).then(|| bytes_of(md5.map(u32::to_le_bytes))),
            crc32: self.has(HAS_CRC32).then_some(crc32),
            sha256: self.has(HAS_SHA256).then(|| bytes_of(sha256.map(u32::to_be_bytes))),
        }
    }

    /// Gives the state between two bytes to `put`, part by part; at most [`SAVED_MAX`] bytes, and [`Digests::saved_length`] in all.
    ///
    /// Flags (bit 0 MD5, 1 CRC-32, 2 SHA-256), length; then, where the flag is set, MD5 (4 words), CRC-32, SHA-256
    /// (8 words), and with MD5 or SHA-256 the `length % 64` bytes that do not fill a block. Numbers little-endian.
    pub fn save(&self, put: &mut dyn FnMut(&[u8])) {
        put(&[self.flags]);
        put(&self.length.to_le_bytes());
        for (index, word) in self.words.iter().enumerate() {
            if self.has(flag_of(index)) {
                put(&word.to_le_bytes());
            }
        }
        put(self.block.get(..self.held()).unwrap_or(&[]));
    }

    /// Bytes that [`Digests::save`] gives.
    pub fn saved_length(&self) -> usize {
        let of = |flag, bytes| if self.has(flag) { bytes } else { 0 };
        1 + 4 + of(HAS_MD5, 16) + of(HAS_CRC32, 4) + of(HAS_SHA256, 32) + self.held()
    }

    /// Takes the state that [`Digests::save`] gave. `false`: `saved` is not one, to the byte, and what was computed before is
    /// gone.
    pub fn load(&mut self, saved: &[u8]) -> bool {
        *self = const { Self::NONE };
        let Some((&flags, mut rest)) = saved.split_first() else { return false };
        self.flags = flags & IN_IMAGE;
        let mut take = |to: &mut u32| {
            let Some((word, behind)) = rest.split_first_chunk() else { return false };
            *to = u32::from_le_bytes(*word);
            rest = behind;
            true
        };
        let mut is_whole = flags == self.flags && take(&mut self.length);
        for (index, word) in self.words.iter_mut().enumerate() {
            is_whole &= self.flags & flag_of(index) == 0 || take(word);
        }
        copy(self.block.iter_mut(), rest);
        is_whole && rest.len() == self.held()
    }

    /// Whether it computes exactly what `announced` holds.
    pub fn computes(&self, announced: &Announced) -> bool {
        self.flags == announced.flags()
    }

    /// Whether a digest is computed that takes whole blocks.
    fn has_block(&self) -> bool {
        self.has(HAS_MD5 | HAS_SHA256)
    }

    /// Bytes of the block that is not full yet.
    fn held(&self) -> usize {
        if self.has_block() { self.length as usize % BLOCK } else { 0 }
    }

    /// The end of the stream, in `blocks`: 0x80, zeros, the length in bits at the end of the last block; a block before it
    /// where the length would not fit.
    fn padded<'b>(&self, bits: [u8; 8], blocks: &'b mut [[u8; BLOCK]; 2]) -> &'b [[u8; BLOCK]] {
        let held = self.held();
        let count = if held < BLOCK - bits.len() { 1 } else { 2 };
        let bytes = blocks.as_flattened_mut();
        bytes.fill(0);
        copy(bytes.iter_mut(), &self.block);
        copy(bytes.iter_mut().skip(held), &[0x80]);
        copy(bytes.iter_mut().skip(count * BLOCK - bits.len()), &bits);
        blocks.get(..count).unwrap_or_default()
    }
}

/// Takes whole blocks into the states that `flags` names.
#[inline(never)]
fn compress(flags: u8, words: &mut [u32; WORDS], blocks: &[[u8; BLOCK]]) {
    if flags & HAS_MD5 != 0
        && let Some(md5) = words.first_chunk_mut()
    {
        md5::compress(md5, blocks);
    }
    if flags & HAS_SHA256 & IN_IMAGE != 0
        && let Some(sha256) = words.last_chunk_mut()
    {
        sha2::block_api::compress256(sha256, blocks);
    }
}

/// The digest that a word of the state belongs to.
fn flag_of(index: usize) -> u8 {
    match index {
        0..MD5_WORDS => HAS_MD5,
        MD5_WORDS => HAS_CRC32,
        _ => HAS_SHA256,
    }
}

/// Words of MD5, and the place of CRC-32 behind them.
const MD5_WORDS: usize = 4;
/// Words of all digests.
const WORDS: usize = MD5_WORDS + 1 + 8;
/// What MD5, CRC-32 and SHA-256 begin with.
const START: [u32; WORDS] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0,
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Copies without a length check that could panic: the shorter of the two decides.
fn copy<'t>(to: impl Iterator<Item = &'t mut u8>, from: &[u8]) {
    for (to, from) in to.zip(from) {
        *to = *from;
    }
}

fn bytes_of<const WORDS: usize, const BYTES: usize>(words: [[u8; 4]; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    copy(bytes.iter_mut(), words.as_flattened());
    bytes
}

/// CRC-32/ISO-HDLC of a stream so far: polynomial 0x04C11DB7 reflected, start and final value all ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crc32(u32);

impl Crc32 {
    /// Before the first byte.
    pub const fn new() -> Self {
        Crc32(0)
    }

    /// After the bytes whose CRC is `crc`.
    pub const fn resume(crc: u32) -> Self {
        Crc32(crc)
    }

    /// The CRC of the bytes so far.
    pub const fn finish(self) -> u32 {
        self.0
    }

    /// The next bytes, with tables of 16 KB.
    #[cfg(feature = "crc32fast")]
    pub fn update(&mut self, data: &[u8]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(data);
        self.0 = hasher.finalize();
    }

    /// The next bytes, with a table of 64 bytes.
    #[cfg(not(feature = "crc32fast"))]
    pub fn update(&mut self, data: &[u8]) {
        self.0 = by_nibbles(self.0, data);
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

/// One table entry per nibble: 64 bytes of flash where `crc32fast` takes 16 KB.
#[cfg(any(test, not(feature = "crc32fast")))]
fn by_nibbles(crc: u32, data: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut nibble = 0;
        while nibble < 16 {
            let mut crc = nibble as u32;
            let mut bit = 0;
            while bit < 4 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
                bit += 1;
            }
            table[nibble] = crc;
            nibble += 1;
        }
        table
    };
    let step = |crc: u32| (crc >> 4) ^ TABLE[(crc & 15) as usize];
    !data.iter().fold(!crc, |crc, &byte| step(step(crc ^ u32::from(byte))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::md5::Digest;
    use proptest::prelude::*;
    use std::vec::Vec;

    const EVERYTHING: Announced = Announced { md5: Some([0; 16]), crc32: Some(0), sha256: Some([0; 32]) };

    fn by_the_crates(data: &[u8]) -> Sums {
        Sums {
            md5: Some(::md5::Md5::digest(data).into()),
            crc32: Some(by_nibbles(0, data)),
            sha256: cfg!(feature = "sha256").then(|| sha2::Sha256::digest(data).into()),
        }
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i * 7 + i / 251) as u8).collect()
    }

    fn saved(digests: &Digests) -> Vec<u8> {
        let mut saved = Vec::new();
        digests.save(&mut |part| saved.extend_from_slice(part));
        assert_eq!(saved.len(), digests.saved_length());
        assert!(saved.len() <= SAVED_MAX);
        saved
    }

    fn restored(saved: &[u8]) -> Option<Digests> {
        let mut digests = Digests::of(&EVERYTHING);
        digests.load(saved).then_some(digests)
    }

    #[test]
    fn standard_vectors_come_out() {
        let mut digests = Digests::of(&EVERYTHING);
        digests.update(b"123456789");
        let sums = digests.finish();
        assert_eq!(hex::encode(sums.md5.unwrap()), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(sums.crc32, Some(0xcbf4_3926));
        let sha256 = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
        assert_eq!(sums.sha256.map(hex::encode).as_deref(), cfg!(feature = "sha256").then_some(sha256));
    }

    #[test]
    fn every_length_around_the_blocks_matches_the_crates() {
        let data = bytes(200);
        for length in 0..=data.len() {
            let mut digests = Digests::of(&EVERYTHING);
            digests.update(&data[..length]);
            assert_eq!(digests.finish(), by_the_crates(&data[..length]), "{length} bytes");
        }
    }

    #[test]
    fn continuing_from_every_saved_state_gives_the_same_sums() {
        let data = bytes(300);
        let expected = by_the_crates(&data);
        for cut in 0..=data.len() {
            let mut before = Digests::of(&EVERYTHING);
            before.update(&data[..cut]);
            let mut after = restored(&saved(&before)).unwrap();
            assert_eq!(after, before, "cut at {cut}");
            after.update(&data[cut..]);
            assert_eq!(after.finish(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn only_announced_digests_are_computed_and_saved() {
        let only_crc = Announced { crc32: Some(1), ..Announced::default() };
        let mut digests = Digests::of(&only_crc);
        digests.update(&bytes(70));
        assert_eq!(digests.finish(), Sums { crc32: Some(by_nibbles(0, &bytes(70))), ..Sums::default() });
        assert_eq!(saved(&digests).len(), 1 + 4 + 4);
        assert!(digests.computes(&only_crc) && !digests.computes(&EVERYTHING));
    }

    #[test]
    fn a_saved_state_of_the_wrong_length_is_none() {
        let mut digests = Digests::of(&EVERYTHING);
        digests.update(&bytes(100));
        let saved = saved(&digests);
        assert!(restored(&saved[..saved.len() - 1]).is_none());
        assert!(restored(&[&saved[..], &[0]].concat()).is_none());
        assert!(restored(&[]).is_none());
        assert!(restored(&[8, 0, 0, 0, 0]).is_none());
    }

    #[test]
    fn crc32_alone_decides_only_where_it_stands_alone() {
        let sums = by_the_crates(b"image");
        let wrong = sums.crc32.map(|crc| !crc);
        let announced = Announced { md5: sums.md5, crc32: wrong, sha256: None };
        assert_eq!(announced.judge(&sums), Verdict::MatchExceptCrc32);
        assert_eq!(Announced { crc32: wrong, ..Announced::default() }.judge(&sums), Verdict::Mismatch);
        let announced = Announced { md5: Some([0; 16]), crc32: sums.crc32, sha256: sums.sha256 };
        assert_eq!(announced.judge(&sums), Verdict::Mismatch);
        assert_eq!(Announced::default().judge(&sums), Verdict::NothingAnnounced);
        let announced = Announced { md5: sums.md5, crc32: sums.crc32, sha256: sums.sha256 };
        assert_eq!(announced.judge(&sums), Verdict::Match);
    }

    proptest! {
        #[test]
        fn any_chunking_matches_the_crates(data in prop::collection::vec(any::<u8>(), 0..2000), cuts in prop::collection::vec(0usize..300, 0..20)) {
            let mut digests = Digests::of(&EVERYTHING);
            let mut rest = &data[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                digests.update(head);
                rest = tail;
            }
            digests.update(rest);
            prop_assert_eq!(digests.finish(), by_the_crates(&data));
        }

        #[test]
        fn restoring_never_panics(saved in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(digests) = restored(&saved) {
                let _ = digests.finish();
            }
        }

        #[test]
        fn nibble_table_matches_crc32fast(data in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let (head, tail) = data.split_at(cut.min(data.len()));
            prop_assert_eq!(by_nibbles(by_nibbles(0, head), tail), crc32fast::hash(&data));
        }
    }
}
