//! `login`, `logout` and `centers`: signing in to centers, and which of them is meant.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf, absolute};

use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use super::client::{Client, ClientError};
use super::profile::{Profile, Profiles};
use super::table::{Table, cell};
use super::{Answer, Connection};

/// Days that a sign-in of the command line counts.
const DAYS: i64 = 90;

/// Options of `login`.
#[derive(Debug, Args)]
#[group(id = "sign-in")]
pub struct Login {
    /// Account to sign in with
    #[arg(long, default_value = "admin")]
    account: String,
    /// File with the password, `-` for standard input; without it, it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the new password, where the one of before is a one-time password; without it, it is asked for
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

/// What to do with the centers that are known.
#[derive(Debug, Subcommand)]
pub enum Centers {
    /// List the centers that somebody signed in to
    List,
    /// Make a center the one that is meant where none is named
    Use {
        /// Its name
        name: String,
    },
}

impl Login {
    /// Signs in and keeps a token for the commands to come.
    pub(super) fn run(&self, connection: &Connection) -> Result<Answer, ClientError> {
        let mut profiles = Profiles::load()?;
        let name = connection.center.clone().unwrap_or_else(|| "default".to_owned());
        let known = profiles.centers.get(&name).map(|profile| profile.server.clone());
        let server = connection.server.clone().or(known).unwrap_or_else(|| super::DEFAULT_SERVER.to_owned());
        let known = profiles.centers.get(&name).and_then(|profile| profile.ca.clone());
        let ca = connection.ca.clone().map(|file| absolute(&file).unwrap_or(file)).or(known);
        let client = Client::stranger(&server, ca.as_deref())?;
        let password = password(self.password_file.as_deref(), &format!("Password of {}: ", self.account))?;
        let given = json!({ "account": self.account, "password": password });
        let (mut begun, mut cookie) = client.sign_in("session", &given)?;
        if begun["must_change_password"] == true {
            let new = password_twice(self.new_password_file.as_deref())?;
            let change = json!({ "account": self.account, "password": password, "new": new });
            (begun, cookie) = client.sign_in("session/password", &change)?;
        }
        let client = client.in_session(&cookie, begun["csrf"].as_str().unwrap_or_default());
        let token = format!("login-{}-{:08x}", self.account, rand::random::<u32>());
        let made = client.post("tokens", &json!({ "name": token, "role": begun["role"], "days": DAYS }))?;
        client.delete("session")?;
        let no_center = || ClientError::NoCenter { server: server.clone(), status: 201 };
        let profile = Profile {
            server: server.clone(),
            token: made["secret"].as_str().ok_or_else(no_center)?.to_owned(),
            token_id: made["id"].as_i64().ok_or_else(no_center)?,
            account: self.account.clone(),
            ca,
        };
        let before = profiles.centers.insert(name.clone(), profile);
        profiles.current = Some(name.clone());
        let path = profiles.save()?;
        if let Some(before) = before {
            // It may have expired, or be another center's.
            let _ = Client::with_token(&before.server, before.ca.as_deref(), &before.token)
                .and_then(|client| client.delete(&format!("tokens/{}", before.token_id)));
        }
        let text = format!(
            "signed in to {server} as {} ({}), as center {name:?} for {DAYS} days; kept in {}\n",
            self.account,
            cell(&begun["role"]),
            path.display()
        );
        Ok(Answer::new(text, json!({ "center": name, "server": server, "role": begun["role"] })))
    }
}

/// Revokes the token of a sign-in and forgets it.
pub(super) fn logout(connection: &Connection) -> Result<Answer, ClientError> {
    let mut profiles = Profiles::load()?;
    let Some(name) = connection.center.clone().or_else(|| profiles.current.clone()) else {
        return Err(ClientError::Argument("nobody is signed in; `quecota-center login` does".to_owned()));
    };
    profiles.find(Some(&name))?;
    let mut notes = Vec::new();
    if let Some(profile) = profiles.centers.remove(&name) {
        let revoked = Client::with_token(&profile.server, profile.ca.as_deref(), &profile.token)
            .and_then(|client| client.delete(&format!("tokens/{}", profile.token_id)));
        if let Err(error) = revoked {
            notes.push(format!("its token may go on counting until it expires: {error}"));
        }
    }
    if profiles.current.as_ref() == Some(&name) {
        profiles.current = profiles.centers.keys().next().cloned();
    }
    profiles.save()?;
    let mut answer = Answer::new(format!("signed out of {name:?}\n"), json!({ "center": name }));
    answer.notes = notes;
    Ok(answer)
}

impl Centers {
    pub(super) fn run(&self) -> Result<Answer, ClientError> {
        let mut profiles = Profiles::load()?;
        if let Self::Use { name } = self {
            profiles.find(Some(name))?;
            profiles.current = Some(name.clone());
            profiles.save()?;
        }
        let mut table = Table::new(&["CENTER", "SERVER", "ACCOUNT", "CURRENT"]);
        let mut listed = Vec::new();
        for (name, profile) in &profiles.centers {
            let current = profiles.current.as_ref() == Some(name);
            let mark = if current { "yes" } else { "" };
            table.row([name.clone(), profile.server.clone(), profile.account.clone(), mark.to_owned()]);
            listed.push(json!({
                "name": name, "server": profile.server, "account": profile.account, "current": current
            }));
        }
        Ok(Answer::new(table.text(), json!({ "items": listed, "next": null })))
    }
}

/// A password from a file, or from the person who sits there.
pub(super) fn password(file: Option<&Path>, prompt: &str) -> Result<String, ClientError> {
    let text = match file {
        Some(path) if path != Path::new("-") => fs::read_to_string(path).map_err(|error| {
            ClientError::File { path: path.display().to_string(), cause: error.to_string() }
        })?,
        Some(_) => line()?,
        None if io::stdin().is_terminal() => unseen(prompt)?,
        None => {
            let rule = "no password: give --password-file FILE (`-` reads it from standard input)";
            return Err(ClientError::Argument(rule.to_owned()));
        }
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn password_twice(file: Option<&Path>) -> Result<String, ClientError> {
    if file.is_none() && !io::stdin().is_terminal() {
        let rule = "the password is a one-time one: give another with --new-password-file FILE";
        return Err(ClientError::Argument(rule.to_owned()));
    }
    let first = password(file, "The password is a one-time one. New password: ")?;
    if file.is_none() && password(None, "Again: ")? != first {
        return Err(ClientError::Argument("the two passwords differ: sign in again".to_owned()));
    }
    Ok(first)
}

fn line() -> Result<String, ClientError> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .read_line(&mut text)
        .map_err(|error| ClientError::File { path: "standard input".to_owned(), cause: error.to_string() })?;
    Ok(text)
}

/// Reads a line from the terminal without showing it.
fn unseen(prompt: &str) -> Result<String, ClientError> {
    // The prompt of a terminal that is gone is missed by nobody.
    let _ = write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush());
    let before = tcgetattr(io::stdin()).ok();
    if let Some(mut hidden) = before.clone() {
        hidden.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &hidden);
    }
    let text = line();
    if let Some(before) = before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
    let _ = writeln!(io::stderr());
    text
}
