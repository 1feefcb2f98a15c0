//! The first two beats of every export: no panic leaves, and pointers become references or a refusal.

/// Runs the body of an export. On hosts a panic (a bug in this library) ends here with `$fallback`; firmware cannot
/// panic at all, so there it costs nothing.
macro_rules! boundary {
    ($fallback:expr, $body:block) => {
        $crate::boundary::contain($fallback, || $body)
    };
}

/// `*const T` or `*mut T` to `&T`, or the export returns `$refusal`. The caller of the export promises that a
/// pointer that is not NULL points to a valid `T`.
macro_rules! reference {
    ($pointer:expr, else $refusal:expr) => {
        // SAFETY: not NULL is checked here; the rest is the documented duty of the C caller.
        match unsafe { $pointer.as_ref() } {
            Some(reference) => reference,
            None => return $refusal,
        }
    };
}

/// Writes `$value` to a place of the C caller, or the export returns `$refusal` when the pointer is NULL.
macro_rules! write_to {
    ($pointer:expr, $value:expr, else $refusal:expr) => {
        if $pointer.is_null() {
            return $refusal;
        } else {
            // SAFETY: not NULL; that it may be written is the documented duty of the C caller.
            unsafe { $pointer.write($value) }
        }
    };
}

/// A `quecota_t *` to `&quecota_t`; NULL and memory that holds no live device are refused.
macro_rules! device {
    ($pointer:expr, else $refusal:expr) => {{
        let device: &$crate::native::quecota_t = reference!($pointer, else $refusal);
        if !device.is_alive() {
            return $refusal;
        }
        device
    }};
}

/// A NUL-terminated C string to `&str`; NULL, longer than [`STRING_MAX`](crate::boundary::STRING_MAX) and no UTF-8
/// are refused.
macro_rules! string {
    ($pointer:expr, else $refusal:expr) => {
        // SAFETY: a pointer that is not NULL points to a NUL-terminated string: the C caller's duty.
        match unsafe { $crate::boundary::string($pointer) } {
            Some(text) => text,
            None => return $refusal,
        }
    };
}

/// As [`string!`], but NULL is `None`.
macro_rules! optional_string {
    ($pointer:expr, else $refusal:expr) => {
        if $pointer.is_null() { None } else { Some(string!($pointer, else $refusal)) }
    };
}

/// Pointer and length to `&[u8]`; NULL is refused unless the length is 0.
macro_rules! bytes {
    ($pointer:expr, $length:expr, else $refusal:expr) => {
        if $length == 0 {
            &[][..]
        } else if $pointer.is_null() {
            return $refusal;
        } else {
            // SAFETY: not NULL, and the C caller promises that many readable bytes.
            unsafe { core::slice::from_raw_parts($pointer.cast::<u8>(), $length as usize) }
        }
    };
}

/// Pointer and length to `&mut [u8]`; NULL is refused.
macro_rules! bytes_mut {
    ($pointer:expr, $length:expr, else $refusal:expr) => {
        if $pointer.is_null() {
            return $refusal;
        } else {
            // SAFETY: not NULL, and the C caller promises that many writable bytes that nobody else uses meanwhile.
            unsafe { core::slice::from_raw_parts_mut($pointer.cast::<u8>(), $length as usize) }
        }
    };
}

/// Longest string that a C caller can hand in, without its NUL. Bounds the search for a NUL that is missing.
pub const STRING_MAX: usize = 2048;

/// See [`boundary!`].
#[cfg(feature = "host")]
pub fn contain<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// See [`boundary!`].
#[cfg(not(feature = "host"))]
pub fn contain<T>(_fallback: T, body: impl FnOnce() -> T) -> T {
    body()
}

/// The bytes of a C string before its NUL; `None` when no NUL comes within [`STRING_MAX`].
///
/// # Safety
/// `pointer` is not NULL and points to a NUL-terminated string that lives for `'a`.
pub unsafe fn raw_string<'a>(pointer: *const core::ffi::c_char) -> Option<&'a [u8]> {
    let start = pointer.cast::<u8>();
    for length in 0..=STRING_MAX {
        // SAFETY: every byte before was no NUL, so this one is still part of the string.
        if unsafe { start.add(length).read() } == 0 {
            // SAFETY: these bytes were all just read.
            return Some(unsafe { core::slice::from_raw_parts(start, length) });
        }
    }
    None
}

/// The text of a C string; see [`string!`].
///
/// # Safety
/// As [`raw_string`], but NULL is allowed.
pub unsafe fn string<'a>(pointer: *const core::ffi::c_char) -> Option<&'a str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL; the rest is the caller's promise.
    unsafe { raw_string(pointer) }.and_then(|bytes| core::str::from_utf8(bytes).ok())
}

/// A copy of `text` with a NUL behind it, for a C callee. What does not fit is cut at a character border.
pub struct Terminated<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Terminated<N> {
    /// Copies; `N` counts the NUL.
    pub fn of(text: &str) -> Self {
        let mut room = N.saturating_sub(1).min(text.len());
        while !text.is_char_boundary(room) {
            room = room.saturating_sub(1);
        }
        let mut copy = Terminated { bytes: [0; N], length: room };
        for (to, from) in copy.bytes.iter_mut().zip(text.as_bytes().iter().take(room)) {
            *to = *from;
        }
        copy
    }

    /// Bytes without the NUL.
    pub fn length(&self) -> usize {
        self.length
    }

    /// For the callee to read.
    pub fn as_ptr(&self) -> *const core::ffi::c_char {
        self.bytes.as_ptr().cast()
    }

    /// For a callee that may write on it.
    pub fn as_mut_ptr(&mut self) -> *mut core::ffi::c_char {
        self.bytes.as_mut_ptr().cast()
    }
}
