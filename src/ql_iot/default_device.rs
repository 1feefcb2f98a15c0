//! The way from the drop-in API to the native one.

use super::instance;
use crate::native::{quecota_platform_t, quecota_t};

/// The device of an application that uses the drop-in API (Ql_iotInit()), for what only the native API has, such as
/// quecota_ota_checkpoint(). NULL until Ql_iotInit() has returned TRUE. It is the library's: not to be given to quecota_init(),
/// quecota_start(), quecota_poll() or quecota_deinit(). From any task, also inside the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn quecota_default_device() -> *mut quecota_t {
    boundary!(core::ptr::null_mut(), { instance::handle() })
}

unsafe extern "C" {
    /// The platform of applications of the drop-in API (Ql_iotApi.h), for native ones to use as well. On Linux hosts the
    /// library brings one, configured by QUECOTA_* environment variables, as a weak symbol; elsewhere, or instead, an
    /// object file of the port defines it. NULL: there is none now.
    ///
    /// The table of the Linux platform is a token: its members are NULL, and it works only where it is handed on as it
    /// is, by its address, to quecota_init(). It serves one device at a time; quecota_start() of another one while the
    /// first lives returns QUECOTA_ERROR_PLATFORM.
    pub fn quecota_default_platform() -> *const quecota_platform_t;
}
