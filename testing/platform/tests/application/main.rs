//! What a native application can say to the agent beyond the calls of the vendor's API, and what that changes.

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{Agent, CallError, Event, EventValue, Failure, Resume};
use quecota_core::limits::RESTARTS;
use quecota_core::platform::{Applied, Range};
use quecota_core::wire::message::{ComponentKind, Downlink, Plan, PlanNotify, Plans, Records};
use test_platform::harness::{Harness, Serve, plan};
use test_platform::mock_platform::{Asked, MockPlatform};

/// The MCU's flash, as the application fills it. Survives what the module does not.
type Flash = Rc<RefCell<Vec<u8>>>;

/// What an application does with a piece once it has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Next piece, or update.
    GoOn,
    /// Nothing.
    Stop,
}

fn state(harness: &Harness) -> u8 {
    harness.agent.ota_progress().state
}

fn failure(harness: &Harness) -> Option<Failure> {
    harness.agent.ota_progress().failure
}

/// Start and end of a 10703, and the end of the file.
fn piece(event: &Event) -> (u32, u32, u32) {
    let EventValue::Text(text) = event.value else { panic!("10703 without text") };
    let numbers: Vec<u32> = text.as_str().split(',').skip(1).map(|field| field.parse().unwrap()).collect();
    let [total, start, length] = numbers[..] else { panic!("{}", text.as_str()) };
    (start, start + length, total)
}

/// Confirms, writes each piece to `flash` where 10703 says, up to `until`, and marks each `step` bytes and each end.
fn marking(harness: &mut Harness, flash: &Flash, step: u32, until: u32, after: After) {
    let flash = flash.clone();
    harness.application(move |agent: &mut Agent<'static>, world: &mut MockPlatform, event| {
        match event.code {
            10700 => agent.ota_action(world, 1).expect("confirm inside the plan event"),
            10703 if event.value != EventValue::None => {
                let mut flash = flash.borrow_mut();
                let (mut at, end, total) = piece(event);
                assert!(at as usize <= flash.len(), "a piece from {at} behind what the MCU has");
                flash.truncate(at as usize);
                let mut buffer = [0; 500];
                while at < end.min(until) {
                    let room = (end.min(until) - at).min(500) as usize;
                    let count = agent.ota_read(world, at, &mut buffer[..room]).expect("a read of the piece");
                    flash.extend(&buffer[..count]);
                    at += count as u32;
                    if at == end || at == until || at.is_multiple_of(step) {
                        agent.ota_checkpoint(world, at).expect("a mark");
                        assert_eq!(agent.ota_get_checkpoint(), at);
                    }
                }
                if after == After::GoOn && at == end {
                    agent.ota_action(world, if end == total { 3 } else { 2 }).expect("next piece, or update");
                }
            }
            _ => {}
        }
    });
}

mod marks;

fn module_plan() -> Plan<'static> {
    Plan { component: "app", source: "FWV1", target: "FWV2", kind: ComponentKind::Module, ..plan() }
}

/// Confirms and does nothing more.
fn confirming(harness: &mut Harness) {
    harness.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 1).unwrap();
        }
    });
}

/// Confirms, reads, goes on; as the seeds' example.
fn upgrading(harness: &mut Harness) {
    let read = Flash::default();
    harness.application(move |agent, world, event| match event.code {
        10700 => agent.ota_action(world, 1).unwrap(),
        10703 if event.value != EventValue::None => {
            let (start, end, total) = piece(event);
            read.borrow_mut().resize((end - start) as usize, 0);
            agent.ota_read(world, start, &mut read.borrow_mut()).expect("a read");
            agent.ota_action(world, if end == total { 3 } else { 2 }).expect("next piece, or update");
        }
        _ => {}
    });
}

/// A device that rests in this state; the events up to there are taken.
fn resting_in(wanted: u8, plan: Plan<'static>) -> Harness {
    let mut harness = Harness::new(64 * 1024);
    match wanted {
        1 => {}
        9 => upgrading(&mut harness),
        _ => confirming(&mut harness),
    }
    let fault = match wanted {
        4 => Serve::Silence,
        5 => Serve::Stall(20_000),
        6 => Serve::Status(404),
        _ => Serve::Well,
    };
    harness.serve.push_back(fault);
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    harness.connect();
    harness.offer(plan);
    if wanted > 2 {
        harness.give_url(plan);
    }
    assert_eq!(state(&harness), wanted);
    harness.take_codes();
    harness
}

fn asked_to_apply(harness: &mut Harness) -> bool {
    let asked = harness.world.asked.contains(&Asked::Apply(50_000));
    harness.run();
    asked
}

mod cancelling;

mod holding;

mod slow;

mod boot_loops;

mod after_a_reboot;

mod worlds_that_change;

mod reports;
