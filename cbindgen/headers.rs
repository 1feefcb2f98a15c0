//! The public C headers: made by cbindgen from the sources of `src/`, committed in `include/`.
//!
//! `cbindgen/` has a configuration for each. cbindgen is not asked for four things, which are done here: the version
//! macros, the sections about Rust's unsafe, which no C programmer reads, the enums, which become
//! `typedef ... NAME; enum {...};`, so that a NAME has four bytes with and without `-fshort-enums`, and what C90 does not
//! have.

use cbindgen::{Bindings, Builder, Config};
use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

struct Header {
    /// Of the header in `include/` and of its configuration in `cbindgen/`, without their endings.
    name: &'static str,
    /// The header has their order.
    sources: &'static [&'static str],
}

const QL_IOT: &[&str] = &[
    "src/ql_iot/codes.rs",
    "src/ql_iot/instance.rs",
    "src/ql_iot/events.rs",
    "src/ql_iot/config.rs",
    "src/ql_iot/ota.rs",
    "src/ql_iot/ttlv.rs",
    "src/ql_iot/business.rs",
    "src/ql_iot/system.rs",
    "src/ql_iot/location.rs",
    "src/ql_iot/text.rs",
    "src/ql_iot/gateway.rs",
    "src/ql_iot/http_ota.rs",
    "src/ql_iot/modbus.rs",
    "src/ql_iot/unserved.rs",
];

const HEADERS: &[Header] = &[
    Header {
        name: "quecota",
        sources: &[
            "src/native/error.rs",
            "src/native/table.rs",
            "src/native/config.rs",
            "src/native/device.rs",
            "src/native/lifecycle.rs",
            "src/native/network.rs",
            "src/native/configuration.rs",
            "src/native/ota.rs",
            "src/ql_iot/default_platform.rs",
            "src/ql_iot/default_device.rs",
            "src/native/failure.rs",
            "src/native/event.rs",
            "src/native/http.rs",
            "src/native/storage_check.rs",
        ],
    },
    Header { name: "Ql_iotApi", sources: QL_IOT },
    Header { name: "ql_api_qthsdk", sources: QL_IOT },
];

/// Compares the committed headers with what the sources make; writes them with `QUECOTA_HEADERS=write`.
pub fn check_or_write() -> Outcome {
    println!("cargo::rerun-if-env-changed=QUECOTA_HEADERS");
    for watched in ["cbindgen", "include", "src"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    for room in ["src/native", "src/ql_iot"] {
        every_export_has_a_header(Path::new(room))?;
    }
    let write = env::var("QUECOTA_HEADERS").is_ok_and(|value| value == "write");
    for header in HEADERS {
        let path = format!("include/{}.h", header.name);
        let made = make(header)?;
        // A header that is not there differs from its first line on.
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if committed == made {
            continue;
        }
        if write {
            fs::write(&path, made).map_err(|error| format!("{path}: {error}"))?;
        } else {
            return Err(stale(&path, &committed, &made).into());
        }
    }
    Ok(())
}

fn stale(path: &str, committed: &str, made: &str) -> String {
    let line = committed.lines().zip(made.lines()).take_while(|(old, new)| old == new).count();
    let of = |text: &str| text.lines().nth(line).unwrap_or("(end of the file)").trim().to_owned();
    format!(
        "{path} is stale: line {} is `{}`, and the sources in src/ make `{}`; run `cargo xtask headers` and commit {path}",
        line + 1,
        of(committed),
        of(made)
    )
}

/// Refuses an export in a file that no header is made from.
fn every_export_has_a_header(room: &Path) -> Outcome {
    for entry in fs::read_dir(room)? {
        let path = entry?.path();
        if path.is_dir() {
            every_export_has_a_header(&path)?;
            continue;
        }
        let listed =
            HEADERS.iter().any(|header| header.sources.iter().any(|source| path == Path::new(source)));
        if !listed && fs::read_to_string(&path)?.lines().any(|line| line == "#[unsafe(no_mangle)]") {
            let path = path.display();
            return Err(format!(
                "{path} exports a function to C: add the file to HEADERS of cbindgen/headers.rs"
            )
            .into());
        }
    }
    Ok(())
}

fn make(header: &Header) -> Outcome<String> {
    let mut config = Config::from_file(format!("cbindgen/{}.toml", header.name))?;
    config.after_includes.get_or_insert_default().insert_str(0, &version());
    let mut builder = Builder::new();
    for source in header.sources {
        let text = fs::read_to_string(source).map_err(|error| format!("{source}: {error}"))?;
        config.export.include.extend(lists_of_values(&text));
        builder = builder.with_src(source);
    }
    let mut bindings = builder.with_config(config).generate()?;
    drop_safety_sections(&mut bindings);
    put_values_behind_their_type(&mut bindings);
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    Ok(c90(&one_line_comments(&nameless_enums(&String::from_utf8(bytes)?))))
}

fn version() -> String {
    let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"]
        .map(|part| env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default());
    let text = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    format!(
        "\n/* The version of quecota that this header belongs to. */\n\
         #define QUECOTA_VERSION_MAJOR {major}\n\
         #define QUECOTA_VERSION_MINOR {minor}\n\
         #define QUECOTA_VERSION_PATCH {patch}\n\
         #define QUECOTA_VERSION \"{text}\"\n\n"
    )
}

/// The enums of a source that list the values of a number, and those numbers' types. No function takes such an enum, so
/// cbindgen leaves it out unless it is told.
fn lists_of_values(source: &str) -> impl Iterator<Item = String> {
    let names = source.lines().filter_map(|line| line.strip_prefix("pub enum ")?.strip_suffix(" {"));
    names.filter(|name| name.ends_with("_values")).flat_map(|name| [number_type(name), name.to_owned()])
}

/// The type of the number whose values an enum lists: `quecota_x_values` is of `quecota_x_t`; `X_e_values` and, of one
/// SDK generation, `X_e_2_9_values` are of `X_e`.
fn number_type(values: &str) -> String {
    let name = values.trim_end_matches("_values").trim_end_matches("_2_9").trim_end_matches("_2_10");
    if name.ends_with("_e") || name.ends_with("_t") { name.to_owned() } else { format!("{name}_t") }
}

fn drop_safety_sections(bindings: &mut Bindings) {
    for function in &mut bindings.functions {
        let lines = &mut function.documentation.doc_comment;
        if let Some(section) = lines.iter().position(|line| line.trim() == "# Safety") {
            lines.truncate(section);
            lines.truncate(lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1));
        }
    }
}

/// cbindgen puts all enums before all other types.
fn put_values_behind_their_type(bindings: &mut Bindings) {
    let items = std::mem::take(&mut bindings.items);
    let (values, types): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| item.deref().name().ends_with("_values"));
    for item in types {
        let name = item.deref().name().to_owned();
        bindings.items.push(item);
        bindings.items.extend(values.iter().filter(|list| number_type(list.deref().name()) == name).cloned());
    }
}

/// `typedef enum {...} X_values;` loses its name.
fn nameless_enums(header: &str) -> String {
    let lines = header.lines().map(|line| match line {
        "typedef enum {" => "enum {",
        _ if line.starts_with("} ") && line.ends_with("_values;") => "};",
        _ => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// A comment of one line takes one line.
fn one_line_comments(header: &str) -> String {
    let mut comments = header.split("/**\n");
    let mut out = comments.next().unwrap_or_default().to_owned();
    for comment in comments {
        let mut lines = comment.splitn(3, '\n');
        match (lines.next(), lines.next(), lines.next()) {
            (Some(text), Some(end), Some(rest)) if end.trim() == "*/" => {
                let text = text.trim().trim_start_matches("* ");
                out.extend(["/** ", text, " */\n", rest]);
            }
            _ => out.extend(["/**\n", comment]),
        }
    }
    out
}

/// C90 has no comma behind the last enumerator, no `//` comment, and no signed number above a `long` of 32 bits.
fn c90(header: &str) -> String {
    let header =
        header.replace(",\n};", "\n};").replace(" // __cplusplus", "").replace("  // extern \"C\"", "");
    let lines = header.lines().map(|line| {
        let value =
            line.strip_prefix("#define ").and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
        let suffix = if value.is_some_and(|value| i32::try_from(value).is_err()) { "U\n" } else { "\n" };
        format!("{line}{suffix}")
    });
    lines.collect()
}
