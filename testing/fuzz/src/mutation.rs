//! Inputs made of others by a seed: the same seed gives the same input, for ever.

/// splitmix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `end`, without it; 0 when there is nothing below it.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.bits() % end as u64) as usize }
    }
}

/// Bytes at which protocols change their mind.
const TELLING: [u8; 12] = [0, 1, 2, 4, 0x0A, 0x0D, 0x55, 0x7F, 0x80, 0xAA, 0xFE, 0xFF];

/// Longest input that is made.
const LONGEST: usize = 4096;

/// An input of one or two of `corpus`, changed at a few places.
pub fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 => change(&mut input, at, |byte| byte ^ 1 << random.below(8)),
            1 => change(&mut input, at, |_| TELLING[random.below(TELLING.len())]),
            2 => change(&mut input, at, |_| random.bits() as u8),
            3 => {
                let new = (0..1 + random.below(8)).map(|_| random.bits() as u8).collect::<Vec<_>>();
                input.splice(at..at, new);
            }
            4 => {
                let end = (at + 1 + random.below(16)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                let end = (at + 1 + random.below(64)).min(input.len());
                let copy = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            _ => {
                let other = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
                input.truncate(at);
                input.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
        }
        input.truncate(LONGEST);
    }
    input
}

fn change(input: &mut [u8], at: usize, to: impl FnOnce(u8) -> u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = to(*byte);
    }
}
