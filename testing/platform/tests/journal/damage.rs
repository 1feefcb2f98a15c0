//! Flash that wears out, is dead, or holds what nobody wrote.

use super::format::{Encoder, flash_holding};
use super::*;

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
    journal.save_progress(&mut flash, Some(progress(5, 16384).borrowed())).unwrap();
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
