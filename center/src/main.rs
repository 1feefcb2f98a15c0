//! The one binary: the center itself, and the command line that talks to it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use quecota_center::cli::{self, Command};
use quecota_center::{log, maintenance, serve};

/// glibc's keeps what a storm of connections took. How it is set up stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let done = cli::command_line().map_err(|error| error.to_string()).and_then(|cli| run(cli.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::last_word(&message);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    if matches!(command, Command::Serve(_) | Command::RotateKey(_) | Command::Backup(_) | Command::Restore(_))
    {
        // What the center keeps is for its own user alone: there are secrets and firmware in it.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }
    match command {
        Command::Serve(options) => serve::run(*options).map_err(|error| error.to_string()),
        Command::RotateKey(options) => maintenance::rotate_key(&options).map_err(|error| error.to_string()),
        Command::Backup(options) => maintenance::backup(&options).map_err(|error| error.to_string()),
        Command::Restore(options) => maintenance::restore(&options).map_err(|error| error.to_string()),
        command => cli::run(command).map_err(|error| error.to_string()),
    }
}
