//! Structs of C that grow at their end from one version of the library to the next.

use super::error::{InitError, QUECOTA_ERROR_NULL, QUECOTA_ERROR_STRUCT};

/// A struct that C hands in and that may grow at its end: one compiled against an older header is shorter, and what
/// it lacks is NULL.
///
/// # Safety
/// The struct is `repr(C)`, begins with its size as u32, and all bytes zero are a valid value.
pub unsafe trait Growing: Copy {
    /// Its name, for messages.
    const NAME: &'static str;
    /// Bytes of its first published version.
    const FIRST: usize;

    /// # Safety
    /// A pointer that is not NULL points to as many readable bytes as its first member says.
    unsafe fn copied(from: *const Self) -> Result<Self, InitError> {
        if from.is_null() {
            return Err(InitError { code: QUECOTA_ERROR_NULL, what: Self::NAME, rule: "must not be NULL" });
        }
        // SAFETY: it begins with its size.
        let given = unsafe { from.cast::<u32>().read() } as usize;
        if given < Self::FIRST {
            return Err(InitError {
                code: QUECOTA_ERROR_STRUCT,
                what: Self::NAME,
                rule: "must have its size in the member size",
            });
        }
        // SAFETY: zeros are a valid value; the caller promises `given` readable bytes; both are plain bytes.
        unsafe {
            let mut copy: Self = core::mem::zeroed();
            let bytes = given.min(size_of::<Self>());
            core::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut copy).cast::<u8>(), bytes);
            Ok(copy)
        }
    }
}
