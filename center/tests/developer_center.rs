//! docs/developer-center.md: its rows name tests that exist, and its table of a plan's life is the one in the code.

#[path = "../../testing/platform/tests/page/mod.rs"]
mod page;

use quecota_center::rules::plan::{Actor, PlanEvent, PlanState, TRANSITIONS};

const PAGE: &str = "docs/developer-center.md";

#[test]
fn every_row_names_a_test_that_exists() {
    page::check(PAGE, 60);
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

#[test]
fn the_life_of_a_plan_is_the_one_in_the_code() {
    let text = std::fs::read_to_string(page::root().join(PAGE)).unwrap();
    let (_, rest) = text.split_once("<!-- transitions -->\n").expect("the mark above the table");
    let (table, _) = rest.split_once("<!-- end of transitions -->").expect("the mark below it");
    assert!(table == transitions(), "{PAGE}: the code says\n{}", transitions());
}
