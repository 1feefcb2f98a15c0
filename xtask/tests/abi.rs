//! The C ABI is what tests/abi/declarations.txt says: every function, type and value of the headers, one a line. docs/abi.md says
//! what may change when. To write it: QUECOTA_ABI=write cargo test -p xtask --test abi

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The header without comments, without the preprocessor's lines but for values, and with single blanks.
fn code(header: &str) -> String {
    let text = fs::read_to_string(root().join("include").join(header)).unwrap();
    let mut code = String::new();
    let mut rest = text.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("the end of a comment").1;
    }
    code.push_str(rest);
    code
}

/// `#define NAME value` of quecota's own names, and declarations, each in a line.
fn declarations(header: &str) -> Vec<String> {
    let code = code(header);
    let (directives, code): (Vec<&str>, Vec<&str>) =
        code.lines().map(str::trim).partition(|line| line.starts_with('#'));
    let mut lines: Vec<String> = directives
        .into_iter()
        .filter(|line| line.starts_with("#define QUECOTA_") && line.split_whitespace().count() > 2)
        .filter(|line| !line.contains("QUECOTA_VERSION"))
        .map(str::to_owned)
        .collect();
    let code = code.join(" ").replace("extern \"C\" {", "");
    let (mut line, mut depth) = (String::new(), 0u32);
    for character in code.chars() {
        line.push(character);
        depth += u32::from(character == '{');
        depth -= u32::from(character == '}' && depth > 0);
        if depth == 0 && character == ';' {
            lines.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
            line.clear();
        }
    }
    lines
}

fn described() -> String {
    let mut text = String::new();
    for header in ["quecota.h", "Ql_iotApi.h", "ql_api_qthsdk.h"] {
        text.push_str(&format!("{header}\n"));
        for line in declarations(header) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

#[test]
fn the_abi_is_the_one_that_is_written_down() {
    let file = root().join("tests/abi/declarations.txt");
    let described = described();
    if std::env::var_os("QUECOTA_ABI").is_some_and(|word| word == "write") {
        fs::write(&file, &described).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap();
    let gone: Vec<&str> = known.lines().filter(|line| !described.lines().any(|is| is == *line)).collect();
    let new: Vec<&str> = described.lines().filter(|line| !known.lines().any(|was| was == *line)).collect();
    assert!(
        gone.is_empty() && new.is_empty() && known == described,
        "the ABI is another; docs/abi.md says what may change, and `QUECOTA_ABI=write cargo test -p xtask --test abi` \
         writes it down\ngone: {gone:#?}\nnew: {new:#?}"
    );
}

#[test]
fn every_struct_has_its_layout() {
    let layout = fs::read_to_string(root().join("tests/abi_layout.c")).unwrap();
    let mut structs = 0;
    for line in declarations("quecota.h").into_iter().chain(declarations("Ql_iotApi.h")) {
        let Some((_, body)) =
            line.split_once('{').filter(|(head, _)| head.contains("struct") || head.contains("union"))
        else {
            continue;
        };
        let (members, name) = body.rsplit_once('}').unwrap();
        let name = name.trim().trim_end_matches(';');
        assert!(layout.contains(&format!("STRUCT({name})")), "{name}");
        let members = members.split(';').filter(|member| !member.trim().is_empty()).count();
        let laid_out = layout.matches(&format!("MEMBER({name}, ")).count();
        assert_eq!(laid_out, members, "{name}");
        structs += 1;
    }
    assert!(structs >= 16, "{structs} structs");
}
