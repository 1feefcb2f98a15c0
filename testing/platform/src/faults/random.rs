//! Chance that can be had again.

use super::text::Chance;

/// splitmix64: the same numbers for the same seed, for ever.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 for 0.
    pub fn below(&mut self, count: u64) -> u64 {
        self.next().checked_rem(count).unwrap_or(0)
    }

    /// Draws only where there is a chance, so that a fault that is off does not move the others.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance != Chance::NEVER && self.below(Chance::CERTAIN) < chance.parts()
    }
}
