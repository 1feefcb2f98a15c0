//! The committed inputs of a target: `corpus/TARGET.txt`, one input a line, in hex (`-`: no bytes), and behind it the name
//! of one that stands for a case: a seed made by hand, or a bug once found.
//!
//! The standard library only: `cargo xtask fuzz` reads and writes these files with the same code.

/// An input and its name, which most have not.
pub type Input = (Vec<u8>, Option<String>);

/// The inputs of a file, in its order. The error names the line.
pub fn parse(text: &str) -> Result<Vec<Input>, String> {
    (1..)
        .zip(text.lines())
        .map(|(number, line)| parse_line(line).map_err(|why| format!("line {number}: {why}")))
        .collect()
}

fn parse_line(line: &str) -> Result<Input, String> {
    let (hex, name) = line.split_once(' ').map_or((line, None), |(hex, name)| (hex, Some(name.to_owned())));
    let digits = if hex == "-" { "" } else { hex };
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(format!("`{hex}` is no hex of whole bytes"));
    }
    let starts = (0..digits.len()).step_by(2);
    let byte =
        |start| u8::from_str_radix(&digits[start..start + 2], 16).map_err(|_| format!("`{hex}` is no hex"));
    Ok((starts.map(byte).collect::<Result<_, _>>()?, name))
}

/// The file of some inputs.
pub fn emit(inputs: &[Input]) -> String {
    let mut text = String::new();
    for (bytes, name) in inputs {
        text.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
        if bytes.is_empty() {
            text.push('-');
        }
        if let Some(name) = name {
            text.push(' ');
            text.push_str(name);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_bad_line_is_named() {
        let inputs = vec![(vec![0, 0xff], None), (Vec::new(), Some("nothing".to_owned()))];
        assert_eq!(emit(&inputs), "00ff\n- nothing\n");
        assert_eq!(parse(&emit(&inputs)), Ok(inputs));
        assert_eq!(parse("00\n0g"), Err("line 2: `0g` is no hex".to_owned()));
        assert_eq!(parse("000"), Err("line 1: `000` is no hex of whole bytes".to_owned()));
    }
}
