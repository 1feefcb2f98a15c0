//! Flash as docs/journal.md has it, bit by bit, written by an encoder of its own.

use super::*;

/// `docs/journal.md` written down a second time, sharing nothing with the code: a slot of 4096 bytes, granule 16.
pub(super) struct Encoder {
    slot: Vec<u8>,
    sequence: u32,
}

impl Encoder {
    pub(super) fn new(sequence: u32) -> Self {
        Encoder { slot: vec![0xff; 32], sequence }
    }

    pub(super) fn record(mut self, kind: u8, payload: &[u8]) -> Self {
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

    pub(super) fn header(mut self, version: u8, base: u32) -> Vec<u8> {
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

pub(super) fn flash_holding(slots: &[(u32, Vec<u8>)]) -> SimFlash {
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
