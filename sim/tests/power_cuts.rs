//! Power cuts at every storage operation of whole upgrades. `QUECOTA_CUT=id` replays one case alone.

use std::io::Write;
use std::time::Instant;

use sim::board::Planted;
use sim::cuts::{Case, Grain, Scenario, Sweep, Upgrade};
use sim::flash::Unsynced;

/// Cases that break are listed up to this many.
const LISTED: usize = 8;

/// Past the test harness, which keeps what a passing test prints.
fn say(line: std::fmt::Arguments<'_>) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "power cuts: {line}");
}

fn is_replay() -> bool {
    std::env::var_os("QUECOTA_CUT").is_some()
}

fn expect_whole(what: &str, sweep: impl FnOnce(&mut Sweep)) {
    if is_replay() {
        return;
    }
    let start = Instant::now();
    let mut done = Sweep::new(LISTED);
    sweep(&mut done);
    let (tally, seconds) = (done.tally, start.elapsed().as_secs_f32());
    say(format_args!(
        "{what}: {} cases, {} reboots, {} operations, {} violations ({seconds:.1} s)",
        tally.cases,
        tally.reboots,
        tally.operations,
        done.broken.len(),
    ));
    let list: Vec<String> = done.broken.iter().map(|(id, broken)| format!("{id}: {}", broken.0)).collect();
    assert!(list.is_empty(), "replay with QUECOTA_CUT=ID\n{}", list.join("\n"));
}

#[test]
fn one_case_is_replayed_alone() {
    let Ok(id) = std::env::var("QUECOTA_CUT") else { return };
    let case: Case = id.parse().expect("QUECOTA_CUT is the id of a case");
    assert_eq!(case.id(), id);
    let (outcome, tally) = case.run();
    say(format_args!("{id}: {tally:?}"));
    assert_eq!(outcome, Ok(()));
}

#[test]
fn an_upgrade_in_pieces_survives_a_cut_anywhere() {
    expect_whole("MCU in 3 pieces, one cut", |sweep| {
        for erased in [0xFF, 0x00] {
            for program in [1, 4, 8, 256] {
                sweep.one_cut(Scenario::new(Upgrade::Pieces, erased, program), Grain::Bytes);
            }
        }
    });
}

#[test]
fn an_upgrade_in_pieces_with_the_application_s_mark_fetches_at_most_an_interval_again() {
    expect_whole("MCU in 3 pieces with marks, one cut", |sweep| {
        sweep.one_cut(Scenario::new(Upgrade::Marked, 0xFF, 4), Grain::Bytes);
        sweep.one_cut(Scenario::new(Upgrade::Marked, 0x00, 256), Grain::Middle);
    });
}

#[test]
fn an_image_that_staging_holds_survives_a_cut_anywhere() {
    expect_whole("MCU from the first start, one cut", |sweep| {
        for (erased, program) in [(0xFF, 4), (0x00, 256)] {
            sweep.one_cut(Scenario::new(Upgrade::Whole, erased, program), Grain::Bytes);
        }
    });
}

#[test]
fn module_firmware_survives_a_cut_anywhere() {
    expect_whole("module, one cut", |sweep| {
        for (erased, program) in [(0xFF, 8), (0x00, 1)] {
            sweep.one_cut(Scenario::new(Upgrade::Module, erased, program), Grain::Bytes);
        }
    });
}

#[test]
fn a_cache_that_loses_or_reorders_what_is_not_synced_does_no_harm() {
    expect_whole("write-back cache, one cut", |sweep| {
        for unsynced in [Unsynced::Lost, Unsynced::Scattered(1), Unsynced::Scattered(2)] {
            for upgrade in [Upgrade::Pieces, Upgrade::Whole, Upgrade::Module] {
                let scenario = Scenario { unsynced, ..Scenario::new(upgrade, 0xFF, 4) };
                sweep.one_cut(scenario, Grain::Middle);
            }
        }
    });
}

/// Each planted bug is a build of the device that the same sweep must find broken.
fn expect_caught(planted: Planted, scenario: Scenario, sweep: impl Fn(&mut Sweep, Scenario)) {
    if is_replay() {
        return;
    }
    let mut found = Sweep::new(1);
    sweep(&mut found, Scenario { planted: Some(planted), ..scenario });
    let Some((id, broken)) = found.broken.first() else {
        panic!("{planted:?} was not found in {:?}", found.tally);
    };
    say(format_args!("{planted:?} is caught after {} cases: {id}: {}", found.tally.cases, broken.0));
    let mut clean = Sweep::new(1);
    sweep(&mut clean, scenario);
    assert!(clean.broken.is_empty(), "without the bug there is none: {:?}", clean.broken);
}

#[test]
fn a_journal_without_crc_is_caught() {
    // Every byte of a run that begins its slot with copies of all values: after a cut late in the upgrade. A header
    // that is cut off in the bytes that say where its copies end makes some of them disappear.
    expect_caught(Planted::NoCrc, Scenario::new(Upgrade::Pieces, 0x00, 1), |sweep, scenario| {
        sweep.two_cuts(scenario, 240, 6, Grain::Bytes);
    });
}

#[test]
fn a_journal_of_one_slot_is_caught() {
    expect_caught(Planted::OneSlot, Scenario::new(Upgrade::Whole, 0xFF, 4), |sweep, scenario| {
        sweep.two_cuts(scenario, 0, 70, Grain::Middle);
    });
}

#[test]
fn progress_before_data_is_caught() {
    let scenario = Scenario { unsynced: Unsynced::Lost, ..Scenario::new(Upgrade::Whole, 0xFF, 4) };
    expect_caught(Planted::ProgressBeforeData, scenario, |sweep, scenario| {
        sweep.one_cut(scenario, Grain::Middle);
    });
}

#[test]
fn two_cuts_in_one_upgrade_do_no_more_harm_than_one() {
    expect_whole("two cuts", |sweep| {
        sweep.two_cuts(Scenario::new(Upgrade::Pieces, 0xFF, 4), 0, 40, Grain::Middle);
        sweep.two_cuts(Scenario::new(Upgrade::Marked, 0xFF, 4), 0, 80, Grain::Middle);
        sweep.two_cuts(Scenario::new(Upgrade::Whole, 0x00, 8), 0, 40, Grain::Middle);
        sweep.two_cuts(Scenario::new(Upgrade::Module, 0xFF, 1), 0, 40, Grain::Middle);
    });
}

#[test]
fn many_cuts_in_one_upgrade_end_in_success() {
    expect_whole("up to 12 cuts by seed", |sweep| {
        for seed in 0..1500 {
            let upgrade =
                [Upgrade::Pieces, Upgrade::Whole, Upgrade::Module, Upgrade::Marked][seed as usize % 4];
            let program = [1, 4, 8, 256][seed as usize / 3 % 4];
            let erased = [0xFF, 0x00][seed as usize / 12 % 2];
            let unsynced =
                [Unsynced::Kept, Unsynced::Lost, Unsynced::Scattered(seed)][seed as usize / 24 % 3];
            sweep.seeded(Scenario { unsynced, ..Scenario::new(upgrade, erased, program) }, seed, 12);
        }
    });
}
