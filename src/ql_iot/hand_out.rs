//! Values for places of the application.

/// Writes `value` to a place of the application, where it gave one.
///
/// # Safety
/// `place` is NULL or may be written.
pub unsafe fn hand_out<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: the caller's promise.
        unsafe { place.write(value) }
    }
}
