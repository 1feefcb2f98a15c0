//! Bytes as `nom` reads them on firmware.
//!
//! `nom` cuts a plain slice by indexing. The index is always right, but at opt-level z the compiler does not see
//! that and keeps a panic in the image; this input cuts without one.

use core::{
    iter::{Copied, Enumerate},
    slice::Iter,
};

use nom::{Input, Needed};

/// A slice to parse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Input for Bytes<'a> {
    type Item = u8;
    type Iter = Copied<Iter<'a, u8>>;
    type IterIndices = Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.0.len()
    }

    fn take(&self, index: usize) -> Self {
        self.take_split(index).1
    }

    fn take_from(&self, index: usize) -> Self {
        self.take_split(index).0
    }

    /// What follows, then what is taken.
    fn take_split(&self, index: usize) -> (Self, Self) {
        let (taken, rest) = self.0.split_at_checked(index).unwrap_or((self.0, &[]));
        (Bytes(rest), Bytes(taken))
    }

    fn position<P: Fn(u8) -> bool>(&self, predicate: P) -> Option<usize> {
        self.0.iter().position(|byte| predicate(*byte))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.0.iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        match count.checked_sub(self.0.len()) {
            None | Some(0) => Ok(count),
            Some(missing) => Err(Needed::new(missing)),
        }
    }
}
