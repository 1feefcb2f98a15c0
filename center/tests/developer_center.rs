//! docs/developer-center.md: its rows name tests that exist, and its tables of a plan's life cycle and of a component's
//! states are made from the code. `RENEW_DOCS=1` writes these tables into the page.

#[path = "../../testing/platform/tests/page/mod.rs"]
mod page;

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

#[test]
fn what_is_installed_has_no_symbols() {
    let manifest = std::fs::read_to_string(page::root().join("Cargo.toml")).unwrap();
    for profile in ["[profile.release]\nstrip = \"symbols\"\n", "[profile.symbols]\ninherits = \"release\"\n"]
    {
        assert!(manifest.contains(profile), "{profile}");
    }
    let (_, symbols) = manifest.split_once("[profile.symbols]\n").unwrap();
    assert!(symbols.split("\n[").next().unwrap().contains("strip = \"none\""), "{symbols}");
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
