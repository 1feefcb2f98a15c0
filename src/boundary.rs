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

/// A `quecota_http_t *` to `&mut Download`; NULL is refused. Its task is the only one that uses it.
macro_rules! download {
    ($pointer:expr, else $refusal:expr) => {{
        let http: &$crate::native::quecota_http_t = reference!($pointer, else $refusal);
        http.download()
    }};
}

/// A NUL-terminated C string to `&str`; NULL, longer than [`STRING_MAX`] and no UTF-8
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

/// A NUL-terminated C string to `Result<&str, Error>`: NULL is [`QUECOTA_ERROR_NULL`](crate::native::Error), longer than
/// [`STRING_MAX`] and no UTF-8 are QUECOTA_ERROR_VALUE.
macro_rules! text {
    ($pointer:expr) => {
        // SAFETY: a pointer that is not NULL points to a NUL-terminated string: the C caller's duty.
        unsafe { $crate::native::text($pointer) }
    };
}

/// As [`text!`], but NULL is the empty text.
macro_rules! text_or_empty {
    ($pointer:expr) => {
        // SAFETY: as in `text!`.
        unsafe { $crate::native::text_or_empty($pointer) }
    };
}

/// The bytes of a NUL-terminated C string of any encoding that is not NULL; longer than
/// [`STRING_MAX`] is refused.
macro_rules! raw {
    ($pointer:expr, else $refusal:expr) => {
        // SAFETY: not NULL, and NUL-terminated: the C caller's duty.
        match unsafe { $crate::boundary::raw_string($pointer) } {
            Some(text) => text,
            None => return $refusal,
        }
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
#[inline(never)]
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
#[inline(never)]
pub unsafe fn string<'a>(pointer: *const core::ffi::c_char) -> Option<&'a str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL; the rest is the caller's promise.
    unsafe { raw_string(pointer) }.and_then(|bytes| core::str::from_utf8(bytes).ok())
}

/// A copy of `text` with a NUL behind it, for a C callee. What does not fit is cut at a character border.
pub struct CStrBuf<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> CStrBuf<N> {
    /// No text yet. Made apart from [`Self::hold`], because a filled one that is returned is on the stack twice.
    pub const EMPTY: Self = CStrBuf { bytes: [0; N], length: 0 };

    /// Copies `text` into this one, which must be new; `N` counts the NUL.
    pub fn hold(&mut self, text: &str) -> &mut Self {
        self.length = copy_before_nul(&mut self.bytes, text);
        self
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

/// Copies what of `text` leaves the last byte of `bytes` free, cut at a character border. Returns its length.
#[inline(never)]
fn copy_before_nul(bytes: &mut [u8], text: &str) -> usize {
    let mut room = bytes.len().saturating_sub(1).min(text.len());
    while !text.is_char_boundary(room) {
        room = room.saturating_sub(1);
    }
    for (to, from) in bytes.iter_mut().zip(text.as_bytes().iter().take(room)) {
        *to = *from;
    }
    room
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    /// Name, parameters and body of every export.
    fn exports() -> Vec<(String, String, String)> {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let mut exports = Vec::new();
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            let mark = concat!("#[unsafe(no_", "mangle)]");
            for part in source.split(mark).skip(1) {
                let (head, rest) = part.split_once(" {\n").unwrap();
                let name = head.split_once("fn ").unwrap().1.split('(').next().unwrap();
                let body = rest.split_once("\n}\n").unwrap().0;
                exports.push((name.to_owned(), head.to_owned(), body.to_owned()));
            }
        }
        exports
    }

    #[test]
    fn every_export_begins_with_the_panic_boundary_and_has_nothing_outside_it() {
        let exports = exports();
        assert!(exports.len() > 50, "only {} exports were found", exports.len());
        for (name, _, body) in exports {
            let body = body.trim();
            let boundaries = ["boundary!(", "native_call!(", "answer_call!(", "iot_call!(", "added!("];
            assert!(boundaries.iter().any(|begin| body.starts_with(begin)), "{name} has no panic boundary");
            let end: String = body.split_whitespace().collect();
            let is_whole = end.ends_with("})") || end.starts_with("native_call!(") && !end.contains(';');
            assert!(is_whole, "{name} does something after its panic boundary");
        }
    }

    #[test]
    fn every_pointer_of_an_export_goes_through_the_macros() {
        let ways = [
            "download!(",
            "tell ",
            "ask ",
            "Device ",
            "live(",
            "asked(",
            "flow(",
            "clears ",
            "copy_from(",
            "string!(",
            "text!(",
            "text_or_empty!(",
            "raw!(",
            "bytes!(",
            "bytes_mut!(",
            "write_to!(",
            "reference!(",
            "hand_out(",
            // Handles that are looked up before they count.
            "lists::count(",
            "lists::of_index(",
            "lists::of_node(",
            "lists::of_id(",
            "add(",
            "found(",
            "found_bytes(",
            "ids_of(",
            // Of a struct that may grow.
            "copied(",
        ];
        for (name, head, body) in exports() {
            let parameters = head.split_once('(').unwrap().1;
            // A function pointer's own parameters are its caller's business.
            let parameters = parameters.split("extern \"C\" fn(").next().unwrap();
            for parameter in parameters.split(',') {
                let Some((parameter, _)) = parameter.split_once(": *") else { continue };
                let parameter = parameter.trim();
                // A call that refuses reads nothing, and a list is looked up by what it is handed to.
                let refuses = body.contains(&format!("\"{name}\"")) && body.contains("refuse(");
                let is_list = ["ttlvHead", "nmeaTtlv", "titleTtlv"].contains(&parameter);
                let list_ways =
                    ["send_list(", "report_outside(", "report_inside(", "read_receiver(", "lists::"];
                let used = refuses
                    || is_list && list_ways.iter().any(|way| body.contains(way))
                    || ways.iter().any(|way| {
                        [",", ")"].iter().any(|end| body.contains(&format!("{way}{parameter}{end}")))
                    })
                    || body.contains(&format!("{parameter}.is_null()"))
                    || ["ctx", "config", "platform", "memory"].contains(&parameter);
                assert!(used, "{name}: nothing checks the pointer {parameter}");
            }
        }
    }

    #[test]
    fn the_page_of_calls_says_what_each_does() {
        let page = include_str!("../docs/migrate.md");
        let mut rows = std::collections::BTreeMap::new();
        for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
            let (name, rest) = row.split_once("` | ").unwrap();
            let kind = rest.split(" | ").next().unwrap();
            assert!(["works", "sends", "refuses"].contains(&kind), "{name} {kind}: there is no such kind");
            assert!(rows.insert(name, kind).is_none(), "{name} is there twice");
        }
        for (name, _, body) in exports() {
            if !name.starts_with("Ql_") && !name.starts_with("Quos_") || name == "Ql_iotInit_2_10" {
                continue;
            }
            let body: String = body.split_whitespace().collect();
            let refuses = body.contains(&format!("refuse(\"{name}\""));
            let kind = rows.remove(name.as_str()).unwrap_or_else(|| panic!("{name} is not on the page"));
            assert_eq!(kind == "refuses", refuses, "{name} {kind}");
            for header in ["Ql_iotApi", "ql_api_qthsdk"] {
                let path = format!("{}/include/{header}.h", env!("CARGO_MANIFEST_DIR"));
                let declared = fs::read_to_string(path).unwrap().contains(&format!("{name}("));
                assert!(declared || name.contains("Json"), "{name} is not in {header}.h");
            }
        }
        assert!(rows.is_empty(), "no such function: {rows:?}");
    }
}
