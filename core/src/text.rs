//! Text of bounded length without a heap.

/// A text for C that a linker can leave out: it ends with two NULs. Strings with one are merged by the compiler, so that an image has
/// all of the library's or none. `text::without_nuls` is the text for Rust.
#[macro_export]
macro_rules! c_words {
    ($text:literal) => {
        concat!($text, "\0\0")
    };
}

/// A text of `c_words!` without what C needs.
pub fn without_nuls(text: &'static str) -> &'static str {
    text.get(..text.len().saturating_sub(2)).unwrap_or_default()
}

/// A string of at most `N` bytes.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    len: usize,
    bytes: [u8; N],
}

/// By content: what a longer text left behind the end does not count.
impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<const N: usize> Eq for Text<N> {}

/// The text does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text of {len} bytes; at most {max} fit")]
pub struct TooLong {
    /// Bytes that were given (for [`Text::push`]: bytes that would have been).
    pub len: usize,
    /// Bytes that fit.
    pub max: usize,
}

impl<const N: usize> Text<N> {
    /// The empty text.
    pub const fn new() -> Self {
        Text { len: 0, bytes: [0; N] }
    }

    /// A copy of `text`.
    pub fn of(text: &str) -> Result<Self, TooLong> {
        let mut copy = Self::new();
        copy.push(text)?;
        Ok(copy)
    }

    /// Replaces the content, or leaves it as it was.
    pub fn set(&mut self, text: &str) -> Result<(), TooLong> {
        self.len = append(&mut self.bytes, 0, text)?;
        Ok(())
    }

    /// Appends `text`, or leaves the content as it was.
    pub fn push(&mut self, text: &str) -> Result<(), TooLong> {
        self.len = append(&mut self.bytes, self.len, text)?;
        Ok(())
    }

    /// Replaces the content by `length` bytes that `fill` writes. `false`: they do not fit or are no text, and the content
    /// is empty now.
    pub(crate) fn replace(&mut self, length: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        self.len = refill(&mut self.bytes, length, fill);
        self.len == length
    }

    /// Appends a number in decimal.
    pub fn push_number(&mut self, number: i64) -> Result<(), TooLong> {
        let mut digits = [0; 20];
        let before = self.len;
        let signed = if number < 0 { self.push("-") } else { Ok(()) };
        signed
            .and_then(|()| self.push(decimal(number.unsigned_abs(), &mut digits)))
            .inspect_err(|_| self.len = before)
    }

    /// The content.
    pub fn as_str(&self) -> &str {
        content(&self.bytes, self.len)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Cuts it to its first `len` bytes; a longer `len`, or one within a character, changes nothing.
    pub fn truncate(&mut self, len: usize) {
        if self.as_str().is_char_boundary(len) {
            self.len = len;
        }
    }

    /// Takes out what is between two places; one within a character changes nothing.
    pub fn remove(&mut self, from: usize, to: usize) {
        let text = self.as_str();
        if from <= to && text.is_char_boundary(from) && text.is_char_boundary(to) {
            self.len = close_gap(&mut self.bytes, self.len, from, to);
        }
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

/// Writes `text` behind the first `len` bytes. Returns their number with it. Once in the image, not once for each size.
#[inline(never)]
fn append(bytes: &mut [u8], len: usize, text: &str) -> Result<usize, TooLong> {
    let max = bytes.len();
    let end = len.saturating_add(text.len());
    let Some(room) = bytes.get_mut(len..end) else {
        return Err(TooLong { len: end, max });
    };
    for (to, from) in room.iter_mut().zip(text.as_bytes()) {
        *to = *from;
    }
    Ok(end)
}

/// Moves the bytes from `to` on to `from`. Returns how many there are then.
#[inline(never)]
fn close_gap(bytes: &mut [u8], len: usize, from: usize, to: usize) -> usize {
    for (place, at) in (to..len).enumerate() {
        let byte = bytes.get(at).copied().unwrap_or_default();
        if let Some(place) = bytes.get_mut(from.saturating_add(place)) {
            *place = byte;
        }
    }
    len.saturating_sub(to.saturating_sub(from))
}

/// See [`Text::replace`]. Once in the image, not once for each size.
#[inline(never)]
fn refill(bytes: &mut [u8], length: usize, fill: &mut dyn FnMut(&mut [u8])) -> usize {
    let Some(room) = bytes.get_mut(..length) else { return 0 };
    fill(room);
    if core::str::from_utf8(room).is_ok() { length } else { 0 }
}

/// The text of the first `len` bytes: only whole strings were ever pushed.
#[inline(never)]
fn content(bytes: &[u8], len: usize) -> &str {
    bytes.get(..len).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
}

/// A tenth of `number`, and its last digit. In steps of 16 bits: a 64-bit division is a page of code on bare metal.
#[inline(never)]
pub(crate) const fn by_ten(number: u64) -> (u64, u8) {
    let (mut tenth, mut rest) = (0, 0);
    let mut shift = 64u32;
    while let Some(next) = shift.checked_sub(16) {
        shift = next;
        let part = rest << 16 | (number >> shift) as u32 & 0xFFFF;
        tenth = tenth << 16 | (part / 10) as u64;
        rest = part % 10;
    }
    (tenth, rest as u8)
}

/// The digits of `number`, at the end of `digits`.
#[inline(never)]
fn decimal(number: u64, digits: &mut [u8; 20]) -> &str {
    let mut rest = number;
    let mut from = digits.len();
    for place in digits.iter_mut().rev() {
        let digit;
        (rest, digit) = by_ten(rest);
        *place = b'0' + digit;
        from = from.saturating_sub(1);
        if rest == 0 {
            break;
        }
    }
    digits.get(from..).and_then(|digits| core::str::from_utf8(digits).ok()).unwrap_or("0")
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> core::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> core::ops::Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_text_that_does_not_fit_leaves_the_old_one() {
        let mut text = Text::<4>::of("abc").unwrap();
        assert_eq!(text.push("de"), Err(TooLong { len: 5, max: 4 }));
        assert_eq!(text.set("vwxyz"), Err(TooLong { len: 5, max: 4 }));
        assert_eq!(text.push_number(-1), Err(TooLong { len: 5, max: 4 }));
        assert_eq!(&*text, "abc");
    }

    #[test]
    fn a_tenth_is_that_of_the_division() {
        for number in
            [0, 9, 10, 65_535, 65_536, 655_360, u64::from(u32::MAX), 1 << 63, u64::MAX - 5, u64::MAX]
        {
            assert_eq!(by_ten(number), (number / 10, (number % 10) as u8));
        }
    }

    #[test]
    fn numbers_read_as_they_print() {
        for number in [0, 7, -113, 698_000, i64::MAX, i64::MIN] {
            let mut text = Text::<20>::new();
            text.push_number(number).unwrap();
            assert_eq!(text.as_str(), number.to_string());
        }
    }

    #[test]
    fn what_was_cut_off_does_not_count_in_a_comparison() {
        let mut text = Text::<8>::of("2_0_0-rc").unwrap();
        text.truncate(5);
        assert_eq!(text, Text::of("2_0_0").unwrap());
        assert_ne!(text, Text::of("2_0_1").unwrap());
    }
}
