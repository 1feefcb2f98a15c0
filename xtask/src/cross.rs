//! What takes minutes and depends on the machine: programs for 32-bit ARM under Linux, archives for every bare-metal target, the
//! core's and the journal's tests on a big-endian machine, and the library's own tests with the Rust side instrumented.

use crate::process::{Outcome, cargo, fail, output, root, run};
use crate::{setup, test};
use std::process::Command;

/// 32-bit ARM under Linux.
pub const ARM_LINUX: &str = "armv7-unknown-linux-gnueabihf";
/// `cmake/toolchain-NAME.cmake`; the others are built every day.
const BARE_METAL: &[&str] = &["thumbv6m", "armv7a"];
/// Programs that run under qemu; the tests of headers and packaging say the same on every machine.
const PROGRAMS: &str = "^(every_function|business_calls|ttlv|strings|drop_in|native_|quick_start|absurd_values|exception|abi_layout|refusals|\
     callback_during_init|deinit_in_callback|host_process)";

/// Archives for every bare-metal target.
pub fn bare_metal() -> Outcome {
    for target in BARE_METAL {
        println!("bare metal: {target}");
        build(target)?;
    }
    Ok(())
}

fn build(name: &str) -> Outcome<std::path::PathBuf> {
    build_with(name, &format!("cmake-{name}"), &["-DQUECOTA_EXAMPLES=OFF"])
}

fn build_with(name: &str, folder: &str, options: &[&str]) -> Outcome<std::path::PathBuf> {
    let file = root().join("cmake").join(format!("toolchain-{name}.cmake"));
    let toolchain = format!("-DCMAKE_TOOLCHAIN_FILE={}", file.display());
    test::c_build_with(folder, &[&[&*toolchain, "-DQUECOTA_HEADERS=OFF"], options].concat())
}

/// Bytes of a stripped program for 32-bit ARM under Linux, with the library's own platform in it.
pub fn arm_linux_program() -> Outcome<u32> {
    setup::rust_target(ARM_LINUX)?;
    let folder = build_with(
        "armv7-linux",
        "cmake-armv7-linux-examples",
        &["-DQUECOTA_TESTS=OFF", "-DQUECOTA_EXAMPLES=ON"],
    )?;
    let stripped = folder.join("minimal.stripped");
    run(Command::new("arm-linux-gnueabihf-strip").arg("-o").arg(&stripped).arg(folder.join("minimal")))?;
    let file = std::fs::metadata(&stripped).map_err(|error| format!("{}: {error}", stripped.display()))?;
    u32::try_from(file.len()).map_err(|_| format!("{} has more than 4 GB", stripped.display()))
}

/// Programs for 32-bit ARM, among them every function by either header: built, linked and run under qemu.
pub fn arm_linux() -> Outcome {
    setup::packages(&[setup::LONG])?;
    setup::rust_target(ARM_LINUX)?;
    let folder = build("armv7-linux")?;
    let ctest = ["--output-on-failure", "--timeout", "600", "--no-tests=error", "-R", PROGRAMS];
    run(Command::new("ctest").current_dir(folder).args(ctest))
}

/// The core's tests and the journal's on PowerPC, under qemu: codec, digests and what is in flash where the first byte of a number
/// is its highest. Rust's standard library for that machine is built from Debian's sources.
pub fn big_endian() -> Outcome {
    setup::packages(&[setup::LONG])?;
    on_powerpc(&["--package", "quecota-core"])?;
    on_powerpc(&["--package", "test-platform", "--test", "journal"])
}

/// `cargo test` of what these arguments say.
fn on_powerpc(what: &[&str]) -> Outcome {
    let mut tests = Command::new("/usr/bin/cargo");
    tests.current_dir(root()).env("PATH", "/usr/bin:/bin").env("RUSTC_BOOTSTRAP", "1");
    tests.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTFLAGS");
    tests.env("CARGO_TARGET_POWERPC_UNKNOWN_LINUX_GNU_LINKER", "powerpc-linux-gnu-gcc");
    tests.env("CARGO_TARGET_POWERPC_UNKNOWN_LINUX_GNU_RUNNER", "qemu-ppc -L /usr/powerpc-linux-gnu");
    tests.args(["test", "--locked", "-Zbuild-std"]).args(what);
    tests.args(["--target", "powerpc-unknown-linux-gnu", "--target-dir"]).arg(root().join("target/powerpc"));
    run(&mut tests)
}

/// The library's own tests under AddressSanitizer. The standard library is not instrumented, this library and its
/// dependencies are.
pub fn sanitized() -> Outcome {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let Some(host) = version.lines().find_map(|line| line.strip_prefix("host: ")) else {
        return fail(format!("rustc -vV says no host:\n{version}"));
    };
    let mut tests =
        cargo(&["test", "--locked", "--package", "quecota", "--package", "quecota-core", "--lib"]);
    tests.args(["--target", host, "--target-dir"]).arg(root().join("target/sanitized"));
    run(tests.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address"))
}
