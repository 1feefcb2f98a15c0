//! Every way through an upgrade that a bound of steps allows, breadth first: once over the machine alone, with its
//! timers to the millisecond and every row of the table, and once over the whole agent, with every answer that an
//! application can give inside an event.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use quecota_core::image::Piece;
use quecota_core::journal::Progress;
use quecota_core::ota::table::{EXHAUSTED, TABLE};
use quecota_core::ota::{Effect, Failure, Following, Input, Offer, OtaEvent, Row, State, Timer};
use quecota_core::platform::Range;
use quecota_core::wire::message::{ComponentKind, Plan};
use test_platform::report;

/// What the application was told of the present upgrade. 10700, then 10701, then 10703, then 10704, then the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
enum Heard {
    #[default]
    Nothing,
    Plan,
    Start,
    Staged,
    Updating,
}

impl Heard {
    /// What is heard after this code. `None`: it is out of order.
    fn and(self, code: i32) -> Option<Self> {
        use Heard::*;
        match (code, self) {
            // Again while nobody answered, and for another version after a failed download.
            (10700, Nothing | Plan | Start | Staged) => Some(Plan),
            (10707, Plan) => Some(Plan),
            (10701, Plan | Start | Staged) => Some(Start),
            (10702, Start | Staged) => Some(Start),
            (10703, Start) => Some(Staged),
            (10704, Staged) => Some(Updating),
            (10705 | 10706, Plan | Start | Staged | Updating) => Some(Nothing),
            _ => None,
        }
    }
}

mod machine;

#[test]
fn every_row_is_taken_and_no_state_is_a_trap() {
    /// Where it is fewer, steps are not tried any more, or states are taken for one another.
    const STATES: usize = 754_055;
    let (nodes, steps, findings) = machine::walk().unwrap_or_else(|wrong| panic!("{wrong}"));
    for row in TABLE.iter().chain([&EXHAUSTED]) {
        assert!(findings.rows.contains(&(row as *const Row)), "never taken: {row:?}");
    }
    report::line(format_args!(
        "model of the machine: {nodes} states, {steps} steps, {} transitions, all {} rows, 0 violations",
        findings.transitions.len(),
        TABLE.len() + 1
    ));
    assert!(nodes >= STATES, "{nodes} states, and it was {STATES}: is that still all of the machine?");
}

mod agent;

#[test]
fn no_sequence_of_inputs_and_answers_breaks_the_agent() {
    /// Steps away from each station of an upgrade.
    const DEPTH: usize = 2;
    let (lives, steps) = agent::walk(DEPTH).unwrap_or_else(|wrong| panic!("{wrong}"));
    report::line(format_args!(
        "model of the agent: {lives} states, {steps} steps, {DEPTH} from each station, 0 violations"
    ));
    assert!(lives > 100, "{lives} states: is it the agent?");
}
