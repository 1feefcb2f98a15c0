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
            Save::Progress(value) => journal.save_progress(flash, value.as_ref().as_ref()),
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
                journal.save_progress(&mut flash, expected.progress.as_ref()).unwrap();
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
    journal.save_progress(&mut flash, Some(&progress(1, 100))).unwrap();
    journal.save_progress(&mut flash, Some(&progress(1, 200))).unwrap();
    let before = flash.counters();
    assert_eq!(journal.save_configuration(&mut flash, &configuration(1)), Ok(Outcome::Unchanged));
    assert_eq!(journal.save_progress(&mut flash, Some(&progress(1, 200))), Ok(Outcome::Unchanged));
    assert_eq!(journal.save_reports(&mut flash, &Default::default()), Ok(Outcome::Unchanged));
    assert_eq!(flash.counters(), before);
}

#[test]
fn only_what_was_saved_last_is_made_sure_after_a_reboot_and_only_once() {
    let mut flash = flash(8, 0xff);
    let (mut journal, ..) = open(&mut flash);
    journal.save_configuration(&mut flash, &configuration(1)).unwrap();
    journal.save_progress(&mut flash, Some(&progress(1, 100))).unwrap();

    let (mut journal, ..) = open(&mut flash);
    assert_eq!(journal.save_configuration(&mut flash, &configuration(1)), Ok(Outcome::Unchanged));
    assert_eq!(journal.save_progress(&mut flash, Some(&progress(1, 100))), Ok(Outcome::Written));
    for _ in 0..3 {
        let before = flash.counters();
        let (mut journal, ..) = open(&mut flash);
        assert_eq!(journal.save_configuration(&mut flash, &configuration(1)), Ok(Outcome::Unchanged));
        assert_eq!(journal.save_progress(&mut flash, Some(&progress(1, 100))), Ok(Outcome::Unchanged));
        assert_eq!(flash.counters(), before);
    }
}

/// `docs/journal.md` written down a second time, sharing nothing with the code: a slot of 4096 bytes, granule 16.
struct Encoder {
    slot: Vec<u8>,
    sequence: u32,
}

impl Encoder {
    fn new(sequence: u32) -> Self {
        Encoder { slot: vec![0xff; 32], sequence }
    }

    fn record(mut self, kind: u8, payload: &[u8]) -> Self {
        let position = self.slot.len() as u32;
        let mut record = vec![kind, !kind];
        record.extend((payload.len() as u16).to_le_bytes());
        record.extend(payload);
        let covered = [&self.sequence.to_le_bytes()[..], &position.to_le_bytes(), &record].concat();
        record.extend(crc32fast::hash(&covered).to_le_bytes());
        record.resize(record.len().next_multiple_of(16), 0xff);
        self.slot.extend(record);
        self
    }

    fn header(mut self, version: u8, base: u32) -> Vec<u8> {
        let mut header = b"qjnl".to_vec();
        header.extend([version, 4, 0, 0]);
        header.extend(4096u32.to_le_bytes());
        header.extend(self.sequence.to_le_bytes());
        header.extend(base.to_le_bytes());
        header.extend(crc32fast::hash(&header).to_le_bytes());
        self.slot[..header.len()].copy_from_slice(&header);
        self.slot
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

fn configuration_bytes(product_key: &str) -> Vec<u8> {
    let texts = [product_key, "secret", "dk", "ds", "hw", "mqtt://a:1", "mqtt://b:2", "STM32:1"];
    let mut bytes: Vec<u8> = texts.into_iter().flat_map(text).collect();
    bytes.extend([120, 0, 1, 1]);
    bytes
}

fn progress_bytes() -> (Vec<u8>, Vec<u8>) {
    // CRC-32 only: flags 2, length, the CRC so far.
    let mut mark = vec![5, 3];
    for number in [65536u32, 4096, 65600] {
        mark.extend(number.to_le_bytes());
    }
    mark.extend([9, 2, 64, 0, 1, 0, 0x78, 0x56, 0x34, 0x12]);
    // The application's own mark, restarts, and how far it ever came.
    mark.extend([9, 2, 0xFF, 0xFF, 0, 0, 0x21, 0x43, 0x65, 0x87]);
    mark.push(4);
    mark.extend(70_000u32.to_le_bytes());
    // Of a list of three, two are to come.
    mark.extend([3, 2]);
    let mut task = [text("STM32"), text("2_0_0")].concat();
    task.push(1);
    task.extend(100_000u32.to_le_bytes());
    task.extend([1, 2, 0xef, 0xbe, 0xad, 0xde]);
    task.extend(text("1_0_0"));
    task.extend(30u32.to_le_bytes());
    task.extend((-113i32).to_le_bytes());
    task.extend(698_000u32.to_le_bytes());
    (mark, task)
}

fn flash_holding(slots: &[(u32, Vec<u8>)]) -> SimFlash {
    let mut flash = flash(1, 0xff);
    for (start, bytes) in slots {
        flash.overwrite(Area::Journal, *start, bytes);
    }
    flash
}

#[test]
fn flash_as_the_format_page_has_it_is_understood() {
    let (mark, task) = progress_bytes();
    let whole = [&(mark.len() as u16).to_le_bytes()[..], &mark, &task].concat();
    let mut report = vec![1, 8, 1, 1, 3, 0, 0, 0, 1, 0];
    report.extend(text("STM32"));
    let encoder = Encoder::new(7).record(2, &configuration_bytes("p1abcd")).record(3, &whole);
    let base = encoder.slot.len() as u32;
    let slot = encoder.record(1, &[]).record(1, &[]).record(5, &report).record(1, &[]).header(1, base);
    let (_, opening, saved) = open(&mut flash_holding(&[(4096, slot)]));
    assert_eq!(opening, Opening::Restored);
    assert_eq!(saved.configuration.product_key.as_str(), "p1abcd");
    assert_eq!(saved.configuration.mcu_list.as_str(), "STM32:1");
    assert_eq!((saved.configuration.lifetime, saved.configuration.dialect), (120, 1));
    let progress = saved.progress.unwrap();
    assert_eq!(progress.source.as_str(), "1_0_0");
    assert_eq!(progress.requirements, PlanRequirements { battery: 30, signal: -113, space: 698_000 });
    assert_eq!(progress.piece, Piece { start: 65536, length: 4096 });
    assert_eq!((progress.offset, progress.digests.length(), progress.attempts), (65600, 65600, 3));
    assert_eq!(progress.image.announced, Announced { crc32: Some(0xdead_beef), ..Announced::default() });
    assert_eq!(progress.digests.finish().crc32, Some(0x1234_5678));
    let own = progress.own.unwrap();
    assert_eq!((own.length(), own.finish().crc32), (65_535, Some(0x8765_4321)));
    assert_eq!((progress.restarts, progress.high_water), (4, 70_000));
    assert_eq!((progress.listed, progress.remaining), (3, 2));
    let reports: Vec<_> = saved.reports.iter().collect();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].state, reports[0].reason, reports[0].offset), (8, 3, 65536));
}

#[test]
fn the_code_writes_what_the_format_page_says() {
    let mut flash = flash(1, 0xff);
    let (mut journal, ..) = open(&mut flash);
    let mut configuration = configuration(1);
    configuration.mcu_list = Text::of("a:1").unwrap();
    journal.save_configuration(&mut flash, &configuration).unwrap();
    let mut bytes: Vec<u8> = ["p1abcd", "MTIzNDU2Nzg5MGFi", "", "00000000000000000000000000000001", ""]
        .into_iter()
        .chain(["mqtt://127.0.0.1:1883", "", "a:1"])
        .flat_map(text)
        .collect();
    bytes.extend([1, 0, 1, 0]);
    let encoder = Encoder::new(1).record(2, &bytes);
    let base = encoder.slot.len() as u32;
    let slot = encoder.record(1, &[]).record(1, &[]).header(1, base);
    assert_eq!(flash.bytes(Area::Journal)[..slot.len()], slot);
}

#[test]
fn records_and_fields_of_a_later_version_are_passed_over() {
    let mut longer = configuration_bytes("p1abcd");
    longer.extend(b"a field that is not known");
    let encoder = Encoder::new(1).record(0x40, b"a kind that is not known").record(2, &longer);
    let base = encoder.slot.len() as u32;
    let slot = encoder.record(0x41, &[]).record(1, &[]).header(1, base);
    let (_, opening, saved) = open(&mut flash_holding(&[(0, slot)]));
    assert_eq!(opening, Opening::Restored);
    assert_eq!(saved.configuration.product_key.as_str(), "p1abcd");
}

#[test]
fn a_mark_of_an_earlier_version_has_no_list() {
    let (mark, task) = progress_bytes();
    let mark = &mark[..mark.len() - 2];
    let whole = [&(mark.len() as u16).to_le_bytes()[..], mark, &task].concat();
    let encoder = Encoder::new(1).record(3, &whole);
    let base = encoder.slot.len() as u32;
    let slot = encoder.record(1, &[]).record(1, &[]).header(1, base);
    let progress = open(&mut flash_holding(&[(0, slot)])).2.progress.unwrap();
    assert_eq!((progress.high_water, progress.listed, progress.remaining), (70_000, 0, 0));
}

#[test]
fn a_format_of_a_later_version_reads_as_empty_and_is_replaced() {
    let encoder = Encoder::new(41).record(2, &configuration_bytes("p1abcd"));
    let base = encoder.slot.len() as u32;
    let slot = encoder.record(1, &[]).header(2, base);
    let mut flash = flash_holding(&[(0, slot)]);
    let (mut journal, opening, saved) = open(&mut flash);
    assert_eq!((opening, saved), (Opening::Foreign { version: 2 }, Saved::default()));
    journal.save_configuration(&mut flash, &configuration(3)).unwrap();
    let (_, opening, saved) = open(&mut flash);
    assert_eq!((opening, saved.configuration), (Opening::Restored, configuration(3)));
}

#[test]
fn a_valid_record_that_makes_no_sense_costs_only_its_own_value() {
    let encoder = Encoder::new(1).record(2, b"\xff\xff").record(5, &[0]);
    let base = encoder.slot.len() as u32;
    let slot = encoder.record(1, &[]).record(1, &[]).header(1, base);
    let (_, opening, saved) = open(&mut flash_holding(&[(0, slot)]));
    assert_eq!((opening, saved), (Opening::PartlyRestored, Saved::default()));
}

#[test]
fn a_mark_counts_only_for_the_task_that_it_names() {
    let (mark, task) = progress_bytes();
    let whole = [&(mark.len() as u16).to_le_bytes()[..], &mark, &task].concat();
    let encoder = Encoder::new(1).record(3, &whole);
    let crc: [u8; 4] = encoder.slot[32 + 4 + whole.len()..][..4].try_into().unwrap();
    let base = encoder.slot.len() as u32;
    let mut moved = mark.clone();
    moved[0] = 8;
    for (named, state) in [(crc, 8), ([1, 2, 3, 4], 5)] {
        let slot = Encoder::new(1)
            .record(3, &whole)
            .record(1, &[])
            .record(1, &[])
            .record(4, &[&named[..], &moved].concat())
            .record(1, &[])
            .header(1, base);
        let (_, _, saved) = open(&mut flash_holding(&[(0, slot)]));
        assert_eq!(saved.progress.unwrap().state, state);
    }
}

#[test]
fn the_newer_of_two_slots_wins_also_across_the_wrap_of_the_sequence() {
    for (older, newer) in [(1u32, 2u32), (u32::MAX, 0)] {
        let slot = |sequence, key| {
            let encoder = Encoder::new(sequence).record(2, &configuration_bytes(key));
            let base = encoder.slot.len() as u32;
            encoder.record(1, &[]).record(1, &[]).header(1, base)
        };
        for swapped in [0, 4096] {
            let mut flash =
                flash_holding(&[(swapped, slot(older, "old")), (4096 - swapped, slot(newer, "new"))]);
            assert_eq!(open(&mut flash).2.configuration.product_key.as_str(), "new");
        }
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
            journal.save_progress(&mut flash, longest.progress.as_ref()).unwrap();
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
            journal.save_progress(&mut flash, Some(&progress)).unwrap();
        }
        let wear = flash.counters().blocks_erased - before;
        assert_eq!(wear, erases, "program {program}");
    }
}

/// Flash whose writes fail, or do not stick, as told.
struct Worn {
    flash: SimFlash,
    /// Writes from here on in the journal area are ignored.
    dead_from: u32,
    dead_to: u32,
    refuse: bool,
}

impl Storage for Worn {
    fn geometry(&self, area: Area) -> Geometry {
        self.flash.geometry(area)
    }
    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.flash.read(area, offset, buffer)
    }
    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        if self.refuse {
            return Err(StorageError::Full);
        }
        if (self.dead_from..self.dead_to).contains(&offset) {
            return Ok(());
        }
        self.flash.write(area, offset, data)
    }
    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        self.flash.erase(area, offset, length)
    }
    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        self.flash.sync(area)
    }
}

#[test]
fn a_dead_spot_moves_the_journal_to_the_other_slot() {
    let mut worn = Worn { flash: flash(8, 0xff), dead_from: 300, dead_to: 4096, refuse: false };
    let mut saved = Saved::default();
    let (mut journal, _) = Journal::open(&mut worn, &mut saved).unwrap();
    for number in 1..6 {
        journal.save_configuration(&mut worn, &configuration(number)).unwrap();
        Journal::open(&mut worn, &mut saved).unwrap();
        assert_eq!(saved.configuration, configuration(number));
    }
}

#[test]
fn flash_that_is_dead_everywhere_is_an_error() {
    let mut worn = Worn { flash: flash(8, 0xff), dead_from: 0, dead_to: 8192, refuse: false };
    let (mut journal, _) = Journal::open(&mut worn, &mut Saved::default()).unwrap();
    for _ in 0..3 {
        assert_eq!(journal.save_configuration(&mut worn, &configuration(1)), Err(JournalError::ReadBack));
    }
}

#[test]
fn a_save_that_failed_is_made_good_by_the_next() {
    let mut worn = Worn { flash: flash(8, 0xff), dead_from: 0, dead_to: 0, refuse: false };
    let mut saved = Saved::default();
    let (mut journal, _) = Journal::open(&mut worn, &mut saved).unwrap();
    journal.save_configuration(&mut worn, &configuration(1)).unwrap();
    worn.refuse = true;
    assert_eq!(
        journal.save_configuration(&mut worn, &configuration(2)),
        Err(JournalError::Storage(StorageError::Full))
    );
    worn.refuse = false;
    // The old value again: it is there, but only a write makes that certain after the failure.
    assert_eq!(journal.save_configuration(&mut worn, &configuration(1)), Ok(Outcome::Written));
    journal.save_reports(&mut worn, &Reports::new()).unwrap();
    Journal::open(&mut worn, &mut saved).unwrap();
    assert_eq!(saved.configuration, configuration(1));
    assert_eq!(worn.flash.violations(), []);
}

#[test]
fn a_geometry_that_flash_cannot_have_is_refused() {
    struct Odd;
    impl Storage for Odd {
        fn geometry(&self, _: Area) -> Geometry {
            Geometry { size: 8192, erase: 0, program: 1, erased: 0xff }
        }
        fn read(&mut self, _: Area, _: u32, _: &mut [u8]) -> Result<(), StorageError> {
            Err(StorageError::Failed)
        }
        fn write(&mut self, _: Area, _: u32, _: &[u8]) -> Result<(), StorageError> {
            Err(StorageError::Failed)
        }
        fn erase(&mut self, _: Area, _: u32, _: u32) -> Result<(), StorageError> {
            Err(StorageError::Failed)
        }
        fn sync(&mut self, _: Area) -> Result<(), StorageError> {
            Err(StorageError::Failed)
        }
    }
    let refused = Journal::open(&mut Odd, &mut Saved::default()).map(|_| ());
    assert_eq!(refused, Err(JournalError::Geometry(GeometryError::Erase(0))));
}

/// Opens whatever is there, saves, and finds what was saved.
fn works_on(mut flash: SimFlash) {
    let (mut journal, ..) = open(&mut flash);
    journal.save_configuration(&mut flash, &configuration(5)).unwrap();
    journal.save_progress(&mut flash, Some(&progress(5, 16384))).unwrap();
    journal.save_reports(&mut flash, &Reports::new()).unwrap();
    let (_, opening, saved) = open(&mut flash);
    assert_eq!(opening, Opening::Restored);
    assert_eq!(saved.configuration, configuration(5));
    assert_eq!(saved.progress, Some(progress(5, 16384)));
    assert!(saved.reports.is_empty());
    assert_eq!(flash.violations(), []);
}

#[test]
fn flash_of_one_value_is_blank_or_damaged() {
    for erased in ERASED_VALUES {
        for value in [0x00, 0xff, 0x71] {
            let mut flash = flash(4, erased);
            flash.overwrite(Area::Journal, 0, &[value; 8192]);
            let expected = if value == erased { Opening::Blank } else { Opening::Damaged };
            assert_eq!(open(&mut flash.clone()).1, expected);
            works_on(flash);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_content_opens_and_can_be_saved_over(bytes in prop::collection::vec(any::<u8>(), 8192)) {
        let mut flash = flash(8, 0xff);
        flash.overwrite(Area::Journal, 0, &bytes);
        works_on(flash);
    }

    #[test]
    fn any_damage_to_a_journal_opens_and_can_be_saved_over(
        saves in 1usize..20,
        damage in prop::collection::vec((0u32..8192, any::<u8>()), 1..40),
        program in prop::sample::select(PROGRAM_SIZES.to_vec()),
    ) {
        let mut device = Device::new(flash(program, 0xff));
        for save in upgrade().iter().take(saves) {
            device.save(save).unwrap();
        }
        for (at, value) in damage {
            device.flash.overwrite(Area::Journal, at, &[value]);
        }
        works_on(device.flash);
    }

    #[test]
    fn any_payload_with_a_valid_checksum_opens_and_can_be_saved_over(
        records in prop::collection::vec((0u8..7, prop::collection::vec(any::<u8>(), 0..200)), 1..10),
        base in 1u32..5,
    ) {
        let mut encoder = Encoder::new(3);
        for (kind, payload) in &records {
            encoder = encoder.record(*kind, payload);
        }
        works_on(flash_holding(&[(0, encoder.header(1, base * 32))]));
    }

    #[test]
    fn a_single_flipped_bit_is_never_read_as_a_value(bit in 0usize..8 * 2048, saves in 1usize..8) {
        let mut device = Device::new(flash(1, 0xff));
        let mut seen = vec![device.view.clone()];
        for save in upgrade().iter().take(saves) {
            device.save(save).unwrap();
            seen.push(device.view.clone());
        }
        let old = device.flash.bytes(Area::Journal)[bit / 8];
        device.flash.overwrite(Area::Journal, (bit / 8) as u32, &[old ^ (1 << (bit % 8))]);
        let (_, _, saved) = open(&mut device.flash);
        prop_assert!(seen.iter().any(|seen| seen.configuration == saved.configuration));
        prop_assert!(seen.iter().any(|seen| seen.progress == saved.progress));
        prop_assert!(seen.iter().any(|seen| seen.reports == saved.reports));
    }
}
