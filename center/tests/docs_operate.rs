//! docs/operate.md, followed as a new user would: every command of it is run, in its order, against a real center and
//! devices, and what it prints is compared with what the page shows.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reference_device::{DeviceRunner, Script, Until};
use support::{Center, TIMEOUT};

/// What the page says: commands, and what they print.
struct Block {
    line: usize,
    commands: Vec<String>,
    shown: Vec<String>,
}

/// The fenced blocks of the page: `sh` is run, `text` is what the commands before it print.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<&str> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (fence, line.strip_prefix("```")) {
            (None, Some("sh")) => {
                fence = Some("sh");
                blocks.push(Block { line: number, commands: Vec::new(), shown: Vec::new() });
            }
            (None, Some("text")) => fence = Some("text"),
            (None, Some(other)) => panic!("line {number}: a block of {other:?}; there are sh and text"),
            (Some(_), Some(_)) => fence = None,
            (Some("sh"), None) => blocks.last_mut().unwrap().commands.push(line.to_owned()),
            (Some(_), None) => blocks.last_mut().expect("a command before it").shown.push(line.to_owned()),
            (None, None) => {}
        }
    }
    blocks
}

/// Whether the output has the line's words in one line, in order and whole; `...` stands for anything.
fn is_shown(output: &str, line: &str) -> bool {
    output.lines().any(|printed| {
        let mut rest: Vec<&str> = printed.split_whitespace().collect();
        line.split_whitespace().filter(|word| *word != "...").all(|word| {
            let cut = word.strip_suffix("...");
            let found = rest.iter().position(|known| match cut {
                Some(begin) => known.starts_with(begin),
                None => *known == word || known.contains(word),
            });
            found.map(|at| drop(rest.drain(..=at))).is_some()
        })
    })
}

/// Looking changes nothing, so it may be done until there is something to see.
fn only_looks(commands: &[String]) -> bool {
    let looks = [" show ", " list", " devices ", " device ", " verification ", "why "];
    commands.iter().all(|command| looks.iter().any(|word| command.contains(word)))
}

/// A device as the page starts it.
fn runner(center: &Center, folder: &Path, command: &str) -> DeviceRunner {
    let words: Vec<&str> = command.split_whitespace().collect();
    let option =
        |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1).copied());
    let mut script = match option("--script") {
        Some(file) => std::fs::read_to_string(folder.join(file)).unwrap().parse().unwrap(),
        None => Script::default(),
    };
    if let Some((name, version)) = option("--component").and_then(|component| component.split_once(':')) {
        script.components.push((name.into(), version.into()));
    }
    assert_eq!(option("--server"), Some("127.0.0.1:1883"), "the center's usual address");
    let [pk, ps, dk] =
        ["--product-key", "--product-secret", "--device-key"].map(|name| option(name).expect(name));
    DeviceRunner::new(center.mqtt, pk, ps, dk, script)
}

#[test]
fn the_page_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate.md");
    let blocks = blocks(&std::fs::read_to_string(page).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (first, rest) = blocks.split_first().unwrap();
    assert_eq!(first.commands, ["quecota-center serve"]);
    // It announces its two addresses, or this fails; the page's ports may be taken on this machine.
    let center = Center::start(&folder.path().join("quecota-data"));
    let program = Path::new(env!("CARGO_BIN_EXE_quecota-center")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let run = |commands: &[String]| {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &commands.join("\n")]).current_dir(folder.path());
        shell.env("PATH", &path).env("QUECOTA_SERVER", format!("http://{}", center.http));
        shell.env_remove("QUECOTA_TOKEN").stdin(Stdio::null()).output().unwrap()
    };
    let stop = AtomicBool::new(false);
    let mut ran = 0;
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        for block in rest {
            let (devices, commands): (Vec<_>, Vec<_>) = block
                .commands
                .iter()
                .cloned()
                .partition(|command| command.starts_with("cargo run -q -p reference-device"));
            let deadline = Instant::now() + TIMEOUT;
            loop {
                let output = run(&commands);
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                let missing = block.shown.iter().find(|line| !is_shown(&said, line));
                if output.status.success() && missing.is_none() {
                    break;
                }
                let again = only_looks(&commands) && Instant::now() < deadline;
                assert!(
                    again,
                    "docs/operate.md, line {}: {missing:?} is not in\n{said}\n{error}",
                    block.line
                );
                std::thread::sleep(Duration::from_millis(100));
            }
            ran += commands.len() + devices.len();
            for device in devices {
                let mut runner = runner(&center, folder.path(), &device);
                let stop = &stop;
                scope.spawn(move || {
                    let deadline = Instant::now() + Duration::from_secs(300);
                    runner.run(&Until { deadline, stop, upgrades: None })
                });
            }
        }
    });
    assert!(ran >= 20, "{ran} commands: is it the page?");
    println!("{ran} commands of docs/operate.md did what it says");
}

/// Ends the devices with the test, be it by a panic.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_line_is_shown_only_if_its_words_stand_in_one_line_and_in_order() {
    let output = "id:   1\nDEVICE  STATE\n8600  Not Upgraded  the device refused";
    assert!(is_shown(output, "id: 1") && is_shown(output, "8600 ... refused"));
    assert!(
        !is_shown(output, "id: 2") && !is_shown(output, "refused 8600") && !is_shown(output, "id: STATE")
    );
}
