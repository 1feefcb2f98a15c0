//! The platform of the process's one device, which the host or a port defines.

use crate::native::quecota_platform_t;

unsafe extern "C" {
    /// The platform of applications of the drop-in API (Ql_iotApi.h), for native ones to use as well. On Linux hosts the
    /// library brings one, configured by QUECOTA_* environment variables, as a weak symbol; elsewhere, or instead, an
    /// object file of the port defines it. NULL: there is none now.
    ///
    /// The table of the Linux platform is a token: its members are NULL, and it works only where it is handed on as it
    /// is, by its address, to quecota_init(). It serves one device at a time; quecota_start() of another one while the
    /// first lives returns QUECOTA_ERROR_PLATFORM.
    ///
    /// A device on the Linux platform belongs to the process: in a child that is forked later every call is refused with
    /// QUECOTA_ERROR_FORKED. The event callback runs in a thread of the library, which has all signals blocked but
    /// SIGSEGV, SIGBUS, SIGFPE and SIGILL.
    pub fn quecota_default_platform() -> *const quecota_platform_t;
}
