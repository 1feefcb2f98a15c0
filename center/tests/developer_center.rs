//! docs/developer-center.md: its rows name tests that exist, and its tables of a plan's life cycle and of a component's
//! states are made from the code. `RENEW_DOCS=1` writes these tables into the page.

#[path = "../../testing/platform/tests/page/mod.rs"]
mod page;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use quecota_center::rules::component_fsm::{ComponentInput, Evidence, OtaStatus, Seen, Step, step};
use quecota_center::rules::plan::{Actor, PlanEvent, PlanState, TRANSITIONS};
use quecota_center::rules::progress::ComponentState;

const PAGE: &str = "docs/developer-center.md";

#[test]
fn every_row_names_a_test_that_exists() {
    page::check(PAGE, 60);
}

#[test]
fn every_part_that_may_fail_has_its_test() {
    page::check("docs/scale.md", 15);
}

/// Faults of the list that are a matter of figures: how long a write takes, what waiting offers cost, how many speak at once.
const FIGURES: [u32; 3] = [45, 47, 48];

#[test]
fn every_fault_of_the_list_has_its_row() {
    let text = std::fs::read_to_string(page::root().join(PAGE)).unwrap();
    let (_, faults) = text.split_once("\n## Faults\n").unwrap();
    let number = |line: &str| line.strip_prefix("| ")?.split_once(' ')?.0.parse::<u32>().ok();
    let rows: Vec<u32> = faults.lines().filter_map(number).collect();
    let list: Vec<u32> = (1..=49).filter(|number| !FIGURES.contains(number)).collect();
    assert_eq!(rows, list);
}

/// The sections of a program of 64 bits (ELF): names and contents.
fn sections(program: &[u8]) -> BTreeMap<String, &[u8]> {
    let number = |at: usize, bytes: usize| {
        program[at..at + bytes].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    assert_eq!(&program[..6], b"\x7fELF\x02\x01");
    let heads: Vec<usize> =
        (0..number(0x3C, 2)).map(|each| number(0x28, 8) + each * number(0x3A, 2)).collect();
    let content = |head: usize| {
        let (kind, start, size) = (number(head + 4, 4), number(head + 0x18, 8), number(head + 0x20, 8));
        // What is zero at the start has no bytes in the file.
        if kind == 8 { &[][..] } else { &program[start..start + size] }
    };
    let names = content(heads[number(0x3E, 2)]);
    let name = |head: usize| {
        let name = names[number(head, 4)..].split(|byte| *byte == 0).next().unwrap();
        String::from_utf8(name.to_vec()).unwrap()
    };
    heads.iter().map(|head| (name(*head), content(*head))).collect()
}

/// Installs the package in `folder`, and gives the program.
fn installed(folder: &Path, program: &str, options: &[&str], target: &Path) -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["install", "--offline", "--no-track", "--path", "."]).args(options).current_dir(folder);
    command.arg("--root").arg(root.path()).arg("--target-dir").arg(target).env_remove("CARGO_TARGET_DIR");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(root.path().join("bin").join(program)).unwrap()
}

fn has_symbols(program: &[u8]) -> bool {
    sections(program).keys().any(|name| name == ".symtab" || name.starts_with(".debug_"))
}

/// A small program, installed by the profiles that the center is installed by; the center itself takes some minutes.
#[test]
fn what_is_installed_has_no_symbols() {
    let manifest = std::fs::read_to_string(page::root().join("Cargo.toml")).unwrap();
    let profiles: String = ["[profile.release]\n", "[profile.symbols]\n"]
        .map(|head| {
            let (_, rest) = manifest.split_once(head).unwrap_or_else(|| panic!("{head}"));
            format!("{head}{}\n", rest.split("\n[").next().unwrap())
        })
        .concat();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    let package = "[package]\nname = \"probe\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::write(folder.path().join("Cargo.toml"), format!("{package}{profiles}")).unwrap();
    let program = "fn main() { println!(\"{:?}\", std::env::args().collect::<Vec<_>>()); }";
    std::fs::write(folder.path().join("src/main.rs"), program).unwrap();
    let target = folder.path().join("target");
    let plain = installed(folder.path(), "probe", &[], &target);
    let full = installed(folder.path(), "probe", &["--profile", "symbols"], &target);
    println!("installed: {} bytes; with symbols: {} bytes", plain.len(), full.len());
    assert!(!has_symbols(&plain), "{:?}", sections(&plain).keys());
    assert!(has_symbols(&full), "{:?}", sections(&full).keys());
}

#[test]
#[ignore = "long: builds the center as it is installed"]
fn the_center_is_installed_without_symbols() {
    let (center, target) = (page::root().join("center"), page::root().join("target"));
    let program = installed(&center, "quecota-center", &["--locked"], &target);
    println!("quecota-center as it is installed: {:.1} MB", program.len() as f64 / 1e6);
    assert!(!has_symbols(&program), "{:?}", sections(&program).keys());
    // It was 106 MB with its symbols, a fifth of that without.
    assert!(program.len() < 40_000_000, "{} bytes", program.len());
}

/// The table as the page has it: a row for each state and event, with who causes it and where it leads.
fn transitions() -> String {
    let mut rows: Vec<(PlanState, PlanEvent, Actor, Vec<PlanState>)> = Vec::new();
    for (from, event, actor, to) in TRANSITIONS.iter().copied() {
        match rows.iter_mut().find(|row| (row.0, row.1) == (from, event)) {
            Some(row) => row.3.push(to),
            None => rows.push((from, event, actor, vec![to])),
        }
    }
    let mut table = "| state | event | by | next state |\n| --- | --- | --- | --- |\n".to_owned();
    for (from, event, actor, to) in rows {
        let to: Vec<String> = to.iter().map(|state| capital(state.as_str())).collect();
        let (from, to) = (capital(from.as_str()), to.join(" or "));
        table.push_str(&format!("| {from} | {event} | {actor} | {to} |\n"));
    }
    table
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// Every input of a component, as the page names it.
fn inputs() -> Vec<(String, ComponentInput)> {
    let statuses = OtaStatus::ALL.iter().map(|status| {
        let name = format!("status {} ({})", status.number(), status.text());
        (name, ComponentInput::Status(*status))
    });
    let versions = [
        ("the target version", Seen::Target, Evidence::Report),
        ("the source version", Seen::Source, Evidence::Report),
        ("another version", Seen::Other, Evidence::Report),
        ("the source version, after status 11", Seen::Source, Evidence::Proof),
        ("another version, after status 11", Seen::Other, Evidence::Proof),
    ];
    let versions = versions
        .into_iter()
        .map(|(name, seen, evidence)| (name.to_owned(), ComponentInput::Version(seen, evidence)));
    let silence = ("nothing until the lease runs out".to_owned(), ComponentInput::Silence);
    statuses.chain(versions).chain([silence]).collect()
}

/// What a step does, as the page says it.
fn consequence(taken: Step) -> String {
    match taken {
        Step::Move(state) => title(state.as_str()),
        Step::SendFirmware => "Upgrade Confirmed; the firmware's URL is sent".to_owned(),
        Step::Refuse => "Refused; offered again after the delay of the plan".to_owned(),
        Step::Prove => "the reported version decides; the device is asked for it".to_owned(),
        Step::Done(state) => format!("{}; the next component follows", title(state.as_str())),
        Step::Fail(failure) => {
            format!("{} ({}); tried again or ended", title(failure.state().as_str()), failure.class())
        }
        Step::Restart(_) => "Plan Received; the attempt before it has failed (restarted)".to_owned(),
        Step::Unanswered => "Plan Not Received; offered again later".to_owned(),
        Step::GiveUp => "ends as failed, unless the device is online or the plan is suspended".to_owned(),
        Step::Heartbeat => "no change; the lease begins anew".to_owned(),
        Step::Stray => "logged only".to_owned(),
    }
}

/// A word of the database as a title: `plan_received` is Plan Received.
fn title(word: &str) -> String {
    let words = word.split('_').map(|word| if word == "to" { word.to_owned() } else { capital(word) });
    words.collect::<Vec<_>>().join(" ")
}

/// The component table as the page has it: a row for each input and consequence, with the states that it is the same for.
fn steps() -> String {
    let mut table = "| the device reports | in state | then |\n| --- | --- | --- |\n".to_owned();
    for (name, input) in inputs() {
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        for state in ComponentState::ALL {
            let then = consequence(step(*state, input));
            match rows.iter_mut().find(|row| row.0 == then) {
                Some(row) => row.1.push(title(state.as_str())),
                None => rows.push((then, vec![title(state.as_str())])),
            }
        }
        // The consequence that most states share comes last.
        rows.sort_by_key(|row| row.1.len());
        let last = rows.len() - 1;
        for (index, (then, states)) in rows.into_iter().enumerate() {
            let states = match index {
                0 if last == 0 => "any".to_owned(),
                index if index == last => "any other".to_owned(),
                _ => states.join(", "),
            };
            table.push_str(&format!("| {name} | {states} | {then} |\n"));
        }
    }
    table
}

#[test]
fn the_tables_of_the_page_are_made_from_the_code() {
    page::check_table(PAGE, "transitions", &transitions());
    page::check_table(PAGE, "component steps", &steps());
}
