//! Structs of C that grow at their end from one version of the library to the next.

use super::error::{InitError, QUECOTA_ERROR_NULL, QUECOTA_ERROR_STRUCT, Words};

/// A struct that C hands in and that may grow at its end: one compiled against an older header is shorter, and what
/// it lacks is NULL.
///
/// # Safety
/// The struct is `repr(C)`, begins with its size as u32, and all bytes zero are a valid value.
pub unsafe trait Growing: Copy {
    /// Its name, for messages.
    const NAME: Words;
    /// Bytes of its first published version.
    const FIRST: usize;

    /// # Safety
    /// A pointer that is not NULL points to as many readable bytes as its first member says.
    unsafe fn copy_from(&mut self, from: *const Self) -> Result<(), InitError> {
        // SAFETY: bytes of one value replace those of another, or some of them; the caller's promise.
        unsafe {
            let place = core::slice::from_raw_parts_mut(core::ptr::from_mut(self).cast(), size_of::<Self>());
            copy_given(from.cast(), place, Self::FIRST, Self::NAME)
        }
    }

    /// A value that lacks everything.
    fn absent() -> Self {
        // SAFETY: zeros are a valid value.
        unsafe { core::mem::zeroed() }
    }
}

/// Copies what is given of a struct and fits. Once in the image, not once for each struct.
///
/// # Safety
/// A pointer that is not NULL points to as many readable bytes as it says first.
#[inline(never)]
unsafe fn copy_given(from: *const u32, to: &mut [u8], first: usize, what: Words) -> Result<(), InitError> {
    if from.is_null() {
        return Err(InitError { code: QUECOTA_ERROR_NULL, what, rule: Words::of("must not be NULL") });
    }
    // SAFETY: it begins with its size.
    let given = unsafe { from.read() } as usize;
    if given < first {
        let rule = Words::of("must have its size in the member size");
        return Err(InitError { code: QUECOTA_ERROR_STRUCT, what, rule });
    }
    // SAFETY: the caller promises `given` readable bytes; nobody else has the place.
    unsafe { core::ptr::copy_nonoverlapping(from.cast(), to.as_mut_ptr(), given.min(to.len())) };
    Ok(())
}
