//! The journal over flash that loses power.
//!
//! What a reboot may find: after a save that returned, exactly what the run then saw; a save that was cut off adds its
//! value as a second possibility, until the next save that returns.

use proptest::prelude::*;
use quecota_core::digest::{Announced, Digests};
use quecota_core::image::{Image, Piece, PlanRequirements};
use quecota_core::journal::{
    Configuration, Journal, JournalError, Opening, Outcome, Progress, Report, Reports, Saved,
};
use quecota_core::platform::{Area, Geometry, GeometryError, Storage, StorageError};
use quecota_core::text::Text;
use quecota_core::wire::message::ComponentKind;
use test_platform::flash::{Cut, How, Operation, SimFlash, Torn, Unsynced};

mod damage;
mod format;

const PROGRAM_SIZES: [u32; 4] = [1, 4, 8, 256];
const ERASED_VALUES: [u8; 2] = [0xff, 0x00];

/// An image area that no test here uses.
const NO_IMAGE: Geometry = Geometry { size: 256, erase: 256, program: 256, erased: 0xff };

/// The smallest journal that is allowed: it changes its slot every few saves.
fn smallest(program: u32, erased: u8) -> SimFlash {
    let erase = program.max(16);
    let mut area = Geometry { size: erase, erase, program, erased };
    area.size = Journal::minimum_size(&area);
    SimFlash::new(NO_IMAGE, area)
}

fn flash(program: u32, erased: u8) -> SimFlash {
    SimFlash::new(NO_IMAGE, Geometry { size: 2 * 4096, erase: 4096, program, erased })
}

fn open(flash: &mut SimFlash) -> (Journal, Opening, Saved) {
    let mut saved = Saved::default();
    let (journal, opening) = Journal::open(flash, &mut saved).expect("a journal that opens");
    (journal, opening, saved)
}

fn configuration(number: u8) -> Configuration {
    let text = "v".repeat(usize::from(number) * 7 % 200);
    Configuration {
        product_key: Text::of("p1abcd").unwrap(),
        product_secret: Text::of("MTIzNDU2Nzg5MGFi").unwrap(),
        device_secret: Text::of(&format!("{number:032x}")).unwrap(),
        server: Text::of("mqtt://127.0.0.1:1883").unwrap(),
        mcu_list: Text::of(&format!("STM32:{text}")).unwrap(),
        lifetime: u16::from(number),
        session_encryption: number % 2 == 1,
        ..Configuration::default()
    }
}

fn progress(target: u8, offset: u32) -> Progress {
    let announced = Announced { md5: Some([target; 16]), crc32: Some(7), sha256: None };
    let image = Image {
        component: Text::of("STM32").unwrap(),
        target: Text::of(&format!("2_0_{target}")).unwrap(),
        kind: ComponentKind::Mcu,
        size: 1_000_000,
        announced,
    };
    let mut digests = Digests::of(&announced);
    digests.update(&vec![target; offset as usize % 5000]);
    Progress {
        image,
        source: Text::of("1_0_0").unwrap(),
        requirements: PlanRequirements { battery: 30, signal: -113, space: 1_000_000 },
        wants_sha256: false,
        auto_confirm: false,
        state: 5,
        attempts: 0,
        piece: Piece { start: 0, length: 65536 },
        offset,
        digests,
        own: None,
        restarts: 0,
        high_water: offset,
        listed: 3,
        remaining: 2,
    }
}

fn report(state: u8) -> Report {
    Report { state, kind: 1, component: Text::of("STM32").unwrap(), ..Report::default() }
}

/// One call of the journal.
#[derive(Debug, Clone)]
enum Save {
    Configuration(Box<Configuration>),
    Progress(Box<Option<Progress>>),
    Reports(Box<Reports>),
}

impl Save {
    fn configuration(number: u8) -> Self {
        Save::Configuration(Box::new(configuration(number)))
    }

    fn progress(target: u8, offset: u32) -> Self {
        Save::Progress(Box::new(Some(progress(target, offset))))
    }

    fn reports(states: &[u8]) -> Self {
        let mut reports = Reports::new();
        for state in states {
            reports.push(report(*state)).unwrap();
        }
        Save::Reports(Box::new(reports))
    }

    fn run(&self, journal: &mut Journal, flash: &mut SimFlash) -> Result<Outcome, JournalError> {
        match self {
            Save::Configuration(value) => journal.save_configuration(flash, value),
            Save::Progress(value) => {
                journal.save_progress(flash, value.as_ref().as_ref().map(Progress::borrowed))
            }
            Save::Reports(value) => journal.save_reports(flash, value),
        }
    }

    fn put(&self, into: &mut Saved) {
        match self {
            Save::Configuration(value) => into.configuration = (**value).clone(),
            Save::Progress(value) => into.progress = **value,
            Save::Reports(value) => into.reports = (**value).clone(),
        }
    }
}

/// Saves of one upgrade, with enough of everything to change slots several times.
fn upgrade() -> Vec<Save> {
    let mut saves = vec![Save::configuration(1), Save::reports(&[1]), Save::progress(1, 0)];
    for i in 1..8 {
        saves.push(Save::progress(1, i * 16384));
        if i % 3 == 0 {
            saves.push(Save::configuration(i as u8));
        }
    }
    saves.extend([Save::reports(&[1, 2, 4, 5]), Save::progress(1, 131_072), Save::reports(&[])]);
    saves.extend([Save::progress(2, 0), Save::configuration(200), Save::progress(2, 16384)]);
    saves.extend([Save::Progress(Box::new(None)), Save::reports(&[11]), Save::configuration(3)]);
    saves
}

/// A device between reboots, and what its next reboot may find.
#[derive(Clone)]
struct Device {
    flash: SimFlash,
    journal: Journal,
    /// As this run sees it.
    view: Saved,
    possible: Vec<Saved>,
}

impl Device {
    fn new(mut flash: SimFlash) -> Self {
        let (journal, opening, view) = open(&mut flash);
        assert_eq!(opening, Opening::Blank);
        let possible = vec![view.clone()];
        Device { flash, journal, view, possible }
    }

    fn save(&mut self, save: &Save) -> Result<(), JournalError> {
        let outcome = save.run(&mut self.journal, &mut self.flash);
        let mut after = self.view.clone();
        save.put(&mut after);
        match outcome {
            Ok(_) => {
                self.possible = vec![after.clone()];
                self.view = after;
            }
            // What an earlier cut left possible stays so, with or without this save.
            Err(_) => {
                let with: Vec<Saved> = self
                    .possible
                    .iter()
                    .cloned()
                    .map(|mut saved| {
                        save.put(&mut saved);
                        saved
                    })
                    .collect();
                self.possible.extend(with);
            }
        }
        outcome.map(|_| ())
    }

    fn reboot(&mut self, case: &dyn std::fmt::Display) {
        self.flash.power_off();
        self.flash.reboot();
        let (journal, _, view) = open(&mut self.flash);
        assert_eq!(self.flash.violations(), [], "{case}: a rule of flash was broken");
        assert!(
            self.possible.contains(&view),
            "{case}: neither old nor new:\n{view:#?}\npossible:\n{:#?}",
            self.possible
        );
        self.journal = journal;
        self.view = view;
    }
}

/// Runs `save` with a cut on a copy of `device` and reboots; then saves something else, and reboots again.
fn survive(device: &Device, save: &Save, cut: Cut, case: &str) -> Device {
    let mut device = device.clone();
    device.flash.cut_at(cut);
    assert!(device.save(save).is_err(), "{case}: the cut did not happen");
    device.flash.set_noise(cut.operation ^ u64::from(case.len() as u32));
    device.reboot(&case);
    let rebooted = device.clone();
    for next in [Save::reports(&[6]), Save::progress(9, 16384)] {
        device.save(&next).unwrap_or_else(|error| panic!("{case}, {next:?} after it: {error}"));
    }
    device.reboot(&format_args!("{case}, and two saves after it"));
    rebooted
}

/// Every operation that `save` performs on a copy of `device`, with its number.
fn operations(device: &Device, save: &Save) -> Vec<(u64, Operation)> {
    let mut device = device.clone();
    let first = device.flash.counters().operations;
    device.flash.start_log();
    device.save(save).expect("nothing is cut");
    (first..).zip(device.flash.operation_log().iter().cloned()).collect()
}

fn length(operation: &Operation) -> u32 {
    match operation {
        Operation::Write(_, _, data) => data.len() as u32,
        Operation::Erase(_, _, length) => *length,
        Operation::Sync(_) => 0,
    }
}

/// Every cut of every save of an upgrade; returns how many.
fn cut_everything(program: u32, erased: u8, mut each: impl FnMut(&Device, &Save, &(u64, Operation), &str)) {
    let mut device = Device::new(smallest(program, erased));
    for (number, save) in upgrade().iter().enumerate() {
        for operation in operations(&device, save) {
            let case =
                format!("program {program}, erased {erased:02x}, save {number}, operation {}", operation.0);
            each(&device, save, &operation, &case);
        }
        device.save(save).unwrap();
        // The first save of a run is another one than those that follow.
        if number % 3 == 2 {
            device.reboot(&"between two saves");
        }
    }
}

#[test]
fn a_cut_before_inside_or_after_any_operation_leaves_the_old_or_the_new() {
    let mut cases = 0u32;
    for program in PROGRAM_SIZES {
        for erased in ERASED_VALUES {
            cut_everything(program, erased, |device, save, (number, operation), case| {
                let mut hows = vec![How::Before, How::After];
                // Every byte of a write; of an erase, whose bytes come in blocks, a sample.
                let step = if matches!(operation, Operation::Erase(..)) { 173 } else { 1 };
                for bytes in (0..length(operation)).step_by(step) {
                    let scattered = Torn::Scattered(u64::from(bytes));
                    for torn in [Torn::Unseen, Torn::Unstable, scattered, Torn::Marginal] {
                        hows.push(How::During { bytes, torn });
                    }
                }
                for how in hows {
                    survive(device, save, Cut { operation: *number, how }, &format!("{case}, {how:?}"));
                    cases += 1;
                }
            });
        }
    }
    println!("{cases} power cuts of the journal");
    assert!(cases > 100_000, "only {cases} cases: the script no longer reaches what it should");
}

#[test]
fn a_second_cut_while_recovering_from_the_first_is_survived() {
    let mut cases = 0u32;
    for (program, erased) in [(1, 0xff), (8, 0x00), (256, 0xff)] {
        cut_everything(program, erased, |device, save, (number, operation), case| {
            for how in sampled(operation) {
                let case = format!("{case}, {how:?}");
                let first = survive(device, save, Cut { operation: *number, how }, &case);
                for next in [Save::configuration(77), Save::progress(1, 99)] {
                    for (number, operation) in operations(&first, &next) {
                        for how in sampled(&operation) {
                            let case = format!("{case}, then operation {number}, {how:?}");
                            survive(&first, &next, Cut { operation: number, how }, &case);
                            cases += 1;
                        }
                    }
                }
            }
        });
    }
    println!("{cases} pairs of power cuts of the journal");
    assert!(cases > 10_000, "only {cases} cases: the script no longer reaches what it should");
}

fn sampled(operation: &Operation) -> Vec<How> {
    let length = length(operation);
    match length {
        0 => vec![How::Before],
        _ => vec![
            How::During { bytes: 0, torn: Torn::Unseen },
            How::During { bytes: length / 2, torn: Torn::Unstable },
            How::During { bytes: length - 1, torn: Torn::Scattered(7) },
            How::During { bytes: 4, torn: Torn::Marginal },
            How::After,
        ],
    }
}

#[test]
fn writes_that_a_cache_loses_or_reorders_leave_the_old_or_the_new() {
    for program in [1, 256] {
        for erased in ERASED_VALUES {
            for seed in 0..12 {
                let unsynced = if seed == 0 { Unsynced::Lost } else { Unsynced::Scattered(seed) };
                cut_everything(program, erased, |device, save, (number, operation), case| {
                    let mut device = device.clone();
                    device.flash.set_unsynced(unsynced);
                    for how in sampled(operation).into_iter().chain([How::Before]) {
                        let case = format!("{case}, {how:?}, {unsynced:?}");
                        survive(&device, save, Cut { operation: *number, how }, &case);
                    }
                });
            }
        }
    }
}

#[test]
fn what_was_saved_is_there_after_a_reboot() {
    for program in PROGRAM_SIZES {
        for erased in ERASED_VALUES {
            let mut flash = flash(program, erased);
            let (mut journal, opening, saved) = open(&mut flash);
            assert_eq!((opening, saved), (Opening::Blank, Saved::default()));
            let mut expected = Saved { configuration: configuration(1), ..Saved::default() };
            expected.reports.push(report(8)).unwrap();
            journal.save_configuration(&mut flash, &expected.configuration).unwrap();
            journal.save_reports(&mut flash, &expected.reports).unwrap();
            for offset in (0..50).map(|i| i * 16384) {
                expected.progress = Some(progress(3, offset));
                journal
                    .save_progress(&mut flash, expected.progress.as_ref().map(Progress::borrowed))
                    .unwrap();
                let (_, opening, saved) = open(&mut flash);
                assert_eq!((opening, saved), (Opening::Restored, expected.clone()));
            }
            assert_eq!(flash.violations(), []);
        }
    }
}

#[test]
fn saving_the_same_again_writes_nothing() {
    let mut flash = flash(8, 0xff);
    let (mut journal, ..) = open(&mut flash);
    assert_eq!(journal.save_progress(&mut flash, None), Ok(Outcome::Unchanged));
    journal.save_configuration(&mut flash, &configuration(1)).unwrap();
    journal.save_progress(&mut flash, Some(progress(1, 100).borrowed())).unwrap();
    journal.save_progress(&mut flash, Some(progress(1, 200).borrowed())).unwrap();
    let before = flash.counters();
    assert_eq!(journal.save_configuration(&mut flash, &configuration(1)), Ok(Outcome::Unchanged));
    assert_eq!(journal.save_progress(&mut flash, Some(progress(1, 200).borrowed())), Ok(Outcome::Unchanged));
    assert_eq!(journal.save_reports(&mut flash, &Default::default()), Ok(Outcome::Unchanged));
    assert_eq!(flash.counters(), before);
}

#[test]
fn only_what_was_saved_last_is_made_sure_after_a_reboot_and_only_once() {
    let mut flash = flash(8, 0xff);
    let (mut journal, ..) = open(&mut flash);
    journal.save_configuration(&mut flash, &configuration(1)).unwrap();
    journal.save_progress(&mut flash, Some(progress(1, 100).borrowed())).unwrap();

    let (mut journal, ..) = open(&mut flash);
    assert_eq!(journal.save_configuration(&mut flash, &configuration(1)), Ok(Outcome::Unchanged));
    assert_eq!(journal.save_progress(&mut flash, Some(progress(1, 100).borrowed())), Ok(Outcome::Written));
    for _ in 0..3 {
        let before = flash.counters();
        let (mut journal, ..) = open(&mut flash);
        assert_eq!(journal.save_configuration(&mut flash, &configuration(1)), Ok(Outcome::Unchanged));
        assert_eq!(
            journal.save_progress(&mut flash, Some(progress(1, 100).borrowed())),
            Ok(Outcome::Unchanged)
        );
        assert_eq!(flash.counters(), before);
    }
}

#[test]
fn an_area_that_is_too_small_is_refused_with_its_minimum() {
    for (program, erase, minimum) in [(1, 16, 4352), (8, 2048, 8192), (256, 256, 6144), (4, 65536, 131_072)] {
        let area = Geometry { size: erase, erase, program, erased: 0xff };
        assert_eq!(Journal::minimum_size(&area), minimum, "program {program}, erase {erase}");
        let mut flash = SimFlash::new(NO_IMAGE, Geometry { size: minimum - erase, ..area });
        let refused = Journal::open(&mut flash, &mut Saved::default()).map(|_| ());
        assert_eq!(refused, Err(JournalError::TooSmall { size: minimum - erase, minimum }));
        let mut flash = SimFlash::new(NO_IMAGE, Geometry { size: minimum, ..area });
        assert_eq!(open(&mut flash).1, Opening::Blank);
    }
}

#[test]
fn the_longest_values_fit_the_smallest_journal() {
    for program in PROGRAM_SIZES {
        let mut flash = smallest(program, 0xff);
        let (mut journal, ..) = open(&mut flash);
        let mut longest = Saved {
            configuration: Configuration {
                product_key: Text::of(&"k".repeat(32)).unwrap(),
                product_secret: Text::of(&"s".repeat(32)).unwrap(),
                device_key: Text::of(&"d".repeat(32)).unwrap(),
                device_secret: Text::of(&"e".repeat(32)).unwrap(),
                hardware_id: Text::of(&"h".repeat(32)).unwrap(),
                server: Text::of(&"u".repeat(64)).unwrap(),
                platform_server: Text::of(&"v".repeat(64)).unwrap(),
                mcu_list: Text::of(&"m".repeat(511)).unwrap(),
                lifetime: 65535,
                session_encryption: true,
                dialect: 1,
            },
            ..Saved::default()
        };
        let mut progress = progress(1, 0);
        progress.image.component = Text::of(&"c".repeat(32)).unwrap();
        progress.source = Text::of(&"f".repeat(64)).unwrap();
        progress.image.target = Text::of(&"t".repeat(64)).unwrap();
        progress.image.announced = Announced { md5: Some([1; 16]), crc32: Some(2), sha256: Some([3; 32]) };
        progress.digests = Digests::of(&progress.image.announced);
        progress.digests.update(&[0; 63]);
        longest.progress = Some(progress);
        let component = progress.image.component;
        while longest.reports.push(Report { component, ..report(5) }).is_ok() {}
        for _ in 0..3 {
            journal.save_configuration(&mut flash, &longest.configuration).unwrap();
            journal.save_progress(&mut flash, longest.progress.as_ref().map(Progress::borrowed)).unwrap();
            journal.save_reports(&mut flash, &longest.reports).unwrap();
            let (reopened, opening, saved) = open(&mut flash);
            assert_eq!((opening, &saved), (Opening::Restored, &longest));
            journal = reopened;
            longest.configuration.lifetime -= 1;
        }
        assert_eq!(flash.violations(), []);
    }
}

#[test]
fn a_megabyte_at_the_usual_interval_wears_as_the_format_page_says() {
    // MD5 and CRC-32 announced, slots of 4 KB; erases per 16 MB.
    for (program, erases) in [(1, 21), (8, 21), (64, 35), (256, 170)] {
        let mut flash = flash(program, 0xff);
        let (mut journal, ..) = open(&mut flash);
        journal.save_configuration(&mut flash, &configuration(1)).unwrap();
        let before = flash.counters().blocks_erased;
        let mut progress = progress(1, 0);
        for offset in (16_384..=16 << 20).step_by(16_384) {
            progress.offset = offset;
            progress.digests.update(&[7; 16_384]);
            journal.save_progress(&mut flash, Some(progress.borrowed())).unwrap();
        }
        let wear = flash.counters().blocks_erased - before;
        assert_eq!(wear, erases, "program {program}");
    }
}
