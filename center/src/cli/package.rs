//! `package`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::unversioned::multipart::{Form, Part};

use super::client::{Client, ClientError, segment};
use super::log::{Lines, log};
use super::table::{Table, cell, items, sheet, state, time};
use super::{Answer, Request};
use crate::packages::format;
use crate::rules::names::FileName;

#[derive(Debug, Subcommand)]
pub enum Package {
    /// Upload a version package; prints its id
    Add {
        /// Product key
        #[arg(long, value_name = "PK")]
        product: String,
        /// Component that the package is for
        #[arg(long, value_name = "ID")]
        component: String,
        /// Name, for people
        #[arg(long)]
        name: String,
        /// Version that the package brings
        #[arg(long, value_name = "VERSION")]
        target: String,
        /// Version that the package starts from: makes it a delta package
        #[arg(long, value_name = "VERSION")]
        source: Option<String>,
        /// What is new, at most 200 characters
        #[arg(long)]
        remark: Option<String>,
        /// The files: 1 to 5 for the module, one for an MCU, each at most 100 MB
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the packages
    List {
        /// Of this product only
        #[arg(long, value_name = "PK")]
        product: Option<String>,
    },
    /// Show a package with its files, digests and the result of its verification
    Show {
        /// Its id
        id: String,
    },
    /// Save a file of a package; its content is checked against the package's digest
    Download {
        /// Id of the package
        id: String,
        /// Number of the file in the package, from 0
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        file: usize,
        /// Where to; a file that is there already is not overwritten. Without it, the file's own name
        #[arg(long, value_name = "PATH")]
        to: Option<PathBuf>,
    },
    /// Delete a package that no plan or verification uses
    Delete {
        /// Its id
        id: String,
    },
    /// Upgrade one device with a package, outside any plan, to see that it works; prints the verification's id
    Verify {
        /// Id of the package
        id: String,
        /// The device
        #[arg(long, value_name = "DK")]
        device: String,
        /// The component, to have it checked against the package's
        #[arg(long, value_name = "ID")]
        component: Option<String>,
    },
    /// List the firmware verifications of a package
    Verifications {
        /// Id of the package
        id: String,
    },
    /// Show a firmware verification with its states and log
    Verification {
        /// Its id
        id: String,
    },
}

impl Request for Package {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::Add { product, component, name, target, source, remark, files } => {
                let path = format!("products/{}/packages", segment(product));
                // Asked first, so that a wrong token or product is known before megabytes are sent.
                client.get(&format!("{path}?limit=1"))?;
                let mut files = open_all(files)?;
                let mut form =
                    Form::new().text("component", component).text("name", name).text("target", target);
                if let Some(source) = source {
                    form = form.text("source", source);
                }
                if let Some(remark) = remark {
                    form = form.text("remark", remark);
                }
                for file in &mut files {
                    let name = file.name.clone();
                    form = form.part("file", Part::reader(file).file_name(&name));
                }
                let json = client.upload(&path, form)?;
                let mut answer = Answer::new(format!("{}\n", cell(&json["id"])), json);
                answer.notes = items(&answer.json["warnings"])
                    .iter()
                    .map(|warning| format!("warning: {}", cell(warning)))
                    .collect();
                Ok(answer)
            }
            Self::List { product } => {
                let path = match product {
                    Some(product) => format!("products/{}/packages", segment(product)),
                    None => "packages".to_owned(),
                };
                let json = client.list(&path)?;
                let mut table = Table::new(&[
                    "ID",
                    "PRODUCT",
                    "COMPONENT",
                    "NAME",
                    "SOURCE",
                    "TARGET",
                    "BYTES",
                    "VERIFIED",
                    "CREATED",
                ]);
                for package in items(&json) {
                    let size: u64 =
                        items(&package["files"]).iter().filter_map(|file| file["size"].as_u64()).sum();
                    let fields = ["id", "product", "component", "name", "source", "target"];
                    let cells = fields.map(|field| cell(&package[field]));
                    table.row(cells.into_iter().chain([
                        size.to_string(),
                        result(package),
                        time(&package["created"]),
                    ]));
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Show { id } => {
                let json = client.get(&format!("packages/{}", segment(id)))?;
                Ok(Answer::new(shown(&json), json))
            }
            Self::Download { id, file, to } => download(client, id, *file, to.as_deref()),
            Self::Delete { id } => {
                let json = client.delete(&format!("packages/{}", segment(id)))?;
                Ok(Answer::new("deleted\n".to_owned(), json))
            }
            Self::Verify { id, device, component } => {
                let body = json!({ "device": device, "component": component });
                let json = client.post(&format!("packages/{}/verifications", segment(id)), &body)?;
                Ok(Answer::new(format!("{}\n", cell(&json["id"])), json))
            }
            Self::Verifications { id } => {
                let json = client.list(&format!("packages/{}/verifications", segment(id)))?;
                let mut table = Table::new(&["ID", "DEVICE", "STATE", "CREATED", "ENDED", "REASON"]);
                for verification in items(&json) {
                    let [id, device, reason] =
                        ["id", "device", "reason"].map(|field| cell(&verification[field]));
                    let [created, ended] = ["created", "ended"].map(|field| time(&verification[field]));
                    table.row([id, device, state(&verification["state"]), created, ended, reason]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Verification { id } => {
                let json = client.get(&format!("verifications/{}", segment(id)))?;
                Ok(Answer::new(verification(&json), json))
            }
        }
    }
}

fn shown(package: &Value) -> String {
    let fields = ["id", "name", "product", "component", "type", "source", "target", "remark"];
    let mut lines = fields.map(|field| (field, cell(&package[field]))).to_vec();
    lines.push(("created", time(&package["created"])));
    lines.push(("verified", result(package)));
    for plan in items(&package["plans"]) {
        let [id, name] = ["id", "name"].map(|field| cell(&plan[field]));
        lines.push(("plan", format!("{id} ({name}, {})", state(&plan["state"]))));
    }
    let mut text = sheet(&lines);
    for file in items(&package["files"]) {
        text.push('\n');
        text.push_str(&sheet(
            &["name", "size", "md5", "crc32", "sha256"].map(|field| (field, cell(&file[field]))),
        ));
    }
    text
}

/// Bytes as they come in, with their digest.
struct Checked<W> {
    file: W,
    sha256: Sha256,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.sha256.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Saves one file of a package; what is not whole is removed again.
fn download(client: &Client, id: &str, number: usize, to: Option<&Path>) -> Result<Answer, ClientError> {
    let package = client.get(&format!("packages/{}", segment(id)))?;
    let json = items(&package["files"]).get(number).cloned().ok_or_else(|| {
        ClientError::Argument(format!(
            "file {number}: version package {id} has no such file; they count from 0"
        ))
    })?;
    let path = to.map_or_else(|| PathBuf::from(cell(&json["name"])), Path::to_owned);
    let failed =
        |error: io::Error| ClientError::File { path: path.display().to_string(), cause: error.to_string() };
    let file = File::options().write(true).create_new(true).open(&path).map_err(failed)?;
    let mut checked = Checked { file, sha256: Sha256::new() };
    let mut sent = client.download(&format!("packages/{}/files/{number}", segment(id)), &mut checked);
    if sent.is_ok() && json["sha256"] != hex::encode(checked.sha256.finalize()) {
        sent = Err(ClientError::Broken(io::Error::other("its digest is not the package's")));
    }
    if let Err(error) = sent {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&path);
        return Err(error);
    }
    Ok(Answer::new(format!("{}\n", path.display()), json))
}

/// What the package's verifications say, and which one is under way.
fn result(package: &Value) -> String {
    let last = &package["last_verification"];
    match last["state"].as_str() {
        Some(under_way @ ("waiting" | "running")) => {
            format!("{}, {} is {under_way}", cell(&package["verified"]), cell(&last["id"]))
        }
        _ => cell(&package["verified"]),
    }
}

fn verification(verification: &Value) -> String {
    let mut lines = ["id", "package", "device", "component", "source", "target"]
        .map(|field| (field, cell(&verification[field])))
        .to_vec();
    lines.push(("state", state(&verification["state"])));
    lines.push(("step", state(&verification["component_state"])));
    lines.push(("reason", cell(&verification["reason"])));
    lines.extend(
        ["created", "confirmed", "deadline", "ended"].map(|field| (field, time(&verification[field]))),
    );
    format!("{}\n{}", sheet(&lines), log(&verification["log"], &Value::Null, Lines::MERGED))
}

/// Opens the files and checks them by the center's own rules, before anything is sent.
fn open_all(paths: &[PathBuf]) -> Result<Vec<Sending>, ClientError> {
    format::check_file_count(paths.len()).map_err(|refusal| ClientError::Argument(refusal.to_string()))?;
    paths.iter().map(|path| Sending::open(path)).collect()
}

/// A file on its way, which tells how far it is.
struct Sending {
    name: String,
    file: File,
    size: u64,
    sent: u64,
    /// Percent shown last; none when nobody looks.
    shown: Option<u64>,
}

impl Sending {
    fn open(path: &Path) -> Result<Self, ClientError> {
        let failed = |cause: String| ClientError::File { path: path.display().to_string(), cause };
        let refused = |error: &dyn std::fmt::Display| ClientError::Argument(error.to_string());
        if path.is_dir() {
            return Err(failed("it is a folder; give the files in it".into()));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| failed("its name is not text".into()))?;
        FileName::new(name).map_err(|error| refused(&error))?;
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let about = file.metadata().map_err(|error| failed(error.to_string()))?;
        if !about.is_file() {
            return Err(failed("it is no file".into()));
        }
        format::check_not_empty(name, about.len()).map_err(|error| refused(&error))?;
        format::check_not_too_large(name, about.len()).map_err(|error| refused(&error))?;
        let shown = io::stderr().is_terminal().then_some(u64::MAX);
        Ok(Self { name: name.to_owned(), file, size: about.len(), sent: 0, shown })
    }

    fn show(&mut self) {
        let percent = self.sent.saturating_mul(100) / self.size.max(1);
        if self.shown.is_some_and(|shown| shown != percent) {
            self.shown = Some(percent);
            let end = if self.sent >= self.size { "\n" } else { "" };
            // Progress is a courtesy: a closed terminal does not stop an upload.
            let _ = write!(
                io::stderr(),
                "\r{}  {percent:3} %  {} of {} bytes{end}",
                self.name,
                self.sent,
                self.size
            );
        }
    }
}

impl Read for Sending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count > 0 {
            self.sent += count as u64;
            self.show();
        }
        Ok(count)
    }
}
