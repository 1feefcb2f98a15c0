//! Text of bounded length without a heap.

use core::num::NonZero;

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
pub type Text<const N: usize> = Chars<[u8; N]>;

/// A string at the begin of a buffer. What is done with it is in the image once, for [`Chars<[u8]>`](Chars), and not once
/// for each size.
#[derive(Clone, Copy)]
pub struct Chars<B: ?Sized> {
    len: usize,
    bytes: B,
}

/// By content: what a longer text left behind the end does not count.
impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        self.unsized_ref().is_same(other)
    }
}

impl<const N: usize> Eq for Text<N> {}

/// The text does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text of {len} bytes; at most {max} fit")]
pub struct TooLong {
    /// Bytes that were given (for [`Text::push`]: bytes that would have been). Never 0, so that a result takes no more room.
    len: NonZero<usize>,
    /// Bytes that fit.
    max: usize,
}

impl TooLong {
    /// Of `len` bytes, which are more than `max`.
    pub fn of(len: usize, max: usize) -> TooLong {
        TooLong { len: NonZero::new(len).unwrap_or(NonZero::<usize>::MIN), max }
    }
}

impl<const N: usize> Text<N> {
    /// The empty text.
    pub const fn new() -> Self {
        Chars { len: 0, bytes: [0; N] }
    }

    /// A copy of `text`.
    pub fn of(text: &str) -> Result<Self, TooLong> {
        let mut copy = Self::new();
        copy.push(text)?;
        Ok(copy)
    }

    /// A copy of `text`; empty when it does not fit.
    pub fn or_empty(text: &str) -> Self {
        let mut copy = Self::new();
        let _ = copy.push(text);
        copy
    }

    fn unsized_ref(&self) -> &Chars<[u8]> {
        self
    }

    fn unsized_mut(&mut self) -> &mut Chars<[u8]> {
        self
    }

    /// Replaces the content, or leaves it as it was.
    pub fn set(&mut self, text: &str) -> Result<(), TooLong> {
        self.unsized_mut().write(0, text)
    }

    /// Appends `text`, or leaves the content as it was.
    pub fn push(&mut self, text: &str) -> Result<(), TooLong> {
        self.unsized_mut().append(text)
    }

    /// Appends texts one after another, as far as they fit.
    pub fn push_all(&mut self, texts: &[&str]) -> Result<(), TooLong> {
        self.unsized_mut().append_all(texts)
    }

    /// Replaces the content by `length` bytes that `fill` writes. `false`: they do not fit or are no text, and the content
    /// is empty now.
    pub(crate) fn replace(&mut self, length: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        self.unsized_mut().refill(length, fill)
    }

    /// The length, and all bytes there is room for; those before the length must be UTF-8 again.
    pub(crate) fn parts_mut(&mut self) -> (&mut usize, &mut [u8]) {
        (&mut self.len, &mut self.bytes)
    }

    /// Appends a number in decimal.
    pub fn push_number(&mut self, number: i64) -> Result<(), TooLong> {
        self.unsized_mut().append_number(number)
    }

    /// The content.
    pub fn as_str(&self) -> &str {
        self.unsized_ref().content()
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
            self.unsized_mut().close_gap(from, to);
        }
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl Chars<[u8]> {
    /// Writes `text` behind the first `from` bytes.
    #[inline(never)]
    fn write(&mut self, from: usize, text: &str) -> Result<(), TooLong> {
        let end = from.saturating_add(text.len());
        let max = self.bytes.len();
        let room = self.bytes.get_mut(from..end).ok_or(TooLong::of(end, max))?;
        for (to, from) in room.iter_mut().zip(text.as_bytes()) {
            *to = *from;
        }
        self.len = end;
        Ok(())
    }

    /// See [`Text::push`].
    #[inline(never)]
    pub(crate) fn append(&mut self, text: &str) -> Result<(), TooLong> {
        self.write(self.len, text)
    }

    /// Moves the bytes from `to` on to `from`.
    #[inline(never)]
    fn close_gap(&mut self, from: usize, to: usize) {
        for (place, at) in (to..self.len).enumerate() {
            let byte = self.bytes.get(at).copied().unwrap_or_default();
            if let Some(place) = self.bytes.get_mut(from.saturating_add(place)) {
                *place = byte;
            }
        }
        self.len = self.len.saturating_sub(to.saturating_sub(from));
    }

    #[inline(never)]
    fn append_all(&mut self, texts: &[&str]) -> Result<(), TooLong> {
        texts.iter().try_for_each(|text| self.append(text))
    }

    #[inline(never)]
    fn append_number(&mut self, number: i64) -> Result<(), TooLong> {
        let mut digits = [0; 20];
        let before = self.len;
        let sign = if number < 0 { "-" } else { "" };
        let texts = [sign, decimal(number.unsigned_abs(), &mut digits)];
        self.append_all(&texts).inspect_err(|_| self.len = before)
    }

    #[inline(never)]
    fn refill(&mut self, length: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        self.len = 0;
        let Some(room) = self.bytes.get_mut(..length) else { return false };
        fill(room);
        if core::str::from_utf8(room).is_ok() {
            self.len = length;
        }
        self.len == length
    }

    /// The text of the first `len` bytes: only whole strings were ever pushed.
    #[inline(never)]
    fn content(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    #[inline(never)]
    fn is_same(&self, other: &Chars<[u8]>) -> bool {
        self.content() == other.content()
    }
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
pub(crate) fn decimal(number: u64, digits: &mut [u8; 20]) -> &str {
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
        assert_eq!(text.push("de"), Err(TooLong::of(5, 4)));
        assert_eq!(text.set("vwxyz"), Err(TooLong::of(5, 4)));
        assert_eq!(text.push_number(-1), Err(TooLong::of(5, 4)));
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
