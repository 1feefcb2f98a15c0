//! The command line: `serve` runs the center, all other commands are clients of its REST API.

mod account;
mod args;
mod client;
mod csv;
mod device;
mod error;
mod log;
mod login;
mod package;
mod plan;
mod product;
mod profile;
mod refusal;
mod table;
mod upgrade;
mod user;
mod webhook;
mod why;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde_json::Value;

use crate::config::DATA_FOLDER;
use crate::maintenance::{BackupOptions, RestoreOptions, RotateOptions};
use crate::serve::ServeOptions;
pub use client::ClientError;

/// A self-hosted Developer Center for the OTA of QuecThing devices.
#[derive(Debug, Parser)]
#[command(name = "quecota-center", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the center
    Serve(Box<ServeOptions>),
    /// Make a new key for the secrets of a data folder and seal them with it; the center must be stopped
    RotateKey(RotateOptions),
    /// Copy a data folder consistently, also while its center serves
    Backup(BackupOptions),
    /// Make a data folder of a backup
    Restore(RestoreOptions),
    /// Print completions for a shell: `source <(quecota-center completions bash)`
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the manual pages of all commands into a folder: `man ./quecota-center-plan.1`
    Man {
        /// The folder; it is made if it is not there
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Products: what devices are, with the key and secret that they log in with
    #[command(arg_required_else_help = true)]
    Product {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: product::Product,
    },
    /// Components of a product: the module, and the MCUs behind it
    #[command(arg_required_else_help = true)]
    Component {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: product::Component,
    },
    /// Version packages: the files that bring a component to a version
    #[command(arg_required_else_help = true)]
    Package {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: package::Package,
    },
    /// Upgrade plans: which devices get which packages
    #[command(arg_required_else_help = true)]
    Plan {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: plan::Plan,
    },
    /// Devices and their upgrades
    #[command(arg_required_else_help = true)]
    Device {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: device::Device,
    },
    /// Sign in to a center, for the commands to come
    Login {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// Who
        #[command(flatten)]
        login: login::Login,
    },
    /// Sign out of a center
    Logout {
        /// The center
        #[command(flatten)]
        connection: Connection,
    },
    /// The centers that you signed in to
    #[command(arg_required_else_help = true)]
    Centers {
        /// How to answer
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: login::Centers,
    },
    /// Accounts: the people who may sign in
    #[command(arg_required_else_help = true)]
    Account {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: account::Account,
    },
    /// Tokens: what programs and end users show
    #[command(arg_required_else_help = true)]
    Token {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: account::Token,
    },
    /// The audit log: who changed what
    #[command(arg_required_else_help = true)]
    Audit {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: account::Audit,
    },
    /// Webhooks: who is told by HTTP what happens to plans and devices
    #[command(arg_required_else_help = true)]
    Webhook {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// What to do
        #[command(subcommand)]
        command: webhook::Webhook,
    },
    /// Say why a device is not upgrading: the condition that holds it back, plan by plan
    #[command(arg_required_else_help = true)]
    Why {
        /// The center
        #[command(flatten)]
        connection: Connection,
        /// The device
        #[command(flatten)]
        device: why::Whose,
    },
}

/// Which center a client command talks to, and how it answers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Center")]
pub struct Connection {
    /// Address of the center; without it, the one that you signed in to, else http://127.0.0.1:8080
    #[arg(long, global = true, env = "QUECOTA_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Name of a center that you signed in to with `login`; without it, the last one
    #[arg(long, global = true, env = "QUECOTA_CENTER", value_name = "NAME")]
    center: Option<String>,
    /// Token of the API; without it, the file `token` in the data folder, else the one of `login`
    #[arg(long, global = true, env = "QUECOTA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Certificate, as PEM, that the center's own must be signed by, or be; without it, those of the public authorities
    #[arg(long, global = true, env = "QUECOTA_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Data folder of a center on this machine
    #[arg(long, global = true, default_value = DATA_FOLDER, value_name = "DIR")]
    data: PathBuf,
    /// Print the API's JSON; the same as --output json
    #[arg(long, global = true)]
    json: bool,
    /// How to print the answer
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    output: Option<Output>,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// The API's JSON
    Json,
    /// One line for each thing of a list
    Csv,
}

/// The center that is meant where nothing says which.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

impl Connection {
    fn output(&self) -> Output {
        self.output.unwrap_or(if self.json { Output::Json } else { Output::Table })
    }
}

/// The command line of this process. A wrong one ends the process with clap's message.
///
/// # Errors
/// A value that was given is empty, as a shell makes it of a variable that is not set.
pub fn command_line() -> Result<Cli, ClientError> {
    let mut known = Cli::command();
    let given = known.get_matches_mut();
    match empty_value(&known, &given) {
        None => Ok(Cli::from_arg_matches(&given).unwrap_or_else(|error| error.exit())),
        Some(name) => {
            let message = format!("{name}: the value is empty; give one, or leave the option out");
            Err(ClientError::Argument(message))
        }
    }
}

/// The first option or argument on the command line that has an empty value.
fn empty_value(known: &clap::Command, given: &ArgMatches) -> Option<String> {
    let is_empty = |arg: &&clap::Arg| {
        let id = arg.get_id().as_str();
        let is_typed = given.value_source(id) == Some(ValueSource::CommandLine);
        is_typed && given.get_raw(id).into_iter().flatten().any(|value| value.is_empty())
    };
    let name = |arg: &clap::Arg| match arg.get_long() {
        Some(long) => format!("--{long}"),
        None => arg
            .get_value_names()
            .and_then(|names| names.first())
            .map_or_else(|| arg.get_id().to_string(), |name| name.to_string()),
    };
    let inner = given.subcommand().and_then(|(name, given)| empty_value(known.find_subcommand(name)?, given));
    known.get_arguments().find(is_empty).map(name).or(inner)
}

/// Runs a client command; its answer goes to standard output.
///
/// # Errors
/// What the API or the way to it refused, in words for the caller.
pub fn run(command: Command) -> Result<(), ClientError> {
    let (connection, request): (_, Box<dyn Request>) = match command {
        // `main` runs what works on this machine; there is nothing to ask a server for.
        Command::Serve(_) | Command::RotateKey(_) | Command::Backup(_) | Command::Restore(_) => return Ok(()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "quecota-center", &mut script);
            return print(&script);
        }
        Command::Man { to } => return manual(&to),
        Command::Product { connection, command } => (connection, Box::new(command)),
        Command::Component { connection, command } => (connection, Box::new(command)),
        Command::Package { connection, command } => (connection, Box::new(command)),
        Command::Plan { connection, command } => (connection, Box::new(command)),
        Command::Device { connection, command } => (connection, Box::new(command)),
        Command::Why { connection, device } => (connection, Box::new(device)),
        Command::Account { connection, command } => (connection, Box::new(command)),
        Command::Token { connection, command } => (connection, Box::new(command)),
        Command::Audit { connection, command } => (connection, Box::new(command)),
        Command::Webhook { connection, command } => (connection, Box::new(command)),
        Command::Login { connection, login } => return show(&login.run(&connection)?, connection.output()),
        Command::Logout { connection } => return show(&login::logout(&connection)?, connection.output()),
        Command::Centers { connection, command } => return show(&command.run()?, connection.output()),
    };
    let client = client::Client::new(&connection)?;
    let answer = request.run(&client)?;
    show(&answer, connection.output())
}

fn manual(folder: &Path) -> Result<(), ClientError> {
    let wrong =
        |error: io::Error| ClientError::File { path: folder.display().to_string(), cause: error.to_string() };
    fs::create_dir_all(folder).map_err(wrong)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder).map_err(wrong)
}

fn show(answer: &Answer, output: Output) -> Result<(), ClientError> {
    for note in &answer.notes {
        // A note that nobody reads changes nothing.
        let _ = writeln!(io::stderr(), "{note}");
    }
    match output {
        // What has no JSON was printed while it came in.
        Output::Json if !answer.json.is_null() => print(format!("{:#}\n", answer.json).as_bytes()),
        Output::Csv if !answer.json.is_null() => print(csv::text(&answer.json).as_bytes()),
        _ => print(answer.text.as_bytes()),
    }
}

fn print(text: &[u8]) -> Result<(), ClientError> {
    match io::stdout().write_all(text).and_then(|()| io::stdout().flush()) {
        // Whoever read the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(ClientError::Output),
    }
}

/// A client command.
trait Request {
    /// Asks the center and puts its answer in words.
    fn run(&self, client: &client::Client) -> Result<Answer, ClientError>;
}

/// What a command found, for programs and for people.
#[derive(Debug)]
struct Answer {
    json: Value,
    text: String,
    /// For the person who asks, on standard error.
    notes: Vec<String>,
}

impl Answer {
    fn new(text: String, json: Value) -> Self {
        Self { json, text, notes: Vec::new() }
    }

    /// The command has written its answer itself.
    fn printed() -> Self {
        Self::new(String::new(), Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_of_a_command_has_the_name_of_one_for_all() {
        Cli::command().debug_assert();
    }
}
