//! The public C headers: made by cbindgen from the sources of `src/`, committed in `include/`.
//!
//! cbindgen does the reading. Two things are done here. Each header is made from the sources of one room only, put one
//! behind another in the order in which the header is to be read. And its enums become `typedef ... NAME; enum {...};`,
//! so that a NAME has four bytes with and without `-fshort-enums` (DECISIONS.md).

use crate::process::{Outcome, fail, output, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Header {
    name: &'static str,
    /// In `cbindgen/`.
    config: &'static str,
    /// In the order of the header.
    sources: &'static [&'static str],
}

const QL_IOT: &[&str] = &[
    "src/ql_iot/codes.rs",
    "src/ql_iot/instance.rs",
    "src/ql_iot/config.rs",
    "src/ql_iot/ota.rs",
    "src/ql_iot/strings.rs",
];

const HEADERS: &[Header] = &[
    Header {
        name: "quecota.h",
        config: "quecota.toml",
        sources: &[
            "src/native/error.rs",
            "src/native/table.rs",
            "src/native/config.rs",
            "src/native/device.rs",
            "src/native/lifecycle.rs",
            "src/native/network.rs",
            "src/native/configuration.rs",
            "src/native/ota.rs",
            "src/ql_iot/default_device.rs",
            "src/native/failure.rs",
            "src/native/http.rs",
        ],
    },
    Header { name: "Ql_iotApi.h", config: "Ql_iotApi.toml", sources: QL_IOT },
    Header { name: "ql_api_qthsdk.h", config: "ql_api_qthsdk.toml", sources: QL_IOT },
];

/// Writes the headers to `include/`.
pub fn generate() -> Outcome {
    for header in HEADERS {
        let path = root().join("include").join(header.name);
        fs::write(&path, made(header)?).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("include/{}", header.name);
    }
    Ok(())
}

/// Whether the committed headers are what the sources make.
pub fn check() -> Outcome {
    for header in HEADERS {
        let path = root().join("include").join(header.name);
        let committed = read(&path)?;
        let made = made(header)?;
        if committed != made {
            let line = committed.lines().zip(made.lines()).take_while(|(old, new)| old == new).count();
            return fail(format!(
                "include/{} is not what the sources make; they differ from line {}:\n  committed: {}\n  made:      {}\n\
                 run `cargo xtask headers` and commit the result",
                header.name,
                line + 1,
                committed.lines().nth(line).unwrap_or("(end)"),
                made.lines().nth(line).unwrap_or("(end)"),
            ));
        }
    }
    println!("{} headers are up to date", HEADERS.len());
    Ok(())
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn made(header: &Header) -> Outcome<String> {
    let mut source = String::new();
    for path in header.sources {
        // Inner docs stand at the head of a file only.
        let text = read(&root().join(path))?;
        source.extend(text.lines().filter(|line| !line.starts_with("//!")).flat_map(|line| [line, "\n"]));
    }
    let config = read(&root().join("cbindgen").join(header.config))?;
    let folder = root().join("target").join("headers");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let write = |name: String, text: &str| -> Outcome<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    };
    let source_path = write(format!("{}.rs", header.name), &source)?;
    let config_path = write(header.config.to_owned(), &with_codes(&config, &source))?;
    let mut cbindgen = Command::new("cbindgen");
    cbindgen.arg("--quiet").arg("--config").arg(&config_path).arg(&source_path);
    Ok(short_comments(&plain_enums(&without_safety(&output(&mut cbindgen)?))))
}

/// No function takes an enum's list of names, so cbindgen must be told to write them: every `*_values` and its number.
fn with_codes(config: &str, source: &str) -> String {
    let names = source.lines().filter_map(|line| {
        let name = line.strip_prefix("pub enum ")?.split_whitespace().next()?;
        name.ends_with("_values").then_some(name)
    });
    let mut include: Vec<String> = Vec::new();
    for name in names {
        for name in [name, &number(name)] {
            let quoted = format!("{name:?}");
            if !include.contains(&quoted) {
                include.push(quoted);
            }
        }
    }
    config.replace("[export]\n", &format!("[export]\ninclude = [{}]\n", include.join(", ")))
}

/// The number type of a list of names: `quecota_x_values` is of `quecota_x_t`; `X_e_values` and, of one SDK generation,
/// `X_e_2_9_values` are of `X_e`.
fn number(values: &str) -> String {
    let name = values.strip_suffix("_values").unwrap_or(values);
    let name = name.strip_suffix("_2_9").or(name.strip_suffix("_2_10")).unwrap_or(name);
    if name.ends_with("_e") || name.ends_with("_t") { name.to_owned() } else { format!("{name}_t") }
}

/// Takes the sections about Rust's unsafe out of the comments.
fn without_safety(header: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut skipping = false;
    for line in header.lines() {
        match line.trim() {
            "* # Safety" => {
                skipping = true;
                while kept.last().is_some_and(|line| line.trim() == "*") {
                    kept.pop();
                }
            }
            "*/" => skipping = false,
            _ => {}
        }
        if !skipping {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

/// A comment of one line takes one line.
fn short_comments(header: &str) -> String {
    let lines: Vec<&str> = header.lines().collect();
    let mut out: Vec<String> = Vec::new();
    let mut rest = lines.as_slice();
    while let [line, others @ ..] = rest {
        rest = others;
        if let [text, end, others @ ..] = rest
            && line.trim() == "/**"
            && end.trim() == "*/"
        {
            let indent = line.split('/').next().unwrap_or_default();
            out.push(format!("{indent}/** {} */", text.trim().trim_start_matches("* ")));
            rest = others;
        } else if !(line.is_empty() && out.last().is_some_and(String::is_empty)) {
            out.push((*line).to_owned());
        }
    }
    out.join("\n") + "\n"
}

/// Turns each `typedef enum {...} X_values;` into an enum without a name, right behind the typedef of its number.
fn plain_enums(header: &str) -> String {
    let blocks: Vec<&str> = header.trim_end().split("\n\n").collect();
    let values = |block: &&str| block.contains("typedef enum {") && block.ends_with("_values;");
    let mut out: Vec<String> = Vec::new();
    for block in &blocks {
        if values(block) {
            continue;
        }
        out.push((*block).to_owned());
        for list in blocks.iter().filter(|list| values(list)) {
            let name = list.rsplit("} ").next().unwrap_or_default().trim_end_matches(';');
            let Some(typedef) = block.lines().last() else { continue };
            if typedef.starts_with("typedef ") && typedef.ends_with(&format!(" {};", number(name))) {
                let list = list.replace("typedef enum {", "enum {").replace(&format!("}} {name};"), "};");
                out.push(list);
            }
        }
    }
    out.join("\n\n") + "\n"
}
