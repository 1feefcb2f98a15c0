//! The whole agent, seen from outside: what the application is told and what the platform gets.

use quecota_core::agent::WorkState;
use sim::bench::{Bench, plan};

/// An application that upgrades its MCU as the seeds' example does: it confirms inside the plan event, reads the
/// piece inside the piece event, and goes on to the next piece or to the update.
fn upgrade(bench: &mut Bench) -> std::rc::Rc<std::cell::RefCell<Vec<u8>>> {
    let flash = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let written = flash.clone();
    bench.application(move |agent, world, event| match event.code {
        10700 => agent.ota_action(world, 1).expect("confirm inside the plan event"),
        10703 => {
            let quecota_core::agent::EventValue::Text(text) = event.value else {
                panic!("10703 without text")
            };
            let numbers: Vec<u32> =
                text.as_str().split(',').skip(1).map(|field| field.parse().unwrap()).collect();
            let [total, start, length] = numbers[..] else { panic!("{}", text.as_str()) };
            let mut flash = written.borrow_mut();
            flash.truncate(start as usize);
            let mut buffer = [0; 1024];
            while (flash.len() as u32) < start + length {
                let count = agent.read(world, flash.len() as u32, &mut buffer).expect("a read of the piece");
                flash.extend(&buffer[..count]);
            }
            let action = if start + length < total { 2 } else { 3 };
            agent.ota_action(world, action).expect("next piece, or update");
        }
        _ => {}
    });
    flash
}

#[test]
fn an_upgrade_in_pieces_goes_from_plan_to_success() {
    let mut bench = Bench::new(20 * 1024);
    let flash = upgrade(&mut bench);
    bench.agent.set_mcu_version(&mut bench.world, "MCU", "1").unwrap();
    bench.connect();
    assert_eq!(bench.agent.work_state(), WorkState::Subscribed);
    bench.agent.request_plan(&mut bench.world, 0).unwrap();
    bench.run();
    bench.offer(plan());
    bench.give_url(plan());
    assert_eq!(*flash.borrow(), bench.file);
    bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap();
    bench.run();

    let md5: String = sim::bench::md5_of(&bench.file).iter().map(|byte| format!("{byte:02x}")).collect();
    let start = format!("\"MCU\",50000,\"{md5}\",{}", crc32fast::hash(&bench.file));
    let expected = [
        (10700, "\"MCU\",\"1\",\"2\",30,-113,698000"),
        (10701, &start),
        (10702, ""),
        (10703, "\"MCU\",50000,0,20480"),
        (10702, ""),
        (10702, ""),
        (10703, "\"MCU\",50000,20480,20480"),
        (10702, ""),
        (10702, ""),
        (10703, "\"MCU\",50000,40960,9040"),
        (10704, ""),
        (10705, ""),
    ];
    let expected: Vec<(i32, String)> =
        expected.iter().map(|(code, text)| (*code, text.to_string())).collect();
    assert_eq!(bench.take_ota(), expected);
    assert_eq!(bench.statuses(), [1, 2, 4, 5, 8, 4, 5, 8, 4, 5, 8, 9, 11]);
    assert!(bench.world.flash.violations().is_empty());
}
