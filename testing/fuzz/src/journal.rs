//! The journal loader: any content of the area is opened, and what is saved then is there after a reboot.

use quecota_core::digest::{Announced, Digests};
use quecota_core::image::{Image, Piece, PlanRequirements};
use quecota_core::journal::{Configuration, Journal, Progress, Report, Reports, Saved};
use quecota_core::platform::{Area, Geometry, Storage};
use quecota_core::text::Text;
use quecota_core::wire::message::ComponentKind;
use test_platform::flash::{Cut, How, SimFlash, Torn};
use test_platform::hardware::believe_everything;

use crate::script::Script;

/// What the input's bytes are, after two that choose the flash.
const OVERWRITE: u8 = 0;

/// A device of which only the journal is there.
struct Device {
    flash: SimFlash,
    journal: Journal,
    /// What this run sees as saved.
    saved: Saved,
}

/// Two bytes choose the flash and whether CRCs are made right; then come orders, one byte each with what they need.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut flash = flash(script.byte());
    let makes_crcs_right = script.byte() & 1 == 1;
    let mut device: Option<Device> = None;
    while let Some(order) = script.next() {
        match (order % 8, device.as_mut()) {
            (OVERWRITE, None) => {
                let (offset, length) = (u32::from(script.word()), usize::from(script.word()));
                let room = flash.geometry(Area::Journal).size.saturating_sub(offset) as usize;
                let bytes = script.take(length);
                flash.overwrite(Area::Journal, offset, &bytes[..bytes.len().min(room)]);
            }
            (_, None) => {
                if makes_crcs_right {
                    believe_everything(&mut flash);
                }
                device = Some(open(flash.clone(), None));
            }
            (OVERWRITE | 1, Some(_)) => device = device.map(|device| open(device.flash, Some(device.saved))),
            (2..=4, Some(device)) => save(device, order, script.byte()),
            (_, Some(running)) => {
                // Power goes within the next save: then the old or the new is there.
                let operation = running.flash.counters().operations + u64::from(script.byte() % 8);
                let bytes = u32::from(script.byte());
                running.flash.cut_at(Cut { operation, how: How::During { bytes, torn: Torn::Unseen } });
                let before = running.saved.clone();
                save(running, 2 + order % 3, script.byte());
                let after = core::mem::replace(&mut running.saved, before);
                let was_off = running.flash.is_off();
                running.flash.reboot();
                let again = open(running.flash.clone(), (!was_off).then(|| after.clone()));
                assert!(again.saved == running.saved || again.saved == after, "neither the old nor the new");
                *running = again;
            }
        }
        if let Some(device) = &device {
            assert_eq!(device.flash.violations(), [], "a rule of flash is broken");
        }
    }
}

fn flash(choice: u8) -> SimFlash {
    let program = [1, 4, 8, 256][usize::from(choice & 3)];
    let erased = if choice & 4 == 0 { 0xFF } else { 0x00 };
    let image = Geometry { size: 256, erase: 256, program: 256, erased };
    let erase = program.max(16);
    let mut journal = Geometry { size: erase, erase, program, erased };
    journal.size = Journal::minimum_size(&journal);
    SimFlash::new(image, journal)
}

/// A reboot. What was saved must be there, when that is known.
fn open(mut flash: SimFlash, wanted: Option<Saved>) -> Device {
    let operations = flash.counters().operations;
    let mut saved = Saved::default();
    let (journal, opening) = Journal::open(&mut flash, &mut saved).expect("any content is taken");
    assert_eq!(flash.counters().operations, operations, "opening writes nothing");
    let mut twice = Saved::default();
    let again = Journal::open(&mut flash, &mut twice).expect("any content is taken").1;
    assert_eq!((again, &twice), (opening, &saved), "the same content, twice");
    if let Some(wanted) = wanted {
        assert_eq!(saved, wanted, "what was saved is there");
    }
    Device { flash, journal, saved }
}

fn save(device: &mut Device, order: u8, number: u8) {
    let Device { flash, journal, saved } = device;
    let result = match order % 8 {
        2 => {
            saved.progress = (number != 0).then(|| progress(number));
            journal.save_progress(flash, saved.progress.as_ref().map(Progress::borrowed))
        }
        3 => {
            saved.configuration = configuration(number);
            journal.save_configuration(flash, &saved.configuration)
        }
        _ => {
            saved.reports = reports(number);
            journal.save_reports(flash, &saved.reports)
        }
    };
    assert!(result.is_ok() || flash.is_off(), "{result:?}");
}

fn progress(number: u8) -> Progress {
    let announced = Announced { md5: Some([number >> 4; 16]), crc32: Some(7), sha256: None };
    let mut digests = Digests::of(&announced);
    digests.update(&vec![number; usize::from(number)]);
    Progress {
        image: Image {
            component: Text::of("STM32").unwrap_or_default(),
            target: Text::of("2_0_0").unwrap_or_default(),
            kind: ComponentKind::Mcu,
            size: 1_000_000,
            announced,
        },
        source: Text::new(),
        requirements: PlanRequirements { battery: 30, signal: -113, space: 1_000_000 },
        wants_sha256: false,
        state: 5,
        attempts: number & 3,
        piece: Piece { start: 0, length: 65536 },
        offset: number.into(),
        digests,
        own: (number & 16 != 0).then_some(digests),
        restarts: number & 7,
        high_water: number.into(),
        auto_confirm: number & 32 != 0,
        listed: number & 15,
        remaining: number & 7,
    }
}

fn configuration(number: u8) -> Configuration {
    Configuration {
        product_key: Text::of("p1abcd").unwrap_or_default(),
        mcu_list: Text::of(&"v".repeat(usize::from(number) * 2)).unwrap_or_default(),
        lifetime: number.into(),
        ..Configuration::default()
    }
}

fn reports(number: u8) -> Reports {
    let mut reports = Reports::new();
    for state in 0..number % 17 {
        // At most sixteen: they fit.
        let _ = reports.push(Report { state, kind: number & 1, ..Report::default() });
    }
    reports
}
