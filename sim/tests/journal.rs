//! The journal over flash that loses power.

use quecota_core::ota::digest::{Announced, Digests};
use quecota_core::ota::journal::{
    Configuration, Image, Journal, Opening, Outcome, Piece, Progress, Report, Saved,
};
use quecota_core::platform::Geometry;
use quecota_core::text::Text;
use sim::flash::SimFlash;

const PROGRAM_SIZES: [u32; 4] = [1, 4, 8, 256];
const ERASED_VALUES: [u8; 2] = [0xff, 0x00];

fn journal_area(program: u32, erased: u8) -> Geometry {
    Geometry { size: 2 * 4096, erase: 4096, program, erased }
}

fn flash(program: u32, erased: u8) -> SimFlash {
    let image = Geometry { size: 64 * 1024, erase: 4096, program, erased };
    SimFlash::new(image, journal_area(program, erased))
}

fn open(flash: &mut SimFlash) -> (Journal, Opening, Saved) {
    let mut saved = Saved::default();
    let (journal, opening) = Journal::open(flash, &mut saved).expect("a journal that opens");
    (journal, opening, saved)
}

fn configuration(number: u8) -> Configuration {
    let text = "v".repeat(usize::from(number) % 200);
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
        kind: 1,
        size: 1_000_000,
        announced,
    };
    let mut digests = Digests::of(&announced);
    digests.update(&vec![target; offset as usize % 5000]);
    Progress {
        image,
        wants_sha256: false,
        state: 5,
        attempts: 0,
        piece: Piece { start: 0, length: 65536 },
        offset,
        digests,
    }
}

fn report(state: u8) -> Report {
    Report { state, kind: 1, component: Text::of("STM32").unwrap(), ..Report::default() }
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
    for _ in 0..2 {
        let before = flash.counters();
        assert_eq!(journal.save_configuration(&mut flash, &configuration(1)), Ok(Outcome::Unchanged));
        assert_eq!(journal.save_progress(&mut flash, Some(&progress(1, 200))), Ok(Outcome::Unchanged));
        assert_eq!(journal.save_reports(&mut flash, &Default::default()), Ok(Outcome::Unchanged));
        assert_eq!(flash.counters(), before);
        journal = open(&mut flash).0;
    }
}
