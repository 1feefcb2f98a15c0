//! The staged image over flash that loses power, and over flash that lies.

use proptest::prelude::*;
use quecota_core::digest::{Announced, Digests, Sums};
use quecota_core::ota::staging::{Staged, Staging, StagingError};
use quecota_core::platform::{Area, Geometry, Storage, StorageError};
use test_platform::flash::{Cut, How, SimFlash, Torn, Unsynced};

const EVERYTHING: Announced = Announced { md5: Some([0; 16]), crc32: Some(0), sha256: Some([0; 32]) };

fn flash(geometry: Geometry) -> SimFlash {
    SimFlash::new(geometry, Geometry { size: 16, erase: 16, program: 1, erased: 0xff })
}

fn image(length: u32) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn sums(data: &[u8]) -> Sums {
    let mut digests = Digests::of(&EVERYTHING);
    digests.update(data);
    digests.finish()
}

fn staged(flash: &mut SimFlash, staging: &Staging) -> Vec<u8> {
    let mut bytes = vec![0; staging.written() as usize];
    let mut at = 0;
    while at < bytes.len() {
        let room = (at + 1000).min(bytes.len());
        let read = staging.read(flash, at as u32, &mut bytes[at..room]).unwrap();
        assert!(read > 0, "nothing to read at {at} of {}", room);
        at += read;
    }
    bytes
}

/// Where a device would go on after a reboot.
#[derive(Clone, Copy)]
struct Recorded {
    offset: u32,
    digests: Digests,
}

impl Recorded {
    fn nothing() -> Self {
        Recorded { offset: 0, digests: Digests::of(&EVERYTHING) }
    }
}

/// Stages `data` from what is recorded, in chunks of the given sizes; keeps the record as the agent would.
fn stage(
    flash: &mut SimFlash,
    data: &[u8],
    chunks: &mut impl Iterator<Item = usize>,
    recorded: &mut Recorded,
) -> Result<(Staging, Digests), StagingError> {
    let mut staging = Staging::resume(flash, data.len() as u32, recorded.offset)?;
    assert_eq!(staging.received(), recorded.offset, "a mark is a place to resume at");
    let mut digests = recorded.digests;
    while !staging.is_complete() {
        let rest = &data[staging.received() as usize..];
        let chunk = &rest[..chunks.next().unwrap().clamp(1, rest.len())];
        match staging.write(flash, chunk, &mut digests)? {
            Staged::All => {}
            Staged::Checkpoint(taken) => {
                assert!(taken <= chunk.len());
                assert_eq!(staging.received(), staging.written(), "at a mark nothing waits in the carry");
                staging.sync(flash)?;
                *recorded = Recorded { offset: staging.written(), digests };
            }
            Staged::Complete(taken) => {
                assert!(taken <= chunk.len());
                *recorded = Recorded { offset: staging.written(), digests };
            }
        }
        assert!(
            staging.received() - recorded.offset < staging.checkpoint_interval(),
            "what a cut now would cost"
        );
        assert_eq!(digests.length(), staging.written(), "what is hashed is what is on flash");
    }
    Ok((staging, digests))
}

fn geometries() -> impl Strategy<Value = Geometry> {
    let program = prop::sample::select(vec![1u32, 4, 8, 256]);
    let erase = prop::sample::select(vec![16u32, 256, 4096, 16 * 1024, 64 * 1024]);
    let erased = prop::sample::select(vec![0xffu8, 0x00]);
    (program, erase, erased).prop_map(|(program, erase, erased)| {
        let erase = erase.max(program);
        Geometry { size: 128 * 1024 / erase * erase, erase, program, erased }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_stages_the_same_bytes(
        geometry in geometries(),
        length in 0u32..60_000,
        sizes in prop::collection::vec(1usize..3000, 1..12),
    ) {
        let data = image(length);
        let mut flash = flash(geometry);
        let mut recorded = Recorded::nothing();
        let (staging, digests) = stage(&mut flash, &data, &mut sizes.into_iter().cycle(), &mut recorded).unwrap();
        prop_assert!(staged(&mut flash, &staging) == data);
        prop_assert_eq!(digests.finish(), sums(&data));
        prop_assert_eq!(flash.violations(), &[]);
        // What pads the last unit is erased flash.
        let padding = (length as usize..).take_while(|at| !at.is_multiple_of(geometry.program as usize));
        for at in padding {
            prop_assert_eq!(flash.bytes(Area::Image)[at], geometry.erased);
        }
    }

    #[test]
    fn power_cuts_anywhere_cost_at_most_one_interval(
        geometry in geometries(),
        length in 1u32..60_000,
        size in 1usize..5000,
        cuts in prop::collection::vec((0u64..60, 0u32..5000, 0u64..4), 1..6),
        unsynced in 0u64..4,
    ) {
        let data = image(length);
        let mut flash = flash(geometry);
        flash.set_unsynced(match unsynced {
            0 => Unsynced::Kept,
            1 => Unsynced::Lost,
            seed => Unsynced::Scattered(seed),
        });
        let mut recorded = Recorded::nothing();
        let interval = geometry.erase.max(16 * 1024);
        for (operations, bytes, torn) in &cuts {
            let torn = match torn {
                0 => Torn::Unseen,
                1 => Torn::Unstable,
                seed => Torn::Scattered(*seed),
            };
            let operation = flash.counters().operations + operations;
            flash.cut_at(Cut { operation, how: How::During { bytes: *bytes, torn } });
            let before = recorded.offset;
            let outcome = stage(&mut flash, &data, &mut std::iter::repeat(size), &mut recorded);
            let failed = outcome.is_err();
            prop_assert_eq!(failed, flash.is_off());
            flash.reboot();
            if !failed {
                break;
            }
            // Everything up to the last mark is kept; marks are one interval apart.
            prop_assert!(recorded.offset.is_multiple_of(interval) || recorded.offset == length);
            prop_assert!(recorded.offset >= before);
        }
        let (staging, digests) = stage(&mut flash, &data, &mut std::iter::repeat(size), &mut recorded).unwrap();
        prop_assert!(staged(&mut flash, &staging) == data);
        prop_assert_eq!(digests.finish(), sums(&data));
        prop_assert_eq!(flash.violations(), &[]);
    }
}

#[test]
fn every_offset_resumes_at_the_start_of_its_block_or_at_the_end() {
    for (program, erase) in [(1, 16), (8, 64), (256, 1024)] {
        let geometry = Geometry { size: 8192, erase, program, erased: 0xff };
        let data = image(5000);
        for offset in 0..=data.len() as u32 + 1 {
            let mut flash = flash(geometry);
            let mut staging = Staging::begin(&mut flash, data.len() as u32).unwrap();
            let mut digests = Digests::of(&Announced::default());
            // The run before wrote up to the offset and some bytes more.
            let before = &data[..data.len().min(offset as usize + 700)];
            let _ = staging.write(&mut flash, before, &mut digests).unwrap();

            let mut staging = Staging::resume(&mut flash, data.len() as u32, offset).unwrap();
            let resumed = staging.received();
            let whole = offset >= data.len() as u32;
            assert_eq!(resumed, if whole { data.len() as u32 } else { offset / erase * erase });
            if !whole {
                let rest = &data[resumed as usize..];
                let done = staging.write(&mut flash, rest, &mut digests).unwrap();
                assert_eq!(done, Staged::Complete(rest.len()));
            }
            assert!(staged(&mut flash, &staging) == data, "resumed at {offset}");
            assert_eq!(flash.violations(), []);
        }
    }
}

#[test]
fn pieces_follow_each_other_through_an_area_smaller_than_the_image() {
    let mut flash = flash(Geometry { size: 4096, erase: 1024, program: 8, erased: 0x00 });
    let data = image(10_001);
    let mut digests = Digests::of(&EVERYTHING);
    let mut back = Vec::new();
    for piece in data.chunks(4096) {
        let mut recorded = Recorded::nothing();
        let (staging, _) = stage(&mut flash, piece, &mut std::iter::repeat(999), &mut recorded).unwrap();
        digests.update(piece);
        back.extend(staged(&mut flash, &staging));
    }
    assert!(back == data);
    assert_eq!(digests.finish(), sums(&data));
    assert_eq!(flash.violations(), []);
}

#[test]
fn each_block_is_erased_once_per_pass() {
    let mut flash = flash(Geometry { size: 64 * 1024, erase: 4096, program: 4, erased: 0xff });
    let data = image(50_000);
    let mut recorded = Recorded::nothing();
    stage(&mut flash, &data, &mut std::iter::repeat(1460), &mut recorded).unwrap();
    assert_eq!(flash.counters().blocks_erased, 50_000_u64.div_ceil(4096));
}

#[test]
fn what_does_not_fit_is_refused_with_its_numbers() {
    let mut flash = flash(Geometry { size: 4096, erase: 1024, program: 8, erased: 0xff });
    assert_eq!(
        Staging::begin(&mut flash, 4097),
        Err(StagingError::PieceTooLong { length: 4097, size: 4096 })
    );
    let mut digests = Digests::of(&Announced::default());
    let mut staging = Staging::begin(&mut flash, 10).unwrap();
    // More than the piece: the rest is left to the caller.
    assert_eq!(staging.write(&mut flash, &image(12), &mut digests), Ok(Staged::Complete(10)));
    assert_eq!(
        staging.write(&mut flash, &[1], &mut digests),
        Err(StagingError::Beyond { offset: 10, length: 10 })
    );
    assert_eq!(staging.read(&mut flash, 10, &mut [0; 4]), Ok(0));
    assert_eq!(staging.read(&mut flash, u32::MAX, &mut [0; 4]), Ok(0));
    assert_eq!(staging.read(&mut flash, 8, &mut [0; 4]), Ok(2));
}

/// Flash in which one bit sticks.
struct Stuck(SimFlash, u32);

impl Storage for Stuck {
    fn geometry(&self, area: Area) -> Geometry {
        self.0.geometry(area)
    }
    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.0.read(area, offset, buffer)?;
        if let Some(byte) = self.1.checked_sub(offset).and_then(|at| buffer.get_mut(at as usize)) {
            *byte ^= 1;
        }
        Ok(())
    }
    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        self.0.write(area, offset, data)
    }
    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        self.0.erase(area, offset, length)
    }
    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        self.0.sync(area)
    }
}

#[test]
fn a_bit_that_sticks_is_found_before_it_is_hashed() {
    let flash = flash(Geometry { size: 4096, erase: 1024, program: 8, erased: 0xff });
    let mut stuck = Stuck(flash, 2000);
    let mut digests = Digests::of(&EVERYTHING);
    let mut staging = Staging::begin(&mut stuck, 4096).unwrap();
    assert_eq!(staging.write(&mut stuck, &image(1500), &mut digests), Ok(Staged::All));
    let before = digests;
    let outcome = staging.write(&mut stuck, &image(1000), &mut digests);
    assert!(
        matches!(outcome, Err(StagingError::ReadBack { offset }) if offset <= 2000 && 2000 < offset + 256),
        "{outcome:?}"
    );
    // The unit that waited in the carry was good; nothing from the bad write on is counted.
    assert!(digests.length() < 2000 && digests.length() >= before.length());
}

#[test]
fn a_geometry_that_flash_cannot_have_is_named() {
    struct Odd(Geometry);
    impl Storage for Odd {
        fn geometry(&self, _: Area) -> Geometry {
            self.0
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
    let sound = Geometry { size: 4096, erase: 1024, program: 8, erased: 0xff };
    for (geometry, message) in [
        (
            Geometry { program: 0, ..sound },
            "image area: program size 0; it must be a power of two from 1 to 256",
        ),
        (
            Geometry { program: 512, ..sound },
            "image area: program size 512; it must be a power of two from 1 to 256",
        ),
        (
            Geometry { erase: 0, ..sound },
            "image area: erase size 0; it must be a power of two, at least 16 and the program size",
        ),
        (
            Geometry { size: 4095, ..sound },
            "image area: area of 4095 bytes; it must be a multiple of the erase size and not 0",
        ),
        (
            Geometry { size: 0, ..sound },
            "image area: area of 0 bytes; it must be a multiple of the erase size and not 0",
        ),
        (Geometry { erased: 1, ..sound }, "image area: erased value 0x01; it must be 0xff or 0x00"),
    ] {
        assert_eq!(Staging::begin(&mut Odd(geometry), 1).unwrap_err().to_string(), message);
    }
}
