//! Images of the library for one target: which functions are their roots, how they are linked, what must not be in them, and
//! how large they are.
//!
//! The library is built with a panic handler that calls a function which does not exist. Only an image in which no panic can be
//! reached links. (With `-Cpanic=immediate-abort` this could not fail: no panic would call the handler.) The standard library's
//! `alloc` is not even built.

use crate::process::{Outcome, fail, output, root};
use crate::toolchain::Toolchain;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What must not be in the image, as the linker names it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("9panicking", "core::panicking"),
    ("4core3fmt", "core::fmt"),
    ("5alloc5alloc", "alloc"),
    ("__rust_alloc", "the Rust allocator"),
];

/// What the native API must not have besides. TTLV lists of the drop-in API are in memory of the C allocator.
const FORBIDDEN_NATIVE: (&str, &str) = ("malloc", "the C allocator");

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

/// The weak symbol of a port, and a C library; what they would be made of does not matter here.
const PORT: &str = "const void *quecota_default_platform(void) { return 0; }\n\
    void *malloc(unsigned size) { return size ? (void *)0 : (void *)0; }\n\
    void free(void *memory) { (void)memory; }\n";

/// Which functions an image is linked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// Of every header.
    Everything,
    /// Of quecota.h, without those of [`OPTIONAL`].
    Native,
    /// Of quecota.h.
    NativeWithOptional,
    /// [`APPLICATION`].
    Application,
    /// Of testing/core-image.
    Core,
}

impl Roots {
    /// Their names.
    pub fn functions(self) -> Outcome<Vec<String>> {
        match self {
            Roots::Everything => {
                let mut all = exports("src/native", |_| true)?;
                all.extend(exports("src/ql_iot", |_| true)?);
                Ok(all)
            }
            Roots::Native => exports("src/native", |file| !OPTIONAL.contains(&file)),
            Roots::NativeWithOptional => exports("src/native", |_| true),
            Roots::Application => Ok(APPLICATION.map(str::to_owned).to_vec()),
            Roots::Core => exports("testing/core-image/src", |_| true),
        }
    }
}

/// A linked image.
pub struct Image<'t> {
    toolchain: &'t Toolchain,
    /// The ELF file.
    pub path: PathBuf,
}

impl<'t> Image<'t> {
    /// Links an archive for these functions; fails if a panic or anything of [`FORBIDDEN`] can be reached from them.
    pub fn link(toolchain: &'t Toolchain, archive: &Path, roots: Roots) -> Outcome<Image<'t>> {
        let functions = roots.functions()?;
        let path = archive.with_file_name(format!("{roots:?}.elf"));
        output(&mut gcc(toolchain, archive, &path, &functions)?).map_err(|error| {
            if error.contains("quecota_a_panic_is_reachable") {
                let who = who_panics(toolchain, archive, &path, &functions);
                format!("a panic can be reached from {roots:?}:{who}")
            } else {
                error
            }
        })?;
        let image = Image { toolchain, path };
        image.has_not(FORBIDDEN)?;
        if roots != Roots::Everything {
            image.has_not(&[FORBIDDEN_NATIVE])?;
        }
        Ok(image)
    }

    /// Flash for code and constants, initialized and zeroed RAM.
    pub fn sizes(&self) -> Outcome<[u32; 3]> {
        let table = output(self.toolchain.tool("size").arg(&self.path))?;
        let numbers: Vec<u32> = table
            .lines()
            .nth(1)
            .map(|line| line.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect())
            .unwrap_or_default();
        numbers.try_into().map_err(|_| format!("`size` printed something else:\n{table}"))
    }

    /// Flash for code and constants.
    pub fn text(&self) -> Outcome<u32> {
        self.sizes().map(|[text, ..]| text)
    }

    fn has_not(&self, names: &[(&str, &str)]) -> Outcome {
        let symbols = symbols(self.toolchain, &self.path)?;
        for line in symbols.lines() {
            if let Some((_, what)) = names.iter().find(|(part, _)| line.contains(part)) {
                return fail(format!("{what} is in {}: {line}", self.path.display()));
            }
        }
        Ok(())
    }
}

/// Bytes of a `quecota_t`.
pub fn size_of_device(toolchain: &Toolchain, archive: &Path) -> Outcome<u32> {
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
