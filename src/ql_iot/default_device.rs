//! The way from the drop-in API to the native one.

use super::slot;
use crate::native::quecota_t;

/// The device of an application that uses the drop-in API (Ql_iotInit()), for what only the native API has, such as
/// quecota_ota_checkpoint(). NULL until Ql_iotInit() has returned TRUE. It is the library's: not to be given to
/// quecota_init(), quecota_start(), quecota_poll() or quecota_deinit(). From any task, also inside the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn quecota_default_device() -> *mut quecota_t {
    boundary!(core::ptr::null_mut(), { slot::handle() })
}
