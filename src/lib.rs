//! The C ABI of quecota: the only room with unsafe code.
//!
//! [`native`] is `quecota_*`: many devices, each in memory of the caller. [`ql_iot`] is the drop-in API over one
//! process-wide device. Every export has three beats: a panic [`boundary`], pointers turned to references by its
//! macros, and a call into safe Rust.
#![cfg_attr(not(any(feature = "host", test)), no_std)]
#![allow(non_camel_case_types, non_snake_case)] // the names are those that C programs see
// Without them some kinds of pointer occur nowhere.
#![cfg_attr(not(all(feature = "http", feature = "ql-api")), allow(unused_macros))]

#[macro_use]
mod boundary;
#[cfg(feature = "host")]
mod host;
#[macro_use]
pub mod native;
#[cfg(feature = "ql-api")]
pub mod ql_iot;

#[cfg(not(any(feature = "host", test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // At the gate, an image in which any panic can be reached does not link.
    #[cfg(feature = "firmware-gate")]
    {
        unsafe extern "C" {
            fn quecota_a_panic_is_reachable() -> !;
        }
        // SAFETY: never linked, so never called.
        unsafe { quecota_a_panic_is_reachable() }
    }
    #[cfg(not(feature = "firmware-gate"))]
    loop {}
}
