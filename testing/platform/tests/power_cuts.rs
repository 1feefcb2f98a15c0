//! Power cuts at every storage operation of whole upgrades. `QUECOTA_CUT=id` replays one case alone. Tests that take more
//! than a minute are ignored unless asked for: `cargo xtask test --long`.

use std::time::Instant;

use quecota_core::platform::{Area, Storage};
use test_platform::flash::{Rot, Unsynced};
use test_platform::hardware::Mutant;
use test_platform::power_loss::{Case, Grain, Sweep, Tally};
use test_platform::report;
use test_platform::scenario::{Device, Scenario, Upgrade};

/// Cases that break are listed up to this many.
const LISTED: usize = 8;

const UPGRADES: [Upgrade; 4] = [Upgrade::Pieces, Upgrade::Whole, Upgrade::Module, Upgrade::Marked];
/// What an erased byte reads as, and the program size.
const SHAPES: [(u8, u32); 8] =
    [(0xFF, 1), (0xFF, 4), (0xFF, 8), (0xFF, 256), (0x00, 1), (0x00, 4), (0x00, 8), (0x00, 256)];

/// `1: 43176 2: 150000`: cases by the number of their cuts.
fn by_depth(tally: &Tally) -> String {
    let cases = tally.cases.iter().zip(1..).filter(|(cases, _)| **cases > 0);
    let words: Vec<String> = cases
        .map(|(cases, depth)| format!("{cases} with {depth} {}", if depth == 1 { "cut" } else { "cuts" }))
        .collect();
    words.join(", ")
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
    report::line(format_args!(
        "power cuts, {what}: {} cases ({}), {} reboots, {} storage operations, {} violations ({seconds:.1} s)",
        tally.all_cases(),
        by_depth(&tally),
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
    report::line(format_args!("power cut {id}: {tally:?}"));
    assert_eq!(outcome, Ok(()));
}

fn one_cut_anywhere(upgrade: Upgrade, shapes: &[(u8, u32)], sweep: &mut Sweep) {
    for (erased, program) in shapes {
        sweep.one_cut(Scenario::new(upgrade, *erased, *program), Grain::BYTES_ALL);
    }
}

#[test]
fn an_upgrade_in_pieces_survives_a_cut_anywhere_on_flash_that_erases_to_ones() {
    expect_whole("MCU in 3 pieces, FF", |sweep| one_cut_anywhere(Upgrade::Pieces, &SHAPES[..4], sweep));
}

#[test]
fn an_upgrade_in_pieces_survives_a_cut_anywhere_on_flash_that_erases_to_zeros() {
    expect_whole("MCU in 3 pieces, 00", |sweep| one_cut_anywhere(Upgrade::Pieces, &SHAPES[4..], sweep));
}

#[test]
fn an_upgrade_in_pieces_with_the_application_s_mark_fetches_at_most_an_interval_again() {
    let shapes = [(0xFF, 4), (0x00, 256)];
    expect_whole("MCU in 3 pieces with marks", |sweep| {
        one_cut_anywhere(Upgrade::Marked, &shapes, sweep);
        sweep.one_cut(Scenario::new(Upgrade::Marked, 0xFF, 1), Grain::MIDDLE_ALL);
        sweep.one_cut(Scenario::new(Upgrade::Marked, 0x00, 8), Grain::MIDDLE_ALL);
    });
}

#[test]
fn an_image_that_staging_holds_survives_a_cut_anywhere() {
    let shapes = [(0xFF, 4), (0x00, 256)];
    expect_whole("MCU from the first start", |sweep| one_cut_anywhere(Upgrade::Whole, &shapes, sweep));
}

#[test]
fn module_firmware_survives_a_cut_anywhere() {
    let shapes = [(0xFF, 8), (0x00, 1), (0xFF, 256)];
    expect_whole("module", |sweep| one_cut_anywhere(Upgrade::Module, &shapes, sweep));
}

#[test]
fn a_module_package_of_several_files_survives_a_cut_anywhere() {
    expect_whole("module package of 3 files", |sweep| {
        sweep.one_cut(Scenario::new(Upgrade::Package, 0xFF, 4), Grain::MIDDLE_ALL);
        sweep.one_cut(Scenario::new(Upgrade::Package, 0x00, 256), Grain::MIDDLE);
    });
}

#[test]
fn a_wrong_byte_is_found_and_fetched_again_whenever_power_goes() {
    expect_whole("MCU image with a wrong byte", |sweep| {
        sweep.one_cut(Scenario::new(Upgrade::Corrupt, 0xFF, 4), Grain::MIDDLE_ALL);
    });
}

#[test]
fn a_boot_loop_ends_with_its_reason_whenever_power_goes() {
    expect_whole("boot loop", |sweep| {
        sweep.one_cut(Scenario::new(Upgrade::Loop, 0xFF, 4), Grain::MIDDLE_ALL);
    });
}

#[test]
fn lives_with_progress_are_no_boot_loop_however_many_they_are() {
    expect_whole("more restarts than a boot loop may have, with progress", |sweep| {
        sweep.one_cut(Scenario::new(Upgrade::Brief, 0xFF, 4), Grain::MIDDLE_ALL);
    });
}

#[test]
fn a_cache_that_loses_or_reorders_what_is_not_synced_does_no_harm() {
    expect_whole("write-back cache", |sweep| {
        for unsynced in [Unsynced::Lost, Unsynced::Scattered(1), Unsynced::Scattered(2)] {
            for upgrade in UPGRADES {
                let scenario = Scenario { unsynced, ..Scenario::new(upgrade, 0xFF, 4) };
                sweep.one_cut(scenario, Grain::MIDDLE_ALL);
            }
        }
    });
}

/// Each planted bug is a build of the device that the same sweep must find broken.
fn expect_caught(planted: Mutant, scenario: Scenario, sweep: impl Fn(&mut Sweep, Scenario)) {
    if is_replay() {
        return;
    }
    let mut found = Sweep::new(1);
    sweep(&mut found, Scenario { planted: Some(planted), ..scenario });
    let Some((id, broken)) = found.broken.first() else {
        panic!("{planted:?} was not found in {:?}", found.tally);
    };
    let cases = found.tally.all_cases();
    report::line(format_args!("planted bug {planted:?} is caught, by case {cases}, {id}: {}", broken.0));
    let case: Case = id.parse().expect("the id of a case");
    let clean = Case { scenario: Scenario { planted: None, ..case.scenario }, ..case };
    assert_eq!(clean.run().0, Ok(()), "without the bug there is none in {}", clean.id());
}

#[test]
fn a_journal_without_crc_is_caught() {
    // It takes a run that begins its slot with copies of all values, so a cut late in the upgrade, and then a cut in
    // the bytes of a header that say where the copies end.
    expect_caught(Mutant::NoCrc, Scenario::new(Upgrade::Pieces, 0x00, 1), |sweep, scenario| {
        sweep.two_cuts(scenario, Grain::MIDDLE, Grain::BYTES);
    });
}

#[test]
fn a_journal_of_one_slot_is_caught() {
    expect_caught(Mutant::OneSlot, Scenario::new(Upgrade::Whole, 0xFF, 4), |sweep, scenario| {
        sweep.two_cuts(scenario, Grain::MIDDLE, Grain::MIDDLE);
    });
}

#[test]
fn progress_before_data_is_caught() {
    let scenario = Scenario { unsynced: Unsynced::Lost, ..Scenario::new(Upgrade::Whole, 0xFF, 4) };
    expect_caught(Mutant::ProgressBeforeData, scenario, |sweep, scenario| {
        sweep.one_cut(scenario, Grain::MIDDLE);
    });
}

#[test]
fn a_record_that_counts_without_a_seal_is_caught() {
    expect_caught(Mutant::NoSeal, Scenario::new(Upgrade::Whole, 0xFF, 4), |sweep, scenario| {
        sweep.one_cut(scenario, Grain::BYTES_ALL);
        if sweep.broken.is_empty() {
            sweep.two_cuts(scenario, Grain::MIDDLE_ALL, Grain::MIDDLE_ALL);
        }
    });
}

#[test]
fn a_mark_before_its_data_is_caught() {
    expect_caught(Mutant::MarkBeforeData, Scenario::new(Upgrade::Marked, 0xFF, 4), |sweep, scenario| {
        sweep.one_cut(scenario, Grain::MIDDLE);
    });
}

#[test]
fn success_before_the_digest_was_checked_is_caught() {
    expect_caught(Mutant::UncheckedDigest, Scenario::new(Upgrade::Corrupt, 0xFF, 4), |sweep, scenario| {
        sweep.one_cut(scenario, Grain::MIDDLE);
    });
}

/// A bit of every `step`th byte of an area flips, another one each time, and each erase block is lost as a whole.
fn rots(device: &Device, area: Area, step: usize) -> Vec<Rot> {
    let bytes = device.flash().bytes(area).len();
    let erase = device.flash().geometry(area).erase as usize;
    let flips = (0..bytes).step_by(step).map(|at| (at, Some(1 << (at / step % 8))));
    let blocks = (0..bytes).step_by(erase).map(|at| (at, None));
    flips.chain(blocks).map(|(at, bits)| Rot { area, offset: at as u32, bits }).collect()
}

fn rot_everywhere(upgrades: &[Upgrade], area: Area, step: usize, sweep: &mut Sweep) {
    for (upgrade, (erased, program)) in upgrades.iter().zip([(0xFF, 4), (0x00, 8), (0xFF, 1), (0x00, 256)]) {
        sweep.rot(Scenario::new(*upgrade, erased, program), 1, |device| rots(device, area, step));
    }
}

#[test]
fn a_staged_byte_that_changes_while_power_is_off_is_never_read() {
    expect_whole("a staged byte changes, sampled, power going before any operation", |sweep| {
        rot_everywhere(&UPGRADES, Area::Image, 401, sweep);
        rot_everywhere(&[Upgrade::Package, Upgrade::Brief], Area::Image, 401, sweep);
    });
}

#[test]
fn every_staged_byte_of_a_small_image_may_change() {
    expect_whole("every byte of the staging area changes", |sweep| {
        for upgrade in [Upgrade::Whole, Upgrade::Module] {
            // Before one operation while nothing is staged, and before one while all is.
            sweep.rot(Scenario::new(upgrade, 0xFF, 4), 56, |device| {
                let is_staged = device.flash().bytes(Area::Image).iter().any(|byte| *byte != 0xFF);
                rots(device, Area::Image, if is_staged { 1 } else { 401 })
            });
        }
    });
}

#[test]
fn a_journal_that_changes_while_power_is_off_leads_to_no_wrong_byte() {
    expect_whole("a byte of the journal changes, power going before any operation", |sweep| {
        rot_everywhere(&UPGRADES, Area::Journal, 127, sweep);
        rot_everywhere(&[Upgrade::Package], Area::Journal, 127, sweep);
    });
}

#[test]
fn every_byte_of_the_journal_may_change() {
    expect_whole("every byte of the journal changes, power going before each 83rd operation", |sweep| {
        for (upgrade, (erased, program)) in
            UPGRADES.into_iter().zip([(0xFF, 4), (0x00, 8), (0xFF, 1), (0x00, 256)])
        {
            sweep.rot(Scenario::new(upgrade, erased, program), 83, |device| rots(device, Area::Journal, 1));
        }
    });
}

#[test]
fn trust_in_the_journal_s_offset_is_caught() {
    for upgrade in [Upgrade::Whole, Upgrade::Module, Upgrade::Marked, Upgrade::Package] {
        expect_caught(Mutant::TrustedOffset, Scenario::new(upgrade, 0xFF, 4), |sweep, scenario| {
            sweep.rot(scenario, 1, |device| rots(device, Area::Image, 401));
        });
    }
}

#[test]
fn two_cuts_in_an_upgrade_with_marks_do_no_more_harm_than_one() {
    expect_whole("MCU in 3 pieces with marks, every pair of operations", |sweep| {
        sweep.two_cuts(Scenario::new(Upgrade::Marked, 0xFF, 4), Grain::MIDDLE, Grain::MIDDLE);
    });
}

#[test]
fn two_cuts_in_an_upgrade_in_pieces_do_no_more_harm_than_one() {
    expect_whole("MCU in 3 pieces, every pair of operations", |sweep| {
        sweep.two_cuts(Scenario::new(Upgrade::Pieces, 0xFF, 4), Grain::MIDDLE_ALL, Grain::MIDDLE);
    });
}

#[test]
fn two_cuts_in_an_upgrade_from_the_first_start_do_no_more_harm_than_one() {
    expect_whole("MCU from the first start, every pair of operations", |sweep| {
        sweep.two_cuts(Scenario::new(Upgrade::Whole, 0x00, 8), Grain::MIDDLE_ALL, Grain::MIDDLE);
    });
}

#[test]
fn two_cuts_in_a_module_upgrade_do_no_more_harm_than_one() {
    expect_whole("module, every pair of operations", |sweep| {
        sweep.two_cuts(Scenario::new(Upgrade::Module, 0xFF, 1), Grain::MIDDLE_ALL, Grain::MIDDLE);
    });
}

fn many_cuts(seeds: std::ops::Range<u64>, sweep: &mut Sweep) {
    for seed in seeds {
        let upgrade = UPGRADES[seed as usize % 4];
        let program = [1, 4, 8, 256][seed as usize / 3 % 4];
        let erased = [0xFF, 0x00][seed as usize / 12 % 2];
        let unsynced = [Unsynced::Kept, Unsynced::Lost, Unsynced::Scattered(seed)][seed as usize / 24 % 3];
        sweep.seeded(Scenario { unsynced, ..Scenario::new(upgrade, erased, program) }, seed, 12);
    }
}

/// Every upgrade in a world of its own, with power that goes up to twice.
fn bad_worlds(seeds: std::ops::Range<u64>, sweep: &mut Sweep) {
    for seed in seeds {
        let upgrade = UPGRADES[seed as usize % 4];
        let (erased, program) = SHAPES[seed as usize / 4 % 8];
        let scenario = Scenario { faults: Some(seed), ..Scenario::new(upgrade, erased, program) };
        sweep.seeded(scenario, seed, 3);
    }
}

fn expect_success_or_a_reason(what: &str, seeds: std::ops::Range<u64>) {
    expect_whole(what, |sweep| {
        bad_worlds(seeds, sweep);
        let Tally { given_up, .. } = sweep.tally;
        report::line(format_args!(
            "faults of the world, {what}: {} upgrades succeeded, {given_up} failed six times with a reason, none with wrong bytes",
            sweep.tally.all_cases() - given_up - sweep.broken.len() as u64,
        ));
        assert!(given_up * 4 < sweep.tally.all_cases(), "most upgrades get through");
    });
}

#[test]
fn upgrades_in_a_bad_world_end_in_success_or_with_a_reason() {
    expect_success_or_a_reason("mixed faults and cuts by seed", 0..4_000);
}

#[test]
#[ignore = "long: minutes to hours, in `cargo xtask test --long`"]
fn a_hundred_thousand_upgrades_in_a_bad_world_end_in_success_or_with_a_reason() {
    for first in (4_000..104_000).step_by(20_000) {
        expect_success_or_a_reason("mixed faults and cuts by seed", first..first + 20_000);
    }
}

#[test]
fn many_cuts_in_one_upgrade_end_in_success() {
    expect_whole("up to 12 cuts by seed", |sweep| many_cuts(0..1_500, sweep));
}

#[test]
#[ignore = "long: minutes to hours, in `cargo xtask test --long`"]
fn two_cuts_on_flash_of_every_shape_do_no_more_harm_than_one() {
    for upgrade in UPGRADES {
        for (erased, program) in SHAPES {
            expect_whole(
                &format!("{upgrade:?}, {erased:02x}/{program}, every pair, every way to tear"),
                |sweep| {
                    let scenario = Scenario::new(upgrade, erased, program);
                    sweep.two_cuts(scenario, Grain::MIDDLE_ALL, Grain::MIDDLE_ALL);
                },
            );
        }
    }
}

#[test]
#[ignore = "long: minutes to hours, in `cargo xtask test --long`"]
fn one_cut_at_every_byte_on_flash_of_every_shape_does_no_harm() {
    for upgrade in UPGRADES {
        expect_whole(&format!("{upgrade:?}, every shape, every byte"), |sweep| {
            one_cut_anywhere(upgrade, &SHAPES, sweep);
        });
    }
}

#[test]
#[ignore = "long: minutes to hours, in `cargo xtask test --long`"]
fn two_cuts_over_a_cache_do_no_more_harm_than_one() {
    for unsynced in [Unsynced::Lost, Unsynced::Scattered(1), Unsynced::Scattered(2)] {
        for upgrade in UPGRADES {
            expect_whole(&format!("{upgrade:?}, {unsynced:?}, every pair of operations"), |sweep| {
                let scenario = Scenario { unsynced, ..Scenario::new(upgrade, 0xFF, 4) };
                sweep.two_cuts(scenario, Grain::MIDDLE, Grain::MIDDLE);
            });
        }
    }
}

#[test]
#[ignore = "long: minutes to hours, in `cargo xtask test --long`"]
fn fifty_thousand_upgrades_with_many_cuts_end_in_success() {
    expect_whole("up to 12 cuts by seed", |sweep| many_cuts(1_500..51_500, sweep));
}
