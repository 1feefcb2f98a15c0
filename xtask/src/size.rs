//! `cargo xtask size`: what the library takes on a device, beside what it is to take and what others take; docs/sizes.md is made
//! of it.

use crate::image::{Image, Roots, size_of_device};
use crate::process::{Outcome, fail, output, root};
use crate::stack::{self, Stack};
use crate::toolchain::Toolchain;
use crate::{board, cross, setup};
use std::collections::BTreeMap;
use std::fs;

/// Whose sizes are told.
const TARGET: &str = "thumbv7em";
/// The other targets of `--all`.
const OTHERS: &[&str] = &[
    "thumbv7em-hf",
    "thumbv8m.main",
    "armv7r",
    "riscv32imac",
    "thumbv6m",
    "thumbv7m",
    "thumbv8m.main-hf",
    "armv7a",
];

/// Cargo features of the archive that has everything.
const FULL: &str = "full";
/// Of one without the drop-in API, and so without business messages.
const NATIVE: &str = "texts,log,lists,extensions,session,sha256,long-urls,http,controls";
/// Of one without texts, log, lists, extensions, long URLs and controls.
const LITE: &str = "session,sha256,http";

/// What a row measures.
enum What {
    /// Flash of an image, from an archive with these features.
    Flash(&'static str, Roots),
    /// RAM of a device, from an archive with these features.
    Device(&'static str),
    /// Flash of the parts of testing/core-image.
    Core,
    /// Stack of this part of a whole upgrade on a Cortex-M3 in QEMU, painted.
    Painted(&'static str),
    /// A stripped program for 32-bit ARM under Linux.
    Linux,
}

/// A row of the table. Bytes.
struct Row {
    /// The word that asks for it alone.
    word: &'static str,
    text: &'static str,
    what: What,
    /// What it was when the targets were set.
    at_first: &'static str,
    to_reach: &'static str,
    then: &'static str,
}

const fn row(word: &'static str, text: &'static str, what: What, targets: [&'static str; 3]) -> Row {
    let [at_first, to_reach, then] = targets;
    Row { word, text, what, at_first, to_reach, then }
}

const ROWS: &[Row] = &[
    row("all", "flash: native and drop-in API", What::Flash(FULL, Roots::Everything), ["-", "-", "-"]),
    row("native", "flash: native API", What::Flash(NATIVE, Roots::Native), ["85318", "55296", "lower"]),
    row(
        "optional",
        "flash: with parsed events, storage check",
        What::Flash(NATIVE, Roots::NativeWithOptional),
        ["-", "-", "-"],
    ),
    row(
        "application",
        "flash: the 17 calls of an application",
        What::Flash(NATIVE, Roots::Application),
        ["74308", "45056", "-"],
    ),
    row("lite", "flash: the same, lite", What::Flash(LITE, Roots::Application), ["-", "32768", "24576"]),
    row("core", "flash: parser, states, journal, MD5, CRC-32", What::Core, ["30000", "16384", "12288"]),
    row("device", "RAM: quecota_t", What::Device(NATIVE), ["6508", "4608", "-"]),
    row("lite-device", "RAM: quecota_t, lite", What::Device(LITE), ["-", "3072", "-"]),
    row("init", "stack, painted: quecota_init", What::Painted("init"), ["5325", "1024", "-"]),
    row("start", "stack, painted: quecota_start", What::Painted("start"), ["9114", "3584", "1536"]),
    row("poll", "stack, painted: quecota_poll", What::Painted("poll"), ["8090", "3584", "1536"]),
    row("linux", "program: armv7 Linux, MQTT, HTTP, TLS", What::Linux, ["6400000", "3145728", "-"]),
];

/// Calls whose stack is told, as a bound that is read from the code.
const DEEP: &[&str] = &[
    "quecota_init",
    "quecota_start",
    "quecota_poll",
    "quecota_on_message",
    "quecota_on_fetch_data",
    "quecota_http_feed",
    "quecota_ota_action",
    "quecota_check_storage",
];

/// The word that asks for these.
const BOUNDS: &str = "bounds";

/// The page's figures may differ from the true ones by the tenth part.
const PAGE_MAY_DIFFER: u32 = 10;

const PAGE: &str = "docs/sizes.md";

/// `size [WORD...] [--write]`: the rows that are named, or all of them and the bounds of the stack; into docs/sizes.md.
pub fn print(words: &[&str]) -> Outcome {
    let (flags, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == "--write");
    let known: Vec<&str> = ROWS.iter().map(|row| row.word).chain([BOUNDS]).collect();
    if let Some(unknown) = words.iter().find(|word| !known.contains(word)) {
        return fail(format!("`{unknown}` is no row; there are: {}", known.join(", ")));
    }
    let is_wanted = |word: &str| words.is_empty() || words.contains(&word);
    let mut made = table(|row| is_wanted(row.word))?;
    if is_wanted(BOUNDS) {
        made.push_str(&bounds()?);
    }
    print!("libquecota.a on {TARGET}, profile firmware, in bytes:\n{made}");
    if flags.is_empty() { Ok(()) } else { write(&made) }
}

/// Puts these rows into docs/sizes.md; the others stay.
fn write(made: &str) -> Outcome {
    let page = fs::read_to_string(root().join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    let line_of = |from: &str, text: &str| {
        let is_of =
            |line: &&str| line.split_at_checked(WIDTH).is_some_and(|(begin, _)| begin.trim_end() == text);
        from.lines().find(is_of).map(str::to_owned)
    };
    let texts = ROWS.iter().map(|row| row.text.to_owned());
    let texts = [String::new()].into_iter().chain(texts).chain(DEEP.iter().map(|name| bound(name)));
    let lines = texts.filter_map(|text| line_of(made, &text).or_else(|| line_of(&page, &text)));
    let table: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
    replace("size --write", &table)
}

/// Compares docs/sizes.md with what is measured now; but for the program for Linux, which takes minutes to build. What changes
/// by a little is not worth a commit.
pub fn check() -> Outcome {
    let made = format!("{}{}", table(|row| !matches!(row.what, What::Linux))?, bounds()?);
    print!("{made}");
    let page = fs::read_to_string(root().join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    let shown: BTreeMap<&str, Vec<u32>> = page.lines().filter_map(line).collect();
    let is_open = |text: &str| page.lines().any(|line| is_not_measured(line, text));
    for (text, now) in made.lines().filter_map(line).filter(|(text, _)| !is_open(text)) {
        let is_near = |shown: u32, now: u32| shown.abs_diff(now) <= 64.max(now / PAGE_MAY_DIFFER);
        let is_shown = shown.get(text).is_some_and(|shown| {
            shown.len() == now.len() && shown.iter().zip(&now).all(|(shown, now)| is_near(*shown, *now))
        });
        if !is_shown {
            return fail(format!(
                "{PAGE} is out of date in \"{text}\", which is {now:?} now; run `cargo xtask size --write` and commit it"
            ));
        }
    }
    Ok(())
}

/// A line of a table: its text, which takes the first [`WIDTH`] columns, and its numbers.
fn line(line: &str) -> Option<(&str, Vec<u32>)> {
    let (text, numbers) = line.split_at_checked(WIDTH)?;
    let numbers: Vec<u32> = numbers.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (!numbers.is_empty()).then_some((text.trim_end(), numbers))
}

/// Whether the page has this row without a figure: it is to be measured.
fn is_not_measured(line: &str, text: &str) -> bool {
    line.split_at_checked(WIDTH).is_some_and(|(begin, numbers)| {
        begin.trim_end() == text && numbers.split_whitespace().nth(1) == Some("-")
    })
}

/// Columns of a row's text.
const WIDTH: usize = 46;

fn table(is_wanted: impl Fn(&Row) -> bool) -> Outcome<String> {
    let toolchain = &Toolchain::named(TARGET)?;
    let mut painted = None;
    let mut table = format!("{:<WIDTH$}{:>9}{:>9}{:>10}{:>9}\n", "", "at first", "now", "to reach", "then");
    for row in ROWS.iter().filter(|row| is_wanted(row)) {
        let now = match row.what {
            What::Flash(features, roots) => {
                Image::link(toolchain, &toolchain.archive(features)?, roots)?.text()?
            }
            What::Core => {
                let archive = toolchain.cargo("core-image", "core", &[])?;
                Image::link(toolchain, &archive, Roots::Core)?.text()?
            }
            What::Device(features) => size_of_device(toolchain, &toolchain.archive(features)?)?,
            What::Painted(of) => {
                let painted = match &mut painted {
                    Some(painted) => painted,
                    none => none.insert(board::painted()?),
                };
                painted.get(of).copied().ok_or(format!("the board printed no stack of {of}"))?
            }
            What::Linux => cross::arm_linux_program()?,
        };
        let Row { text, at_first, to_reach, then, .. } = row;
        table.push_str(&format!("{text:<WIDTH$}{at_first:>9}{now:>9}{to_reach:>10}{then:>9}\n"));
    }
    Ok(table)
}

/// A row for each call that goes deep.
fn bounds() -> Outcome<String> {
    let toolchain = &Toolchain::named(TARGET)?;
    let image = Image::link(toolchain, &toolchain.archive(NATIVE)?, Roots::NativeWithOptional)?;
    let objdump = |options: &[&str]| output(toolchain.tool("objdump").args(options).arg(&image.path));
    let code = objdump(&["-d", "--no-show-raw-insn"])?;
    let demangled = output(toolchain.tool("c++filt").arg("--no-verbose").args(stack::names(&code)))?;
    let mut stack = Stack::of(&code, &objdump(&["-s", "-j", ".rodata"])?, &demangled);
    if !stack.has_dispatcher() {
        return fail("the dispatcher of src/native/call.rs has none of the names that stack.rs knows");
    }
    let mut rows = String::new();
    for name in DEEP {
        match stack.from(name) {
            0 => return fail(format!("{name} has no code in {}", image.path.display())),
            bytes => {
                let text = bound(name);
                rows.push_str(&format!("{text:<WIDTH$}{:>9}{bytes:>9}\n", ""));
            }
        }
    }
    Ok(rows)
}

/// The text of such a row.
fn bound(name: &str) -> String {
    format!("stack, at most: {name}")
}

/// `size --all`: each feature alone and none at all; the native API and an application on every target. With `write` into
/// docs/sizes.md.
pub fn all(write: bool) -> Outcome {
    setup::packages(&[setup::TARGETS])?;
    let toolchain = &Toolchain::named(TARGET)?;
    let mut table = format!("{:<WIDTH$}{:>28}\n", "an archive with", "the 17 calls of an application");
    for feature in NATIVE.split(',').chain(["ql-api", ""]) {
        let text = Image::link(toolchain, &toolchain.archive(feature)?, Roots::Application)?.text()?;
        let name = if feature.is_empty() { "no feature" } else { feature };
        table.push_str(&format!("{name:<WIDTH$}{text:>28}\n"));
    }
    table.push_str(&format!("\n{:<WIDTH$}{:>14}{:>14}\n", "on", "native API", "application"));
    for name in [TARGET].iter().chain(OTHERS) {
        let toolchain = &Toolchain::named(name)?;
        let archive = toolchain.archive(FULL)?;
        let native = Image::link(toolchain, &archive, Roots::Native)?.text()?;
        let application = Image::link(toolchain, &archive, Roots::Application)?.text()?;
        table.push_str(&format!("{:<WIDTH$}{native:>14}{application:>14}\n", toolchain.triple));
    }
    print!("{table}");
    if write { replace("size --all --write", &table) } else { Ok(()) }
}

/// Puts a table into docs/sizes.md, where the command that makes it is named.
fn replace(command: &str, table: &str) -> Outcome {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    let [begin, end] =
        [format!("<!-- made by `cargo xtask {command}` -->\n```text\n"), "```\n<!-- end -->".to_owned()];
    let parts = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let Some((before, behind)) = parts else {
        return fail(format!("{PAGE} has no place for what `cargo xtask {command}` makes"));
    };
    fs::write(&path, format!("{before}{begin}{table}{end}{behind}"))
        .map_err(|error| format!("{PAGE}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_known_by_their_words_and_texts() {
        let words: BTreeMap<&str, &str> = ROWS.iter().map(|row| (row.word, row.text)).collect();
        let texts: BTreeMap<&str, &str> = ROWS.iter().map(|row| (row.text, row.word)).collect();
        assert_eq!((words.len(), texts.len()), (ROWS.len(), ROWS.len()));
        assert!(ROWS.iter().all(|row| row.text.len() < WIDTH));
    }

    #[test]
    fn the_page_has_every_row_with_its_targets() {
        let page = fs::read_to_string(root().join(PAGE)).unwrap();
        for Row { text, at_first, to_reach, then, .. } in ROWS {
            let row =
                page.lines().find(|line| line.get(..WIDTH).is_some_and(|begin| begin.trim_end() == *text));
            let words: Vec<&str> =
                row.unwrap_or_else(|| panic!("no {text}"))[WIDTH..].split_whitespace().collect();
            let [first, now, reach, later] = words[..] else { panic!("{text}: {words:?}") };
            assert_eq!([first, reach, later], [*at_first, *to_reach, *then], "{text}");
            assert!(now == "-" || now.parse::<u32>().is_ok(), "{text}: {now}");
        }
    }

    #[test]
    fn a_line_is_its_text_and_its_numbers() {
        let row = format!("{:<WIDTH$}{:>9}{:>9}", "flash: native API", "-", 7);
        assert_eq!(line(&row), Some(("flash: native API", vec![7])));
        assert_eq!((line("flash"), line(&format!("{:<WIDTH$}at first", ""))), (None, None));
    }
}
