//! The string helpers that existing applications link (QUECTHING.md 1.3).

use core::ffi::c_char;

use super::types::{FALSE, qbool, quint32_t};

/// Splits `src` in place at each `delim` (the whole string), writes NULs over all of the delimiter, and puts the beginnings
/// of the first `maxSize` words into `words`. Empty words count only with `keepEmptyParts`, and none stands behind a
/// delimiter at the end. Returns the number of words; 0 when a pointer is NULL or `delim` is empty.
///
/// # Safety
/// `src` points to `srcLen` bytes or to a shorter string with its NUL; the last word ends at `src[srcLen]`, which is
/// not touched; `words` has room for `maxSize` pointers; `delim` ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Quos_stringSplit(
    src: *mut c_char,
    srcLen: quint32_t,
    words: *mut *mut c_char,
    maxSize: quint32_t,
    delim: *const c_char,
    keepEmptyParts: qbool,
) -> quint32_t {
    boundary!(0, {
        let text = bytes_mut!(src, srcLen, else 0);
        let delim = if delim.is_null() { &[][..] } else { raw!(delim, else 0) };
        if words.is_null() || delim.is_empty() {
            return 0;
        }
        let keep_empty = keepEmptyParts != FALSE;
        let mut count = 0;
        split(text, delim, |start, length| {
            if count == maxSize {
                return Go::Stop;
            }
            if length > 0 || keep_empty {
                // SAFETY: `count` is below `maxSize`; `start` is inside `src` or just behind it.
                unsafe { words.add(count as usize).write(src.add(start)) };
                count += 1;
            }
            Go::On
        });
        count
    })
}

enum Go {
    On,
    Stop,
}

/// Finds the words of `text` up to its NUL, writes NULs over the delimiter behind each, and hands over where each starts and
/// how long it is. Nothing is written behind a word that was not wanted.
fn split(text: &mut [u8], delim: &[u8], mut word: impl FnMut(usize, usize) -> Go) {
    let length = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let mut rest = text.get_mut(..length).unwrap_or_default();
    let mut start = 0usize;
    while !rest.is_empty() {
        let found = rest.windows(delim.len()).position(|window| window == delim);
        let Some(at) = found else {
            // The last word ends where the text does.
            let _ = word(start, rest.len());
            return;
        };
        if let Go::Stop = word(start, at) {
            return;
        }
        let next = at.saturating_add(delim.len());
        rest.get_mut(at..next).unwrap_or_default().fill(0);
        start = start.saturating_add(next);
        rest = rest.get_mut(next..).unwrap_or_default();
    }
}

/// Takes one pair of `"` off a string: moves the text between them to the string's begin, in place. Returns `strVal`. A
/// string without such a pair stays as it is.
///
/// # Safety
/// `strVal` is NULL or a NUL-terminated string that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Quos_stringRemoveMarks(strVal: *mut c_char) -> *mut c_char {
    boundary!(strVal, {
        if strVal.is_null() {
            return strVal;
        }
        let text = raw!(strVal, else strVal);
        let [b'"', inner @ .., b'"'] = text else { return strVal };
        let length = inner.len();
        // SAFETY: all are bytes of the string that was just read, and the caller lets it be written.
        unsafe {
            core::ptr::copy(strVal.add(1), strVal, length);
            strVal.add(length).write(0);
        }
        strVal
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::ptr::null_mut;

    fn words(text: &str, delim: &CStr, most: u32, keep: qbool) -> Vec<String> {
        let mut source: Vec<u8> = text.bytes().chain([0]).collect();
        let mut words = vec![null_mut(); 16];
        let source = source.as_mut_ptr().cast();
        let length = text.len() as u32;
        // SAFETY: as the function asks.
        let count =
            unsafe { Quos_stringSplit(source, length, words.as_mut_ptr(), most, delim.as_ptr(), keep) };
        // SAFETY: the words point into `source`.
        words
            .iter()
            .take(count as usize)
            .map(|word| unsafe { CStr::from_ptr(*word) }.to_str().unwrap().into())
            .collect()
    }

    fn unmarked(text: &CStr) -> String {
        let mut text = text.to_bytes_with_nul().to_vec();
        let place = text.as_mut_ptr().cast();
        // SAFETY: as the function asks.
        let returned = unsafe { Quos_stringRemoveMarks(place) };
        assert_eq!(returned, place, "applications ignore what is returned");
        CStr::from_bytes_until_nul(&text).unwrap().to_str().unwrap().into()
    }

    #[test]
    fn a_plan_event_splits_into_its_six_fields() {
        let plan = "\"MCU\",\"1\",\"2\",30,-113,698000";
        assert_eq!(words(plan, c",", 16, 0), ["\"MCU\"", "\"1\"", "\"2\"", "30", "-113", "698000"]);
    }

    #[test]
    fn empty_parts_are_words_only_when_they_are_kept() {
        assert_eq!(words(",a,,b,", c",", 16, 0), ["a", "b"]);
        assert_eq!(words(",a,,b", c",", 16, 1), ["", "a", "", "b"]);
        assert_eq!(words("", c",", 16, 0), [""; 0]);
    }

    #[test]
    fn an_empty_part_behind_the_last_delimiter_is_no_word() {
        assert_eq!(words("a,b,", c",", 16, 1), ["a", "b"]);
        assert_eq!(words("a,b,,", c",", 16, 1), ["a", "b", ""]);
        assert_eq!(words(",", c",", 16, 1), [""]);
        assert_eq!(words("", c",", 16, 1), [""; 0]);
    }

    #[test]
    fn no_more_words_than_there_is_room_for() {
        assert_eq!(words("a,b,c", c",", 2, 0), ["a", "b"]);
        assert_eq!(words("a,b,c", c",", 0, 0), [""; 0]);
    }

    #[test]
    fn a_delimiter_of_several_characters_counts_as_a_whole() {
        assert_eq!(words("mqtt://host:1", c"://", 16, 0), ["mqtt", "host:1"]);
        assert_eq!(words("a,b", c"", 16, 0), [""; 0]);
    }

    #[test]
    fn every_byte_of_a_delimiter_becomes_nul() {
        let mut source = *b"a://b\0";
        let mut words = [null_mut(); 4];
        // SAFETY: as the function asks.
        let count = unsafe {
            Quos_stringSplit(source.as_mut_ptr().cast(), 5, words.as_mut_ptr(), 4, c"://".as_ptr(), 0)
        };
        assert_eq!((count, &source), (2, b"a\0\0\0b\0"));
    }

    #[test]
    fn bytes_behind_the_given_length_are_not_looked_at() {
        let mut source = *b"a,b,c";
        let mut words = [null_mut(); 4];
        // SAFETY: as the function asks: three bytes of `source`.
        let count = unsafe {
            Quos_stringSplit(source.as_mut_ptr().cast(), 3, words.as_mut_ptr(), 4, c",".as_ptr(), 0)
        };
        assert_eq!(count, 2);
        assert_eq!(&source, b"a\0b,c");
    }

    #[test]
    fn one_pair_of_marks_comes_off() {
        assert_eq!(unmarked(c"\"STM32\""), "STM32");
        assert_eq!(unmarked(c"\"\"x\"\""), "\"x\"");
        assert_eq!(unmarked(c"\"\""), "");
        for kept in [c"", c"x", c"\"", c"\"x", c"x\""] {
            assert_eq!(unmarked(kept), kept.to_str().unwrap());
        }
    }
}
