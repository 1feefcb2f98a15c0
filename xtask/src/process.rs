//! Child processes: none outlives the command that started it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What went wrong, in words for the person at the terminal.
pub type Outcome<T = ()> = Result<T, String>;

/// An [`Outcome`] that failed.
pub fn fail<T>(why: impl Into<String>) -> Outcome<T> {
    Err(why.into())
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// `cargo` of the toolchain that runs this.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs to the end; its output is the user's.
pub fn run(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|error| format!("{}: {error}", words(command)))?;
    if status.success() { Ok(()) } else { fail(format!("{} ended with {status}", words(command))) }
}

/// Runs to the end and gives what it printed.
pub fn output(command: &mut Command) -> Outcome<String> {
    let answer = command.output().map_err(|error| format!("{}: {error}", words(command)))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        return fail(format!("{} ended with {}\n{}", words(command), answer.status, said.trim_end()));
    }
    String::from_utf8(answer.stdout)
        .map_err(|_| format!("{} printed something that is not UTF-8", words(command)))
}

fn words(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// What a [`Background`] said.
pub enum Heard {
    /// A line.
    Line(String),
    /// Nothing yet.
    Nothing,
    /// It closed its output.
    End,
}

/// A server beside us. It dies with us, even when we are killed.
pub struct Background {
    child: Child,
    lines: mpsc::Receiver<String>,
    name: String,
}

impl Background {
    /// Starts `program`. The kernel sends it `death` when this process ends.
    pub fn start(program: &Path, death: &str, configure: impl FnOnce(&mut Command)) -> Outcome<Background> {
        Self::start_as(&[], program, death, configure)
    }

    /// The same, and its lines are those of its errors as well.
    pub fn start_with_errors(
        program: &Path,
        death: &str,
        configure: impl FnOnce(&mut Command),
    ) -> Outcome<Background> {
        let both = std::io::pipe().and_then(|(from, to)| Ok((from, to.try_clone()?, to)));
        let (from, to, to_as_well) = both.map_err(|error| format!("a pipe: {error}"))?;
        let mut command = kept_command(&[], program, death);
        configure(&mut command);
        command.stdin(Stdio::null()).stdout(to).stderr(to_as_well);
        let name = name_of(program);
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        Ok(Background { child, lines: lines_of(from), name })
    }

    /// The same, with more arguments for `setpriv` (a user to become, say).
    pub fn start_as(
        privileges: &[&str],
        program: &Path,
        death: &str,
        configure: impl FnOnce(&mut Command),
    ) -> Outcome<Background> {
        let mut command = kept_command(privileges, program, death);
        configure(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let name = name_of(program);
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let lines = child.stdout.take().map(lines_of).ok_or(format!("{name}: no output"))?;
        Ok(Background { child, lines, name })
    }

    /// The same, and what can be said to its input.
    pub fn start_and_talk(
        program: &Path,
        death: &str,
        configure: impl FnOnce(&mut Command),
    ) -> Outcome<(Background, Option<ChildStdin>)> {
        let mut command = kept_command(&[], program, death);
        configure(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let name = name_of(program);
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let lines = child.stdout.take().map(lines_of).ok_or(format!("{name}: no output"))?;
        let input = child.stdin.take();
        Ok((Background { child, lines, name }, input))
    }

    /// The next line it prints; `None` when it closed its output.
    pub fn line(&self, deadline: Duration) -> Outcome<Option<String>> {
        match self.lines.recv_timeout(deadline) {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                fail(format!("{} said nothing for {deadline:?}", self.name))
            }
        }
    }

    /// What it says within this time.
    pub fn heard(&self, wait: Duration) -> Heard {
        match self.lines.recv_timeout(wait) {
            Ok(line) => Heard::Line(line),
            Err(mpsc::RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(mpsc::RecvTimeoutError::Disconnected) => Heard::End,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it where it is (SIGSTOP).
    pub fn freeze(&self) -> Outcome {
        run(Command::new("kill").args(["-s", "STOP", &self.child.id().to_string()]))
    }

    /// Ends it as a power cut would (SIGKILL).
    pub fn kill(mut self) -> Outcome {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.map(|_| ()).map_err(|error| format!("{}: {error}", self.name))
    }

    /// The rest of the first line that begins with `start`.
    pub fn announced(&self, start: &str, deadline: Duration) -> Outcome<String> {
        loop {
            match self.line(deadline)? {
                Some(line) => {
                    if let Some(rest) = line.strip_prefix(start) {
                        return Ok(rest.trim().to_owned());
                    }
                }
                None => return fail(format!("{} ended before it printed \"{start}\"", self.name)),
            }
        }
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
        let status = self.child.wait().map_err(|error| format!("{}: {error}", self.name))?;
        if status.success() { Ok(()) } else { fail(format!("{} ended with {status}", self.name)) }
    }

    /// Asks it to stop, and insists after ten seconds.
    pub fn stop(mut self, signal: &str) {
        self.end(signal);
    }

    fn end(&mut self, signal: &str) {
        let asked = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        for _ in 0..100 {
            if asked.is_err() || !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // Already gone is what we want; nothing else can go wrong with our own child.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end("TERM");
        }
    }
}

/// `program`, to which the kernel sends `death` when this process ends.
fn kept_command(privileges: &[&str], program: &Path, death: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(privileges).args(["--pdeathsig", death, "--"]).arg(program);
    command
}

fn name_of(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn lines_of(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (to, from) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    from
}

/// A folder that is gone when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one under the system's folder for such things.
    pub fn new(name: &str) -> Outcome<Folder> {
        let path = std::env::temp_dir().join(format!("quecota-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed from the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
