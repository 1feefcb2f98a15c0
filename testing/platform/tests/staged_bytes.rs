//! What was staged before a restart is read back before anything of it is offered, fetched on or handed over.

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{Agent, EventValue, Failure};
use quecota_core::platform::{Area, Level, Range};
use quecota_core::wire::event::PieceEvent;
use quecota_core::wire::message::{ComponentKind, Plan};
use test_platform::flash::Rot;
use test_platform::harness::{Harness, Serve, URL, file, plan};
use test_platform::mock_platform::{Asked, MockPlatform};

/// Bytes of the image area.
const STAGING: u32 = 64 * 1024;

fn module_plan() -> Plan<'static> {
    Plan { component: "app", source: "FWV1", target: "FWV2", kind: ComponentKind::Module, ..plan() }
}

/// What an application heard and took.
#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    starts: u32,
}

/// An application that confirms, and appends what it reads; with a 10701 it starts over.
fn appending(harness: &mut Harness) -> Rc<RefCell<Taken>> {
    let taken = Rc::new(RefCell::new(Taken::default()));
    let into = Rc::clone(&taken);
    harness.application(move |agent, world, event| match (event.code, event.value) {
        (10700, _) => agent.ota_action(world, 1).unwrap(),
        (10701, _) => {
            into.borrow_mut().bytes.clear();
            into.borrow_mut().starts += 1;
        }
        (10703, EventValue::Text(text)) => {
            let piece = PieceEvent::parse(text.as_str()).unwrap();
            read(agent, world, piece.start, piece.length, &mut into.borrow_mut().bytes);
            let is_last = piece.start + piece.length == piece.total;
            agent.ota_action(world, if is_last { 3 } else { 2 }).unwrap();
        }
        (10704, _) => agent.set_mcu_version(world, "MCU", "2").unwrap(),
        _ => {}
    });
    taken
}

fn read(agent: &mut Agent<'static>, world: &mut MockPlatform, start: u32, length: u32, into: &mut Vec<u8>) {
    let mut buffer = [0; 1000];
    let mut at = start;
    while at < start + length {
        let count = agent.ota_read(world, at, &mut buffer).unwrap();
        into.extend(&buffer[..count]);
        at += count as u32;
    }
}

/// An MCU image of 50 000 bytes of which 40 000 came when the link broke, and the device restarts.
fn with_a_part_staged(damage: impl FnOnce(&mut MockPlatform)) -> Harness {
    let mut harness = Harness::new(STAGING);
    appending(&mut harness);
    harness.serve.push_back(Serve::Stall(40_000));
    harness.start_upgrade(plan());
    damage(&mut harness.world);
    harness.reboot()
}

/// What happens to the flash while the power is off.
type Damage = Box<dyn FnOnce(&mut MockPlatform)>;

#[test]
fn staged_bytes_that_changed_are_fetched_again_and_never_read() {
    let flip = |offset| {
        move |world: &mut MockPlatform| world.flash.rot(Rot { area: Area::Image, offset, bits: Some(1) })
    };
    let damages: [Damage; 4] = [
        Box::new(flip(100)),
        Box::new(flip(32_767)),
        Box::new(|world| world.flash.rot(Rot { area: Area::Image, offset: 4096, bits: None })),
        Box::new(|world| world.flash.overwrite(Area::Image, 0, &vec![0; STAGING as usize])),
    ];
    for damage in damages {
        let mut harness = with_a_part_staged(damage);
        let taken = appending(&mut harness);
        harness.start_upgrade(plan());
        assert_eq!(
            (harness.agent.ota_progress().state, harness.agent.ota_progress().failure),
            (6, Some(Failure::Damaged))
        );
        assert!(harness.ranges.is_empty(), "nothing was fetched on: {:?}", harness.ranges);
        assert!(taken.borrow().bytes.is_empty(), "nothing was offered");
        assert!(harness.logged("damage in the staged bytes from 0 to 32768"), "{:?}", harness.world.lines);
        assert!(harness.statuses().contains(&6));
        harness.offer_again(plan());
        harness.give_url(plan());
        assert_eq!(harness.ranges, [Range { start: 0, length: 50_000 }]);
        assert_eq!(taken.borrow().bytes, harness.file);
        assert_eq!(harness.statuses().last(), Some(&11));
    }
}

#[test]
fn staged_bytes_that_are_whole_are_kept() {
    let mut harness = with_a_part_staged(|_| {});
    let taken = appending(&mut harness);
    harness.start_upgrade(plan());
    assert_eq!(harness.ranges, [Range { start: 32_768, length: 50_000 - 32_768 }]);
    assert_eq!(taken.borrow().bytes, harness.file);
    assert!(!harness.statuses().contains(&6));
}

#[test]
fn a_proof_takes_many_short_polls_and_asks_the_server_for_nothing_until_its_end() {
    let mut harness = with_a_part_staged(|_| {});
    appending(&mut harness);
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    harness.connect();
    harness.offer(plan());
    harness.receive_url(plan(), URL);
    let mut polls = 0;
    while harness.agent.poll(&mut harness.world).0 == 0 && polls < 50 {
        // Flash is slow; the server, which was not asked yet, is not late.
        harness.world.now += 5_000;
        polls += 1;
        let is_asked = harness.world.asked.iter().any(|asked| matches!(asked, Asked::Fetch { .. }));
        assert!(!is_asked || polls >= 32_768 / 4096, "asked in poll {polls}");
    }
    assert!(polls >= 32_768 / 4096, "{polls} polls");
    assert_eq!(harness.agent.ota_progress().state, 4);
}

#[test]
fn a_verified_module_image_that_changed_before_it_was_handed_over_is_not_handed_over() {
    let mut harness = Harness::new(STAGING);
    appending(&mut harness);
    harness.start_upgrade(module_plan());
    assert_eq!(harness.agent.ota_progress().state, 9);
    harness.world.flash.rot(Rot { area: Area::Image, offset: 49_999, bits: Some(0x80) });
    let mut harness = harness.reboot();
    appending(&mut harness);
    harness.start_upgrade(module_plan());
    assert_eq!(
        (harness.agent.ota_progress().state, harness.agent.ota_progress().failure),
        (6, Some(Failure::Damaged))
    );
    harness.offer_again(module_plan());
    harness.give_url(module_plan());
    assert_eq!(harness.agent.ota_progress().state, 9);
    assert_eq!(harness.world.flash.bytes(Area::Image)[..50_000], harness.file[..]);
}

#[test]
fn an_application_that_appends_starts_over_when_the_image_begins_again() {
    // The last of five pieces of the image comes wrong.
    let mut harness = Harness::new(STAGING);
    harness.file = file(300_001);
    harness.serve.extend([Serve::Well, Serve::Well, Serve::Well, Serve::Well, Serve::Corrupt]);
    let taken = appending(&mut harness);
    harness.start_upgrade(plan());
    assert_eq!(
        (harness.agent.ota_progress().state, harness.agent.ota_progress().failure),
        (6, Some(Failure::WrongDigest))
    );
    assert_eq!(taken.borrow().bytes.len(), 4 * STAGING as usize);
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!(taken.borrow().bytes.len(), 300_001);
    assert_eq!(taken.borrow().bytes, harness.file);
    assert_eq!(taken.borrow().starts, 2, "the image that begins again is announced by a 10701");
    assert_eq!(harness.statuses().last(), Some(&11));
}

#[test]
fn a_target_that_is_reported_while_pieces_are_missing_is_a_success_with_a_warning() {
    const WARNING: &str = "the target version was reported while pieces of the image were missing";
    for (size, is_warned) in [(300_001, true), (50_000, false)] {
        let mut harness = Harness::new(STAGING);
        harness.file = file(size);
        harness.application(|agent, world, event| match event.code {
            10700 => agent.ota_action(world, 1).unwrap(),
            10703 => agent.set_mcu_version(world, "MCU", "2").unwrap(),
            _ => {}
        });
        harness.start_upgrade(plan());
        assert_eq!(harness.statuses().last(), Some(&11));
        assert_eq!(harness.world.lines.contains(&(Level::Warn, WARNING.into())), is_warned, "{size}");
    }
}
