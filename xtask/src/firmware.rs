//! The bare-metal gate: the library on a Cortex-M4, without a heap and without a way to panic, and its sizes.
//!
//! The library is built with a panic handler that calls a function which does not exist, and linked with every export
//! as a root. Only an image in which no panic can be reached links. (With `-Cpanic=immediate-abort` this could not
//! fail: no panic would call the handler.) The standard library's `alloc` is not even built.

use crate::process::{Outcome, fail, output, root, run};
use crate::stack::{self, Stack};
use crate::toolchain::Toolchain;
use crate::{board, cross};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose sizes are told.
const TARGET: &str = "thumbv7em";
/// The other targets that are built every day; the boards in QEMU are `thumbv7m` and `thumbv8m.main`.
const BUILT: &[&str] = &["thumbv7em-hf", "thumbv8m.main", "armv7r", "riscv32imac"];
/// What `size --all` builds besides.
const MORE: &[&str] = &["thumbv6m", "thumbv7m", "thumbv8m.main-hf", "armv7a"];

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

/// Cargo features of the archive that has everything.
const FULL: &str = "full";
/// Of one without the drop-in API, and so without business messages.
const NATIVE: &str = "texts,log,lists,extensions,session,http,controls";
/// Of one that has little.
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

/// The stage of `cargo xtask test`: sizes, every target, the boards.
pub fn check() -> Outcome {
    sizes(false)?;
    by_cmake(&Toolchain::named(TARGET)?, &[])?;
    for name in BUILT {
        println!("no panic on {name}:");
        // A program in which a panic can be reached does not link.
        by_cmake(&Toolchain::named(name)?, &["-DQUECOTA_FEATURES=full,firmware-gate"])?;
    }
    board::check()
}

/// Builds, links, and prints the sizes; fails if anything of `FORBIDDEN` or a panic is in an image.
pub fn sizes(write: bool) -> Outcome {
    let toolchain = &Toolchain::named(TARGET)?;
    let application = APPLICATION.map(str::to_owned).to_vec();
    let archive = toolchain.archive(LITE)?;
    let lite = sizes_of(toolchain, &link(toolchain, &archive, "lite", &application)?)?;
    let lite_device = size_of_device(toolchain, &archive)?;
    let native = exports("src/native", |file| !OPTIONAL.contains(&file))?;
    let with_optional = exports("src/native", |_| true)?;
    let mut all = with_optional.clone();
    all.extend(exports("src/ql_iot", |_| true)?);

    let mut table = format!("{:<49}{:>14}{:>8}{:>8}\n", "", ".text+.rodata", ".data", ".bss");
    let rows = [
        (FULL, "native and drop-in API", &all),
        (NATIVE, "native API", &native),
        (NATIVE, "with parsed events, storage check", &with_optional),
        (NATIVE, "of an application", &application),
    ];
    for (features, name, roots) in rows {
        let image = link(toolchain, &toolchain.archive(features)?, name, roots)?;
        forbidden(toolchain, &image, FORBIDDEN)?;
        if roots.len() < all.len() {
            forbidden(toolchain, &image, &[FORBIDDEN_NATIVE])?;
        }
        let [text, data, bss] = sizes_of(toolchain, &image)?;
        let name = format!("{name}, {} functions", roots.len());
        table.push_str(&format!("{name:<49}{text:>14}{data:>8}{bss:>8}\n"));
    }
    let [text, data, bss] = lite;
    table.push_str(&format!(
        "{:<49}{text:>14}{data:>8}{bss:>8}\n",
        "the same, of the feature `session` alone"
    ));
    let archive = toolchain.archive(NATIVE)?;
    table.push_str(&format!("{:<49}{:>14}\n", "a device (quecota_t)", size_of_device(toolchain, &archive)?));
    table.push_str(&format!("{:<49}{lite_device:>14}\n", "the same, of the feature `session` alone"));
    let image = link(toolchain, &archive, "with parsed events, storage check", &with_optional)?;
    table.push_str(&stack(toolchain, &image)?);
    println!("libquecota.a on {}, profile firmware, in bytes; the features are", toolchain.triple);
    println!("{NATIVE}, with the drop-in API {FULL}:\n{table}");
    println!(
        "no panic, no core::fmt, no Rust allocator is in any image, and no malloc without the drop-in API"
    );
    page(&table, write)
}

/// A row for each call that goes deep.
fn stack(toolchain: &Toolchain, image: &Path) -> Outcome<String> {
    let objdump = |options: &[&str]| output(toolchain.tool("objdump").args(options).arg(image));
    let code = objdump(&["-d", "--no-show-raw-insn"])?;
    let demangled = output(toolchain.tool("c++filt").arg("--no-verbose").args(stack::names(&code)))?;
    let mut stack = Stack::of(&code, &objdump(&["-s", "-j", ".rodata"])?, &demangled);
    if !stack.has_dispatcher() {
        return fail("the dispatcher of src/native/call.rs has none of the names that stack.rs knows");
    }
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

/// `tests/bare_metal` by a toolchain file of `cmake/`, as a user would.
fn by_cmake(toolchain: &Toolchain, options: &[&str]) -> Outcome {
    let source = root().join("tests").join("bare_metal");
    let build = toolchain.cmake(&source, &format!("bare-metal-{}", toolchain.name), options)?;
    run(Command::new("ctest").current_dir(build).args(["--output-on-failure", "--no-tests=error"]))
}

/// Every feature alone, and none at all: each must link without a panic, and prints its size.
fn sizes_of_features() -> Outcome {
    let toolchain = &Toolchain::named(TARGET)?;
    let application = APPLICATION.map(str::to_owned).to_vec();
    println!("{:<28}{:>26}", "one feature alone", "application");
    for feature in NATIVE.split(',').chain(["ql-api", ""]) {
        let image = link(toolchain, &toolchain.archive(feature)?, "one feature", &application)?;
        forbidden(toolchain, &image, FORBIDDEN)?;
        let name = if feature.is_empty() { "none" } else { feature };
        println!("{name:<28}{:>26}", sizes_of(toolchain, &image)?[0]);
    }
    Ok(())
}

/// `size --all`: flash for the native API and for an application, on every target that there is a toolchain file for; and a
/// program for Linux on ARM.
pub fn sizes_of_all() -> Outcome {
    sizes_of_features()?;
    let native = exports("src/native", |file| !OPTIONAL.contains(&file))?;
    let application = APPLICATION.map(str::to_owned).to_vec();
    println!("{:<28}{:>12}{:>14}", "text and read-only data", "native API", "application");
    for name in [TARGET].iter().chain(BUILT).chain(MORE) {
        let toolchain = &Toolchain::named(name)?;
        let archive = toolchain.archive(FULL)?;
        let mut row = format!("{:<28}", toolchain.triple);
        for (what, roots, width) in [("native API", &native, 12), ("of an application", &application, 14)] {
            let image = link(toolchain, &archive, what, roots)?;
            forbidden(toolchain, &image, FORBIDDEN)?;
            let [text, ..] = sizes_of(toolchain, &image)?;
            row.push_str(&format!("{text:>width$}"));
        }
        println!("{row}");
    }
    let bytes = cross::arm_linux_program()?;
    println!(
        "{:<28}{bytes:>26}  c-examples/minimal.c, with MQTT, HTTP and TLS in it, stripped",
        cross::ARM_LINUX
    );
    Ok(())
}

/// The functions that a room exports, of the files that are wanted.
fn exports(room: &str, is_wanted: impl Fn(&str) -> bool) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![root().join(room)];
    while let Some(folder) = folders.pop() {
        collect_exports(&folder, &is_wanted, &mut folders, &mut names)?;
    }
    if names.is_empty() { fail(format!("{room} exports nothing")) } else { Ok(names) }
}

/// The exports of the files of one folder; the folders in it go to `folders`.
fn collect_exports(
    folder: &Path,
    is_wanted: &impl Fn(&str) -> bool,
    folders: &mut Vec<PathBuf>,
    names: &mut Vec<String>,
) -> Outcome {
    let unread = |error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.is_dir() {
            folders.push(path);
            continue;
        }
        if !path.file_name().and_then(|name| name.to_str()).is_some_and(is_wanted) {
            continue;
        }
        let source = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for part in source.split("#[unsafe(no_mangle)]\n").skip(1) {
            let name = part.split_once("fn ").and_then(|(_, rest)| rest.split('(').next());
            names.push(name.unwrap_or_default().to_owned());
        }
    }
    Ok(())
}

fn gcc(toolchain: &Toolchain, archive: &Path, image: &Path, roots: &[String]) -> Outcome<Command> {
    let port = image.with_extension("c");
    fs::write(&port, PORT).map_err(|error| format!("{}: {error}", port.display()))?;
    let mut gcc = toolchain.gcc();
    gcc.args(["-Os", "-ffunction-sections", "-nostdlib", "-nostartfiles"])
        .args(["-Wl,--gc-sections", "-Wl,-e,0"])
        .args(roots.iter().map(|name| format!("-Wl,-u,{name}")))
        .arg("-o")
        .arg(image)
        .arg(port)
        .arg(archive)
        .arg("-lgcc");
    Ok(gcc)
}

fn link(toolchain: &Toolchain, archive: &Path, name: &str, roots: &[String]) -> Outcome<PathBuf> {
    let image = archive.with_file_name(format!("{}.elf", name.replace([' ', ','], "-")));
    output(&mut gcc(toolchain, archive, &image, roots)?).map_err(|error| {
        if error.contains("quecota_a_panic_is_reachable") {
            format!(
                "a panic can be reached from the {name}:{}",
                who_panics(toolchain, archive, &image, roots)
            )
        } else {
            error
        }
    })?;
    Ok(image)
}

/// Links in spite of it, to find the functions of ours from which the panic is reached.
fn who_panics(toolchain: &Toolchain, archive: &Path, image: &Path, roots: &[String]) -> String {
    let linked = gcc(toolchain, archive, image, roots).and_then(|mut gcc| {
        output(gcc.arg("-Wl,--defsym=quecota_a_panic_is_reachable=0"))?;
        output(toolchain.tool("objdump").args(["-d", "--no-show-raw-insn"]).arg(image))
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

fn symbols(toolchain: &Toolchain, image: &Path) -> Outcome<String> {
    output(toolchain.tool("nm").arg("--print-size").arg(image))
}

fn forbidden(toolchain: &Toolchain, image: &Path, names: &[(&str, &str)]) -> Outcome {
    let symbols = symbols(toolchain, image)?;
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
fn sizes_of(toolchain: &Toolchain, image: &Path) -> Outcome<[u32; 3]> {
    let table = output(toolchain.tool("size").arg(image))?;
    let numbers: Vec<u32> = table
        .lines()
        .nth(1)
        .map(|line| line.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect())
        .unwrap_or_default();
    numbers.try_into().map_err(|_| format!("`size` printed something else:\n{table}"))
}

fn size_of_device(toolchain: &Toolchain, archive: &Path) -> Outcome<u32> {
    const SYMBOL: &str = "quecota_size_of_device";
    let image = archive.with_file_name("size.elf");
    output(&mut gcc(toolchain, archive, &image, &[SYMBOL.to_owned()])?)?;
    let symbols = symbols(toolchain, &image)?;
    symbols
        .lines()
        .find(|line| line.ends_with(SYMBOL))
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|size| u32::from_str_radix(size, 16).ok())
        .ok_or(format!("{SYMBOL} is not in {}", image.display()))
}
