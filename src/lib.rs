//! The C ABI of quecota.
#![cfg_attr(not(feature = "host"), no_std)]

#[cfg(feature = "host")]
mod host;

#[cfg(not(feature = "host"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
