//! Module packages of several files (id 20): downloaded, verified, staged and handed over whole.

use quecota_core::agent::Failure;
use quecota_core::platform::{Area, StagedFile, Takes};
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, PackageFile, Plan, Records,
};
use test_platform::harness::{Harness, Serve, file, md5_of, plan};

const SIZES: [usize; 3] = [30_000, 4_096, 17_001];
const BLOCK: u32 = 4096;

fn module() -> Plan<'static> {
    Plan { component: "app", source: "FWV1", target: "FWV2", kind: ComponentKind::Module, ..plan() }
}

fn url(index: usize) -> String {
    format!("http://files.example.com:8000/p/{index}?signed=yes")
}

/// A device whose application confirms, and a server with the files of a package.
fn harness() -> Harness {
    let mut harness = Harness::new(16 * BLOCK);
    // No two files have the same bytes.
    let mut all = file(SIZES.iter().sum());
    harness.files =
        SIZES.iter().enumerate().map(|(at, size)| (url(at), all.drain(..*size).collect())).collect();
    confirm(&mut harness);
    harness
}

fn confirm(harness: &mut Harness) {
    harness.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 1).unwrap();
        }
    });
}

fn give_files(harness: &mut Harness) {
    give_files_as(harness, ComponentKind::Module, SIZES.len());
}

fn give_files_as(harness: &mut Harness, kind: ComponentKind, count: usize) {
    let known = harness.files.clone();
    let files: Vec<PackageFile<'_>> = (10u32..)
        .zip(known.iter().cycle().take(count))
        .map(|(index, (url, bytes))| PackageFile { index, url, size: bytes.len() as u32, md5: md5_of(bytes) })
        .collect();
    let Plan { component, source, target, .. } = module();
    let content = Content::Files(Records::of(&files));
    harness.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }));
}

fn expected() -> Vec<StagedFile> {
    let harness = harness();
    let places = [0, 8 * BLOCK, 9 * BLOCK];
    let files = (10u32..).zip(&harness.files).zip(places);
    files
        .map(|((index, (_, bytes)), offset)| StagedFile {
            index,
            offset,
            size: bytes.len() as u32,
            md5: md5_of(bytes),
        })
        .collect()
}

/// What the platform was given is the package, byte for byte, once.
#[track_caller]
fn assert_handed_over(harness: &mut Harness) {
    harness.pass(6_000);
    assert_eq!(harness.applied, [expected()]);
    for (staged, (_, bytes)) in expected().iter().zip(&harness.files) {
        let from = staged.offset as usize;
        assert!(harness.world.flash.bytes(Area::Image)[from..from + bytes.len()] == bytes[..]);
    }
    assert!(harness.world.flash.violations().is_empty());
}

#[test]
fn every_file_is_fetched_verified_and_handed_over_with_its_place() {
    let mut harness = harness();
    harness.connect();
    harness.take_codes();
    harness.offer(module());
    give_files(&mut harness);
    assert_eq!(harness.take_codes(), [10700, 10701, 10702, 10702, 10702, 10703, 10704]);
    assert_eq!(harness.statuses(), [1, 2, 4, 5, 4, 5, 4, 5, 8, 9]);
    let ranges: Vec<_> = harness.ranges.iter().map(|range| (range.start, range.length as usize)).collect();
    assert_eq!(ranges, SIZES.map(|size| (0, size)), "each from its own first byte");
    let progress = harness.agent.ota_progress();
    assert_eq!((progress.received, progress.size), (51_097, 51_097));
    assert_handed_over(&mut harness);
}

#[test]
fn the_module_is_judged_by_its_version_as_with_one_file() {
    let mut harness = harness();
    harness.connect();
    harness.offer(module());
    give_files(&mut harness);
    assert_handed_over(&mut harness);
    harness.world.module_version = "FWV2".into();
    let mut harness = harness.reboot();
    harness.connect();
    harness.pass(1_000);
    assert_eq!(harness.statuses(), [11]);
}

#[test]
fn a_fault_in_any_file_costs_no_byte_that_is_there() {
    for (at, size) in SIZES.into_iter().enumerate() {
        for fault in [Serve::Short(3_000), Serve::Status(404), Serve::ElsewhereBy(1), Serve::Failure] {
            let mut harness = harness();
            harness.serve.extend(std::iter::repeat_n(Serve::Well, at));
            harness.serve.push_back(fault);
            harness.connect();
            harness.offer(module());
            give_files(&mut harness);
            assert_eq!(harness.statuses().last(), Some(&6), "{at} {fault:?}");
            harness.ranges.clear();
            harness.offer_again(module());
            give_files(&mut harness);
            let there = if fault == Serve::Short(3_000) { 3_000 } else { 0 };
            let rest = size - there;
            let first = harness.ranges[0];
            assert_eq!((first.start as usize, first.length as usize), (there, rest), "{at} {fault:?}");
            assert_eq!(harness.ranges.len(), SIZES.len() - at);
            assert_handed_over(&mut harness);
        }
    }
}

#[test]
fn a_file_with_wrong_bytes_comes_again_and_those_before_it_stay() {
    for at in 0..SIZES.len() {
        let mut harness = harness();
        harness.serve.extend(std::iter::repeat_n(Serve::Well, at));
        harness.serve.push_back(Serve::Corrupt);
        harness.connect();
        harness.offer(module());
        give_files(&mut harness);
        assert_eq!(harness.agent.ota_progress().failure, Some(Failure::WrongDigest));
        harness.ranges.clear();
        harness.offer_again(module());
        give_files(&mut harness);
        let ranges: Vec<_> =
            harness.ranges.iter().map(|range| (range.start, range.length as usize)).collect();
        let rest: Vec<_> = SIZES[at..].iter().map(|size| (0, *size)).collect();
        assert_eq!(ranges, rest);
        assert_handed_over(&mut harness);
    }
}

#[test]
fn a_reboot_in_any_file_goes_on_from_its_last_mark() {
    for (at, size) in SIZES.into_iter().enumerate() {
        for stall in [0, 100, 4_000, 16_999, 29_999u32] {
            if stall as usize >= size {
                continue;
            }
            let mut harness = harness();
            harness.serve.extend(std::iter::repeat_n(Serve::Well, at));
            harness.serve.push_back(Serve::Stall(stall));
            harness.connect();
            harness.offer(module());
            give_files(&mut harness);
            let mut harness = harness.reboot();
            confirm(&mut harness);
            harness.connect();
            give_files(&mut harness);
            let first = harness.ranges[0];
            let mark = stall / 16_384 * 16_384;
            assert_eq!((first.start, first.length), (mark, size as u32 - mark), "{at} {stall}");
            assert_eq!(harness.ranges.len(), SIZES.len() - at);
            assert_handed_over(&mut harness);
        }
    }
}

#[test]
fn another_list_begins_anew() {
    let mut harness = harness();
    harness.serve.extend([Serve::Well, Serve::Short(3_000)]);
    harness.connect();
    harness.offer(module());
    give_files(&mut harness);
    harness.files[0].1[0] ^= 1;
    harness.ranges.clear();
    harness.offer_again(module());
    give_files(&mut harness);
    let ranges: Vec<_> = harness.ranges.iter().map(|range| (range.start, range.length as usize)).collect();
    assert_eq!(ranges, SIZES.map(|size| (0, size)));
    harness.pass(6_000);
    assert_eq!(harness.applied[0][0].md5, md5_of(&harness.files[0].1));
}

#[test]
fn a_port_that_takes_one_file_says_so_before_the_first_byte() {
    let mut harness = harness();
    harness.world.takes = Takes::OneFile;
    harness.connect();
    harness.offer(module());
    give_files(&mut harness);
    assert_eq!(harness.agent.ota_progress().failure, Some(Failure::NoPackages));
    assert_eq!((harness.statuses(), harness.ranges.len()), (vec![1, 2, 12], 0));
    assert!(harness.logged(Failure::NoPackages.text()));
    // A list of one file is one file.
    harness.offer(module());
    give_files_as(&mut harness, ComponentKind::Module, 1);
    assert_eq!(harness.statuses().last(), Some(&9));
    harness.pass(6_000);
    assert!(harness.applied.is_empty());
}

#[test]
fn a_package_without_room_and_a_list_for_an_mcu_fail_before_the_first_byte() {
    let mut harness = harness();
    // 30 000 and 4 096 and 17 001 bytes take 8 + 1 + 5 blocks.
    harness.world.free_space = Some(13 * BLOCK);
    harness.connect();
    harness.offer(module());
    give_files(&mut harness);
    assert_eq!(harness.agent.ota_progress().failure, Some(Failure::NoRoom));
    harness.world.free_space = None;
    harness.agent.set_mcu_version(&mut harness.world, "app", "FWV1").unwrap();
    harness.offer(Plan { kind: ComponentKind::Mcu, ..module() });
    give_files_as(&mut harness, ComponentKind::Mcu, 3);
    assert_eq!(harness.agent.ota_progress().failure, Some(Failure::BadInfo));
    assert_eq!(harness.ranges.len(), 0);
}

#[test]
fn a_package_that_is_refused_by_apply_is_a_failure() {
    let mut harness = harness();
    harness.world.applied = quecota_core::platform::Applied::Refused;
    harness.connect();
    harness.offer(module());
    give_files(&mut harness);
    harness.pass(6_000);
    assert_eq!(harness.statuses().last(), Some(&12));
    assert_eq!(harness.agent.ota_progress().failure, Some(Failure::ApplyRefused));
}
