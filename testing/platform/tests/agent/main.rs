//! The whole agent, seen from outside: what the application is told and what the platform and the server get.

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{
    Agent, CallError, Dialect, Event, EventValue, Failure, FetchEnd, Flow, Link, Mode, WorkState,
};
use quecota_core::ota::timer;
use quecota_core::platform::{Applied, Area, Qos, Range};
use quecota_core::wire::credential::Password;
use quecota_core::wire::frame::PacketId;
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, Ids, Notice, Plan, PlanNotify, Plans, Provision, Records,
    StatusEvent,
};
use test_platform::harness::{DEVICE_SECRET, Harness, PRODUCT_SECRET, SERVER, Serve, md5_of, plan};
use test_platform::mock_platform::{Asked, MockPlatform, Refuses};

/// Numbers behind the component of a 10703.
fn piece(event: &Event) -> (u32, u32, u32) {
    let EventValue::Text(text) = event.value else { panic!("10703 without text") };
    let numbers: Vec<u32> = text.as_str().split(',').skip(1).map(|field| field.parse().unwrap()).collect();
    let [total, start, length] = numbers[..] else { panic!("{}", text.as_str()) };
    (total, start, length)
}

fn read_piece(
    agent: &mut Agent<'static>,
    world: &mut MockPlatform,
    event: &Event,
    flash: &mut Vec<u8>,
) -> bool {
    let (total, start, length) = piece(event);
    flash.truncate(start as usize);
    let mut buffer = [0; 1024];
    while (flash.len() as u32) < start + length {
        let count = agent.ota_read(world, flash.len() as u32, &mut buffer).expect("a read of the piece");
        flash.extend(&buffer[..count]);
    }
    start + length >= total
}

/// An application that upgrades its MCU as the seeds' example does: it confirms inside the plan event, reads the
/// piece inside the piece event, and goes on to the next piece or to the update.
fn upgrade(harness: &mut Harness) -> Rc<RefCell<Vec<u8>>> {
    let flash = Rc::new(RefCell::new(Vec::new()));
    let written = flash.clone();
    harness.application(move |agent, world, event| match event.code {
        10700 => agent.ota_action(world, 1).expect("confirm inside the plan event"),
        10703 if event.value != EventValue::None => {
            let last = read_piece(agent, world, event, &mut written.borrow_mut());
            agent.ota_action(world, if last { 3 } else { 2 }).expect("next piece, or update");
        }
        _ => {}
    });
    flash
}

/// One that confirms and then does nothing.
fn confirm(harness: &mut Harness) {
    harness.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 1).unwrap();
        }
    });
}

fn module_plan() -> Plan<'static> {
    Plan { component: "app", source: "FWV1", target: "FWV2", kind: ComponentKind::Module, ..plan() }
}

fn state(harness: &Harness) -> u8 {
    harness.agent.ota_progress().state
}

fn failure(harness: &Harness) -> Option<Failure> {
    harness.agent.ota_progress().failure
}

mod upgrades;

mod downloads;

mod timers;

mod modules;

mod reboots;

mod packets;

mod sessions;

#[test]
fn the_agent_is_small() {
    let size = size_of::<Agent<'_>>();
    assert!(size <= 8 * 1024, "{size} bytes");
    println!("size_of::<Agent>() = {size}");
}
