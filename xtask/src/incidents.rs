//! What happens in the field besides power cuts and faults by chance, to a device in the middle of its upgrade: its disk is
//! full, what is staged changes while power is off, and the server asks for two minutes of patience.

use crate::demo::{Shown, step};
use crate::process::{Background, Outcome, fail};
use crate::throttled_proxy::ThrottledProxy;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Bytes that are staged at a time: what is damaged lies in the first piece.
pub const STAGING: usize = 256 * 1024;
/// The disk takes so many bytes of a file: the journal, and a part of the first piece.
const DISK: u64 = 160 * 1024;
/// The device is killed after so many bytes,
const KILLED_AT: u64 = 128 * 1024;
/// and this byte of those is changed.
const DAMAGED: u64 = 50_000;
/// Each incident is a failed attempt to the platform, and chance may add some.
pub const RETRIES: &str = "9";
/// The server is away once it has sent so many bytes.
const AWAY_AT: u64 = 600 * 1024;
const AWAY_FOR: Duration = Duration::from_secs(120);
/// How often the terminal hears how long it still is away.
const TOLD: Duration = Duration::from_secs(15);

/// All three, to the application `program` that `configure` starts, with its data in `folder`, where it was started before.
/// Gives the device that goes on.
pub fn happen(
    program: &Path,
    configure: &dyn Fn(&mut Command),
    folder: &Path,
    proxy: &ThrottledProxy,
    shown: &mut Shown,
) -> Outcome<Background> {
    let start = || Background::start_with_errors(program, "KILL", configure);
    step(&format!("the disk is full after {DISK} bytes"));
    let device = Background::start_with_errors(Path::new("prlimit"), "KILL", |command| {
        command.arg(format!("--fsize={DISK}")).arg("--").arg(program);
        configure(command);
    })?;
    shown.follow(&device, &mut |_| Ok(false))?;
    match shown.failure.take() {
        Some(_) => println!("  the upgrade has failed, and says why"),
        None => return fail("the disk was full, and the upgrade did not fail"),
    }
    if !shown.heard("File too large") {
        return fail("the device never said that it cannot write");
    }

    step("there is room again; the plan is asked for anew, and power goes in the middle");
    proxy.forget();
    let device = start()?;
    shown.follow(&device, &mut |_| Ok(proxy.high_water() >= KILLED_AT))?;
    device.kill()?;
    proxy.disconnect();

    step(&format!("one bit of the staged image, at byte {DAMAGED}, changes while power is off"));
    flip_bit(&folder.join("image"))?;
    let device = start()?;
    shown.follow(&device, &mut |_| Ok(proxy.high_water() >= AWAY_AT))?;
    if !shown.heard("damage in the staged bytes") {
        return fail("the device never said that staged bytes changed");
    }

    step(&format!("the server answers 503 with Retry-After: {0} for {0} s", AWAY_FOR.as_secs()));
    let had = proxy.forwarded();
    proxy.be_away(AWAY_FOR);
    let mut told = Duration::ZERO;
    shown.follow(&device, &mut |_| {
        let passed = proxy.away_for().unwrap_or_default();
        if passed < AWAY_FOR && passed >= told {
            println!("    {:>3} s: {} requests came", passed.as_secs(), proxy.refused());
            told += TOLD;
        }
        Ok(passed >= AWAY_FOR && proxy.forwarded() > had)
    })?;
    let (refused, late) = (proxy.refused(), proxy.away_for().unwrap_or_default().saturating_sub(AWAY_FOR));
    println!("    it goes on {} s after the server's return; {refused} requests came before", late.as_secs());
    // The transfer that broke off comes back within seconds, and is told to wait until the outage is over.
    if refused != 1 {
        return fail(format!("{refused} requests came while the server asked for patience; 1 is right"));
    }
    Ok(device)
}

fn flip_bit(image: &Path) -> Outcome {
    let flipped = OpenOptions::new().read(true).write(true).open(image).and_then(|file| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, DAMAGED)?;
        file.write_all_at(&[byte[0] ^ 0x10], DAMAGED)
    });
    flipped.map_err(|error| format!("{}: {error}", image.display()))
}
