//! The one binary: the center itself, and the command line that talks to it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use quecota_center::cli::{self, Cli, Command};
use quecota_center::{maintenance, serve};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(options) => serve::run(options).map_err(|error| error.to_string()),
        Command::RotateKey(options) => maintenance::rotate_key(&options).map_err(|error| error.to_string()),
        Command::Backup(options) => maintenance::backup(&options).map_err(|error| error.to_string()),
        Command::Restore(options) => maintenance::restore(&options).map_err(|error| error.to_string()),
        command => cli::run(command).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("quecota-center: {message}");
            ExitCode::FAILURE
        }
    }
}
