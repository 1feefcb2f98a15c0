//! The part of `cargo xtask bench` on a Cortex-M3: instructions of single steps of a device, counted by QEMU.

use crate::process::{Outcome, fail, output, root};
use crate::setup;
use crate::toolchain::Toolchain;
use std::path::Path;
use std::process::Command;

/// Rust's target of the board, `mps2-an385`.
const TOOLCHAIN: &str = "thumbv7m";

/// A line of testing/board-bench/main.c.
struct Counted {
    name: String,
    rounds: u32,
    /// What the step has returned.
    result: u32,
    instructions: u32,
}

/// Builds the image, runs it, and prints what it counted.
pub fn run() -> Outcome {
    setup::packages(&[setup::FIRMWARE, setup::BOARD])?;
    let image = link(&Toolchain::named(TOOLCHAIN)?)?;
    let mut qemu = Command::new("timeout");
    qemu.args(["300", "qemu-system-arm", "-M", "mps2-an385", "-icount", "shift=0", "-display", "none"]);
    qemu.args(["-monitor", "none", "-serial", "none", "-chardev", "stdio,id=console"]);
    qemu.args(["-semihosting-config", "enable=on,target=native,chardev=console", "-kernel"]);
    let counted: Vec<Counted> = output(qemu.arg(&image))?.lines().map(counted).collect::<Outcome<_>>()?;

    let all = |name: &str| counted.iter().filter(|line| line.name == name).collect::<Vec<_>>();
    let ([copies], [frames], [plans], [upgrades]) =
        (&all("frame_copies")[..], &all("frames")[..], &all("plans")[..], &all("upgrades")[..])
    else {
        return fail("the image has not counted frames, plans and upgrades once each");
    };
    let frame = (frames.instructions - copies.instructions) / frames.rounds;
    let plan = (plans.instructions - frames.instructions) / plans.rounds;
    let step = upgrades.instructions / upgrades.rounds / upgrades.result;
    let download = per_round(&all("download"))? - per_round(&all("file"))?;
    println!("\ninstructions on a Cortex-M3, by QEMU ({TOOLCHAIN}, profile firmware)");
    println!("{:<44}{frame:>9}", format!("decode a frame of {} bytes", frames.result));
    println!("{:<44}{plan:>9}", "read the plan in it");
    println!("{:<44}{step:>9}", "a step of the state machine");
    println!("{:<44}{:>9.0}", "a checkpoint in the journal", per_round(&all("journal_records"))?);
    println!("{:<44}{download:>9.1}", "a byte of payload, with MD5 and CRC-32");
    Ok(())
}

/// Instructions of one round more: what is done once falls out.
fn per_round(lines: &[&Counted]) -> Outcome<f64> {
    let [few, many] = lines else { return fail("the image has not counted few rounds and many") };
    Ok(f64::from(many.instructions - few.instructions) / f64::from(many.rounds - few.rounds))
}

fn counted(line: &str) -> Outcome<Counted> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, numbers @ ..] = &words[..] else { return fail("the image has printed an empty line") };
    let numbers: Vec<u32> = numbers.iter().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [rounds, result, instructions] => {
            Ok(Counted { name: (*name).to_owned(), rounds, result, instructions })
        }
        _ => fail(format!("the image has printed `{line}`")),
    }
}

fn link(toolchain: &Toolchain) -> Outcome<std::path::PathBuf> {
    let archive = toolchain.cargo("board-bench", "core,alloc", &[])?;
    let (bench, board) = (root().join("testing/board-bench"), root().join("c-examples/bare-metal"));
    let image = archive.with_file_name("board-bench.elf");
    let mut gcc = toolchain.gcc();
    gcc.args(["-Os", "-ffreestanding", "-nostartfiles", "-Wl,--gc-sections", "-Wl,--no-warn-execstack"]);
    for folder in [&bench, &board] {
        gcc.arg("-L").arg(folder);
    }
    gcc.arg("-I").arg(&board).arg("-I").arg(board.join("mps2-an385"));
    gcc.args(["-T", "firmware.ld"]).arg("-o").arg(&image).arg(bench.join("main.c"));
    gcc.args(["startup.c", "stack.c", "console.c", "semihosting.c"].map(|name| board.join(name)));
    output(gcc.arg::<&Path>(&archive))?;
    Ok(image)
}
