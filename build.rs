//! Checks the C headers in `include/` against the sources, or makes them; and warns when firmware would get the large
//! SHA-256.
//!
//! Feature `headers` (default) switches the check on. Without it the build needs no cbindgen and takes `include/` as it
//! is. `QUECOTA_HEADERS=write` in the environment, which `cargo xtask headers` sets, writes instead of comparing.

#[cfg(feature = "headers")]
#[path = "cbindgen/headers.rs"]
mod headers;

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    warn_of_large_sha256();
    #[cfg(feature = "headers")]
    if let Err(why) = headers::check_or_write() {
        println!("cargo::error={}", why.to_string().replace('\n', " "));
    }
}

/// `.cargo/config.toml` chooses the compact SHA-256 for bare metal by a flag, and cargo drops those flags when the
/// environment has flags of its own.
fn warn_of_large_sha256() {
    println!("cargo::rerun-if-env-changed=RUSTFLAGS");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "none") && !is("CARGO_CFG_SHA2_BACKEND_SOFT", "compact") {
        println!(
            "cargo::warning=SHA-256 takes 8 KB instead of 1.5 KB: RUSTFLAGS of the environment replace the flags of \
             .cargo/config.toml; add --cfg sha2_backend_soft=\"compact\" to them"
        );
    }
}
