//! One download through the whole agent, from memory to memory flash, or its digests alone; `cargo xtask bench` counts
//! the instructions of both.
//!
//!     bench file BYTES
//!     bench digests BYTES [sha256]
//!     bench pipeline BYTES MD5 CRC [SHA256]

mod pipeline;

use std::process::ExitCode;

use quecota_core::wire::hex;

use pipeline::{file, pipeline, sums};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match command(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn command(words: &[&str]) -> Result<(), String> {
    let bytes = |text: &str| text.parse().map_err(|_| format!("{text}: must be a number of bytes"));
    match words {
        ["file", length] => {
            std::hint::black_box(file(bytes(length)?));
            Ok(())
        }
        ["digests", length, wanted @ ..] => {
            let sums = sums(&file(bytes(length)?), *wanted == ["sha256"]);
            print!("{} ", hex::text(&sums.md5.unwrap_or_default()).as_str());
            print!("{}", hex::text(&sums.crc32.unwrap_or_default().to_be_bytes()).as_str());
            println!("{}", sums.sha256.map_or(String::new(), |sum| format!(" {}", hex::text(&sum).as_str())));
            Ok(())
        }
        ["pipeline", length, md5, crc, sha256 @ ..] => {
            let areas = pipeline(&file(bytes(length)?), md5, crc, sha256.first().copied())?;
            for (name, area) in ["image", "journal"].iter().zip(areas) {
                println!("{name} {} {} {}", area.erases, area.writes, area.written);
            }
            Ok(())
        }
        _ => Err("usage: bench file BYTES | digests BYTES [sha256] | pipeline BYTES MD5 CRC [SHA256]".into()),
    }
}
