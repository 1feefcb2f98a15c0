//! `cargo xtask fuzz`: the fuzz targets guided by coverage.

use crate::corpus::{self, Input};
use crate::process::{Outcome, fail, root, run as run_command};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Minutes of each target by default.
const MINUTES: u64 = 10;

/// What libFuzzer printed about a target.
struct Finding {
    name: String,
    executions: u64,
    coverage: u64,
    inputs: u64,
    crashes: Vec<PathBuf>,
}

/// `[target] [--minutes N] [--minimise]`.
pub fn run(words: &[&str]) -> Outcome {
    let (mut only, mut minutes, mut minimise) = (None, MINUTES, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--minutes" => {
                let number =
                    words.next().and_then(|number| number.parse().ok()).filter(|minutes| *minutes > 0);
                minutes = number.ok_or("--minutes takes a whole number from 1")?;
            }
            "--minimise" => minimise = true,
            name => only = Some(name),
        }
    }
    let targets = targets()?;
    if let Some(unknown) = only.filter(|only| !targets.iter().any(|target| target == only)) {
        return fail(format!("`{unknown}` is no fuzz target; there are: {}", targets.join(", ")));
    }
    install()?;
    let mut findings = Vec::new();
    for target in targets.iter().filter(|target| only.is_none_or(|only| only == *target)) {
        if minimise {
            shrink(target)?;
        } else {
            findings.push(fuzz(target, minutes)?);
        }
    }
    if minimise { Ok(()) } else { summary(&findings) }
}

/// The programs of `testing/fuzz/fuzz_targets/`.
fn targets() -> Outcome<Vec<String>> {
    let folder = root().join("testing/fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    Ok(names)
}

fn install() -> Outcome {
    let there = cargo_fuzz(&["--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    println!("installing cargo-fuzz, by cargo");
    run_command(&mut crate::process::cargo(&["install", "--locked", "cargo-fuzz"]))
}

/// Sanitizers are switched on by a flag that the stable compiler takes only when told to.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = crate::process::cargo(&["fuzz"]);
    if let [verb @ ("run" | "cmin"), rest @ ..] = arguments {
        command.args([verb, "--fuzz-dir"]).arg(root().join("testing/fuzz")).args(rest);
    } else {
        command.args(arguments);
    }
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

/// The folder for new inputs.
fn found(target: &str) -> Outcome<PathBuf> {
    let folder = root().join("target/fuzz").join(target);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// The file of the committed inputs.
fn committed(target: &str) -> PathBuf {
    root().join("testing/fuzz/corpus").join(format!("{target}.txt"))
}

/// The committed inputs.
fn inputs(target: &str) -> Outcome<Vec<Input>> {
    let file = committed(target);
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    corpus::parse(&text).map_err(|why| format!("{}: {why}", file.display()))
}

/// The committed inputs as files, as libFuzzer wants them; gives their folder.
fn unpack(target: &str) -> Outcome<PathBuf> {
    let folder = root().join("target/fuzz-corpus").join(target);
    // None is there the first time.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (number, (bytes, _)) in inputs(target)?.into_iter().enumerate() {
        let file = folder.join(format!("{number:05}"));
        std::fs::write(&file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(folder)
}

fn fuzz(target: &str, minutes: u64) -> Outcome<Finding> {
    println!("\n=== {target}: {minutes} min ===");
    let folder = found(target)?;
    let artifacts = root().join("testing/fuzz/artifacts").join(target);
    let before = files(&artifacts);
    let mut command = cargo_fuzz(&["run", "--features", "libfuzzer", target]);
    command.arg(&folder).arg(unpack(target)?);
    command.args(["--", "-print_final_stats=1", "-max_len=4096", "-timeout=20", "-rss_limit_mb=4096"]);
    command.arg(format!("-max_total_time={}", minutes * 60)).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cargo fuzz: {error}"))?;
    let mut finding =
        Finding { name: target.into(), executions: 0, coverage: 0, inputs: 0, crashes: Vec::new() };
    let mut last = Vec::new();
    for line in
        child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok)
    {
        finding.learn(&line);
        if line.starts_with('#') && !line.contains("pulse") {
            continue;
        }
        last.push(line);
    }
    let status = child.wait().map_err(|error| format!("cargo fuzz: {error}"))?;
    finding.crashes = files(&artifacts).into_iter().filter(|file| !before.contains(file)).collect();
    if !status.success() {
        println!("{}", last.iter().rev().take(60).rev().cloned().collect::<Vec<_>>().join("\n"));
        if finding.crashes.is_empty() {
            return fail(format!("{target}: cargo fuzz ended with {status}"));
        }
    }
    println!("{}", finding.line());
    Ok(finding)
}

impl Finding {
    /// Reads libFuzzer's progress (`#123 NEW cov: 45 ft: 67 corp: 8/9b ...`) and its statistics (`stat::...: 10`).
    fn learn(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            match pair {
                ["cov:", number] => self.coverage = number.parse().unwrap_or(self.coverage),
                ["corp:", number] => {
                    let count = number.split('/').next().and_then(|count| count.parse().ok());
                    self.inputs = count.unwrap_or(self.inputs);
                }
                ["stat::number_of_executed_units:", number] => {
                    self.executions = number.parse().unwrap_or(self.executions);
                }
                _ => {}
            }
        }
        if let Some(number) = words.first().and_then(|word| word.strip_prefix('#')?.parse().ok()) {
            self.executions = self.executions.max(number);
        }
    }

    fn line(&self) -> String {
        format!(
            "{:<10} {:>13} {:>9} {:>8} {:>8}",
            self.name,
            self.executions,
            self.coverage,
            self.inputs,
            self.crashes.len()
        )
    }
}

/// Keeps, of the committed and the found inputs, those that reach something that no other does, and all that have a name.
fn shrink(target: &str) -> Outcome {
    let (corpus, found) = (unpack(target)?, found(target)?);
    for file in files(&found) {
        let to = corpus.join(file.file_name().unwrap_or_default());
        std::fs::copy(&file, &to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    let mut command = cargo_fuzz(&["cmin", "--features", "libfuzzer", target]);
    // By what is reached, not by how often: a tenth of the inputs.
    run_command(command.arg(&corpus).args(["--", "-use_counters=0"]))?;
    let mut kept: Vec<Input> = inputs(target)?.into_iter().filter(|(_, name)| name.is_some()).collect();
    let mut others = files(&corpus);
    others.sort();
    for file in others {
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        if !kept.iter().any(|(there, _)| *there == bytes) {
            kept.push((bytes, None));
        }
    }
    let file = committed(target);
    std::fs::write(&file, corpus::emit(&kept)).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("{target}: {} inputs are kept", kept.len());
    Ok(())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    // A folder that is not there holds no files.
    std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn summary(findings: &[Finding]) -> Outcome {
    println!("\n{:<10} {:>13} {:>9} {:>8} {:>8}", "target", "executions", "coverage", "inputs", "crashes");
    for finding in findings {
        println!("{}", finding.line());
    }
    println!("{} executions in all", findings.iter().map(|finding| finding.executions).sum::<u64>());
    let crashes: Vec<_> = findings.iter().flat_map(|finding| &finding.crashes).collect();
    if crashes.is_empty() {
        return Ok(());
    }
    for crash in &crashes {
        println!("  {}", crash.display());
    }
    fail(format!("{} inputs fail; once mended, add each to testing/fuzz/corpus, with a name", crashes.len()))
}
