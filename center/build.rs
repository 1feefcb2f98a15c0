//! Build script: embeds the migrations, and has the symbols taken from the program that is installed.

fn main() {
    // sqlx::migrate! embeds the folder; a new file in it must rebuild the crate.
    println!("cargo:rerun-if-changed=migrations");
    // Cargo takes no symbols from a program whose package has a line of its own in the profile. The profile `symbols` has debug
    // information, and a debug build is not optimized.
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if is("DEBUG", "false") && is("OPT_LEVEL", "s") {
        println!("cargo:rustc-link-arg-bins=-Wl,--strip-all");
        // Addresses to be moved take 0.7 MB one by one; glibc knows the packed form since 2.36.
        if is("CARGO_CFG_TARGET_ENV", "gnu") {
            println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}
