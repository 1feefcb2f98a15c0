//! Where the process's one device is found.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::native::{Device, quecota_t};

/// NULL until `Ql_iotInit` has made it; after its success the device for ever.
static DEVICE: AtomicPtr<Device> = AtomicPtr::new(ptr::null_mut());

/// The device, once `Ql_iotInit` has made it.
pub fn device() -> Option<&'static Device> {
    // SAFETY: NULL or the device of `Ql_iotInit`, which lives for ever; what has ended refuses by itself.
    unsafe { DEVICE.load(Ordering::SeqCst).as_ref() }
}

/// The same as C sees it; NULL before.
pub fn handle() -> *mut quecota_t {
    DEVICE.load(Ordering::Acquire).cast()
}

/// `Ql_iotInit` has made `device`, or it failed and this is NULL.
pub fn set(device: *mut Device) {
    DEVICE.store(device, Ordering::SeqCst);
}
