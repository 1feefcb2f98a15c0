//! The bare-metal gate: the library on a Cortex-M4, without a heap and without a way to panic, and its sizes.
//!
//! The library is built with a panic handler that calls a function which does not exist, and linked with every export
//! as a root. Only an image in which no panic can be reached links. (With `-Cpanic=immediate-abort` this could not
//! fail: DECISIONS.md.) The standard library's `alloc` is not even built.

use crate::process::{Outcome, fail, output, root, run};
use crate::stack::Stack;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "thumbv7em-none-eabi";

/// What must not be in the image, as the linker names it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("9panicking", "core::panicking"),
    ("4core3fmt", "core::fmt"),
    ("5alloc5alloc", "alloc"),
    ("__rust_alloc", "the Rust allocator"),
];

/// Files of `src/native` whose calls a device needs not link: their size is a row of its own.
const OPTIONAL: &[&str] = &["event.rs", "storage_check.rs"];

/// The calls of an application that only upgrades MCUs.
const APPLICATION: [&str; 17] = [
    "quecota_init",
    "quecota_start",
    "quecota_poll",
    "quecota_set_product",
    "quecota_set_server",
    "quecota_set_device",
    "quecota_set_mode",
    "quecota_set_mcu_version",
    "quecota_on_link",
    "quecota_on_message",
    "quecota_on_sent",
    "quecota_on_fetch_begin",
    "quecota_on_fetch_data",
    "quecota_on_fetch_end",
    "quecota_ota_action",
    "quecota_ota_read",
    "quecota_ota_checkpoint",
];

/// Cargo features of the image that has everything, and of one that has little.
const FULL: &str = "full";
const LITE: &str = "session";

/// Calls whose stack is told.
const DEEP: &[&str] = &[
    "quecota_init",
    "quecota_start",
    "quecota_poll",
    "quecota_on_message",
    "quecota_on_fetch_data",
    "quecota_ota_action",
    "quecota_check_storage",
];

/// The page's figures may differ from the true ones by the tenth part.
const PAGE_MAY_DIFFER: u32 = 10;

/// What the native API must not have besides. TTLV lists of the drop-in API are in memory of the C allocator.
const FORBIDDEN_NATIVE: (&str, &str) = ("malloc", "the C allocator");

/// The weak symbol of a port, and a C library; what they would be made of does not matter here.
const PORT: &str = "const void *quecota_default_platform(void) { return 0; }\n\
    void *malloc(unsigned size) { return size ? (void *)0 : (void *)0; }\n\
    void free(void *memory) { (void)memory; }\n";

/// Builds, links, and prints the sizes; fails if anything of `FORBIDDEN` or a panic is in an image.
pub fn check(write: bool) -> Outcome {
    let application = APPLICATION.map(str::to_owned).to_vec();
    let lite = sizes(&link(&archive(LITE)?, "lite", &application)?)?;
    let archive = archive(FULL)?;
    let native = exports("src/native", |file| !OPTIONAL.contains(&file))?;
    let with_optional = exports("src/native", |_| true)?;
    let mut all = with_optional.clone();
    all.extend(exports("src/ql_iot", |_| true)?);

    let mut table = format!("{:<49}{:>14}{:>8}{:>8}\n", "", ".text+.rodata", ".data", ".bss");
    let rows = [
        ("native API", &native),
        ("with parsed events, storage check", &with_optional),
        ("native and drop-in API", &all),
        ("of an application", &application),
    ];
    for (name, roots) in rows {
        let image = link(&archive, name, roots)?;
        forbidden(&image, FORBIDDEN)?;
        if roots.len() < all.len() {
            forbidden(&image, &[FORBIDDEN_NATIVE])?;
        }
        let [text, data, bss] = sizes(&image)?;
        let name = format!("{name}, {} functions", roots.len());
        table.push_str(&format!("{name:<49}{text:>14}{data:>8}{bss:>8}\n"));
    }
    let [text, data, bss] = lite;
    table.push_str(&format!(
        "{:<49}{text:>14}{data:>8}{bss:>8}\n",
        "the same, of the features `session` alone"
    ));
    table.push_str(&format!("{:<49}{:>14}\n", "a device (quecota_t)", size_of_device(&archive)?));
    let image = link(&archive, "with parsed events, storage check", &with_optional)?;
    table.push_str(&stack(&image)?);
    println!("libquecota.a on {TARGET}, profile firmware, feature `{FULL}`, in bytes:\n{table}");
    println!(
        "no panic, no core::fmt, no Rust allocator is in any image, and no malloc without the drop-in API"
    );
    page(&table, write)?;
    by_cmake()
}

/// A row for each call that goes deep.
fn stack(image: &Path) -> Outcome<String> {
    let objdump = |options: &[&str]| output(Command::new("arm-none-eabi-objdump").args(options).arg(image));
    let mut stack = Stack::of(&objdump(&["-d", "--no-show-raw-insn"])?, &objdump(&["-s", "-j", ".rodata"])?);
    let mut rows = String::new();
    for name in DEEP {
        match stack.from(name) {
            0 => return fail(format!("{name} has no code in {}", image.display())),
            bytes => rows.push_str(&format!("{:<49}{bytes:>14}\n", format!("stack of {name}, at most"))),
        }
    }
    Ok(rows)
}

/// Compares the table of docs/port.md with this one, or writes it there. What changes by a little is not worth a commit.
fn page(table: &str, write: bool) -> Outcome {
    let path = root().join("docs").join("port.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let [begin, end] = ["<!-- made by `cargo xtask size --write` -->\n```text\n", "```\n<!-- end -->"];
    let parts = text.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?)));
    let Some((before, (shown, behind))) = parts else {
        return fail("docs/port.md has no place for the table of sizes");
    };
    if write {
        let made = format!("{before}{begin}{table}{end}{behind}");
        return fs::write(&path, made).map_err(|error| format!("{}: {error}", path.display()));
    }
    let numbers =
        |text: &str| -> Vec<u32> { text.split_whitespace().filter_map(|word| word.parse().ok()).collect() };
    let (shown, made) = (numbers(shown), numbers(table));
    let is_near = |(shown, made): (&u32, &u32)| shown.abs_diff(*made) <= 64.max(made / PAGE_MAY_DIFFER);
    if shown.len() == made.len() && shown.iter().zip(&made).all(is_near) {
        return Ok(());
    }
    fail("the sizes in docs/port.md are out of date; run `cargo xtask size --write` and commit it")
}

/// A project for bare metal by a toolchain file of `cmake/`, as docs/port.md says.
fn by_cmake() -> Outcome {
    let build = root().join("target").join("bare-metal");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(root().join("tests").join("bare_metal")).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_TOOLCHAIN_FILE={}/cmake/toolchain-thumbv7em.cmake", root().display()));
    configure.arg(format!("-DQUECOTA_TARGET_DIR={}/target/firmware", root().display()));
    run(configure.args(["-G", "Ninja"]))?;
    run(Command::new("cmake").arg("--build").arg(&build))?;
    run(Command::new("ctest").current_dir(build).arg("--output-on-failure"))
}

/// The library for the target, by Debian's Rust, which has the sources of `core` (TOOLCHAIN.md).
fn archive(features: &str) -> Outcome<PathBuf> {
    let folder = root().join("target").join("firmware");
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo
        .current_dir(root())
        .env("PATH", "/usr/bin:/bin")
        .env("RUSTC_BOOTSTRAP", "1")
        // What the caller's cargo set for its own toolchain.
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTFLAGS")
        .args([
            "build",
            "--locked",
            "-Zbuild-std=core",
            "--package",
            "quecota",
            "--lib",
            "--profile",
            "firmware",
        ])
        .args(["--no-default-features", "--features", &format!("firmware-gate,{features}")])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&folder);
    run(&mut cargo)?;
    Ok(folder.join(TARGET).join("firmware").join("libquecota.a"))
}

/// The functions that a room exports, of the files that are wanted.
fn exports(room: &str, is_wanted: impl Fn(&str) -> bool) -> Outcome<Vec<String>> {
    let folder = root().join(room);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| format!("{room}: {error}"))? {
        let path = entry.map_err(|error| format!("{room}: {error}"))?.path();
        if !path.file_name().and_then(|name| name.to_str()).is_some_and(&is_wanted) {
            continue;
        }
        let source = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for part in source.split("#[unsafe(no_mangle)]\n").skip(1) {
            let name = part.split_once("fn ").and_then(|(_, rest)| rest.split('(').next());
            names.push(name.unwrap_or_default().to_owned());
        }
    }
    if names.is_empty() { fail(format!("{room} exports nothing")) } else { Ok(names) }
}

fn gcc(archive: &Path, image: &Path, roots: &[String]) -> Outcome<Command> {
    let port = image.with_extension("c");
    fs::write(&port, PORT).map_err(|error| format!("{}: {error}", port.display()))?;
    let mut gcc = Command::new("arm-none-eabi-gcc");
    gcc.args(["-mcpu=cortex-m4", "-mthumb", "-Os", "-ffunction-sections", "-nostdlib", "-nostartfiles"])
        .args(["-Wl,--gc-sections", "-Wl,-e,0"])
        .args(roots.iter().map(|name| format!("-Wl,-u,{name}")))
        .arg("-o")
        .arg(image)
        .arg(port)
        .arg(archive)
        .arg("-lgcc");
    Ok(gcc)
}

fn link(archive: &Path, name: &str, roots: &[String]) -> Outcome<PathBuf> {
    let image = archive.with_file_name(format!("{}.elf", name.replace([' ', ','], "-")));
    output(&mut gcc(archive, &image, roots)?).map_err(|error| {
        if error.contains("quecota_a_panic_is_reachable") {
            format!("a panic can be reached from the {name}:{}", who_panics(archive, &image, roots))
        } else {
            error
        }
    })?;
    Ok(image)
}

/// Links in spite of it, to find the functions of ours from which the panic is reached.
fn who_panics(archive: &Path, image: &Path, roots: &[String]) -> String {
    let linked = gcc(archive, image, roots).and_then(|mut gcc| {
        output(gcc.arg("-Wl,--defsym=quecota_a_panic_is_reachable=0"))?;
        output(Command::new("arm-none-eabi-objdump").args(["-d", "--no-show-raw-insn"]).arg(image))
    });
    let Ok(code) = linked else { return "see the linker's map".into() };
    // (caller, callee), for calls and jumps to the beginning of a function.
    let mut calls: Vec<(&str, &str)> = Vec::new();
    let mut function = "";
    for line in code.lines() {
        let target = line.rsplit_once('<').map(|(_, name)| name.trim_end_matches([':', '>']));
        match target {
            Some(name) if line.ends_with(">:") => function = name,
            Some(name) if name != function => calls.push((function, name)),
            _ => {}
        }
    }
    let mut reached = vec!["quecota_a_panic_is_reachable"];
    let mut ours = Vec::new();
    let mut at = 0;
    while let Some(callee) = reached.get(at) {
        let callers: Vec<&str> =
            calls.iter().filter(|(_, target)| target == callee).map(|(caller, _)| *caller).collect();
        for caller in callers {
            if caller.contains("quecota") || caller.starts_with("Ql_") || caller.starts_with("Quos_") {
                ours.push(format!("\n  {caller}, by {}", reached.get(at).unwrap_or(&"")));
            } else if !reached.contains(&caller) {
                reached.push(caller);
            }
        }
        at += 1;
    }
    ours.sort();
    ours.dedup();
    ours.concat()
}

fn symbols(image: &Path) -> Outcome<String> {
    output(Command::new("arm-none-eabi-nm").arg("--print-size").arg(image))
}

fn forbidden(image: &Path, names: &[(&str, &str)]) -> Outcome {
    let symbols = symbols(image)?;
    for line in symbols.lines() {
        for (part, what) in names {
            if line.contains(part) {
                return fail(format!("{what} is in {}: {line}", image.display()));
            }
        }
    }
    Ok(())
}

/// Flash for code and constants, initialized and zeroed RAM.
fn sizes(image: &Path) -> Outcome<[u32; 3]> {
    let table = output(Command::new("arm-none-eabi-size").arg(image))?;
    let numbers: Vec<u32> = table
        .lines()
        .nth(1)
        .map(|line| line.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect())
        .unwrap_or_default();
    numbers.try_into().map_err(|_| format!("arm-none-eabi-size printed something else:\n{table}"))
}

fn size_of_device(archive: &Path) -> Outcome<u32> {
    const SYMBOL: &str = "quecota_size_of_device";
    let image = archive.with_file_name("size.elf");
    output(&mut gcc(archive, &image, &[SYMBOL.to_owned()])?)?;
    let symbols = symbols(&image)?;
    symbols
        .lines()
        .find(|line| line.ends_with(SYMBOL))
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|size| u32::from_str_radix(size, 16).ok())
        .ok_or(format!("{SYMBOL} is not in {}", image.display()))
}
