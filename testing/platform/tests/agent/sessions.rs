use super::*;

#[test]
fn a_bootstrap_stores_the_secret_and_the_next_start_logs_in() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    assert_eq!(harness.take_session(), [(1, 10200), (2, 10200), (3, 10200)]);
    let Password::Bootstrap(bootstrap) = Password::parse(&harness.passwords[0]).unwrap() else { panic!() };
    assert_eq!(bootstrap.open(PRODUCT_SECRET).unwrap().as_str(), "860000000000001");
    let mut harness = harness.reboot();
    harness.connect();
    assert_eq!(harness.take_session(), [(2, 10200), (3, 10200)]);
    let Password::Login(login) = Password::parse(&harness.passwords[0]).unwrap() else { panic!() };
    assert_eq!(login.verify(PRODUCT_SECRET, DEVICE_SECRET), Ok(()));
}

#[test]
fn encrypted_sessions_upgrade_too_and_take_nothing_in_the_clear() {
    let mut harness = Harness::new(20 * 1024);
    let flash = upgrade(&mut harness);
    harness.agent.set_session_encryption(true).unwrap();
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
    let mut buffer = [0; 256];
    let notify = Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan()) });
    let length = notify.emit_frame(PacketId::new(999).unwrap(), &mut buffer).unwrap();
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();
    harness.send_raw(&buffer[..length]);
    assert_eq!(state(&harness), 0);
    assert!(harness.logged("not encrypted as agreed"));
}

#[test]
fn nothing_leaves_in_the_clear_that_was_to_be_encrypted() {
    let mut harness = Harness::new(64 * 1024);
    harness.agent.set_session_encryption(true).unwrap();
    harness.gives_key = false;
    harness.connect();
    harness.pass(59_999);
    assert!(harness.packets.is_empty());
    harness.gives_key = true;
    harness.pass(10_000);
    assert_eq!(harness.commands(), [0x0044, 0x0034], "without a key it connects again");
}

#[test]
fn a_secret_that_never_comes_is_not_waited_for_for_ever() {
    let mut harness = Harness::new(64 * 1024);
    harness.gives_secret = false;
    harness.connect();
    assert_eq!(harness.agent.work_state(), WorkState::Authenticating);
    assert_eq!(harness.agent.ota_request(0), Err(CallError::Offline));
    harness.pass(60_000);
    assert_eq!(harness.take_session(), [(1, 10500)]);
    assert_eq!(harness.agent.work_state(), WorkState::AuthenticateFailed);
    harness.gives_secret = true;
    harness.pass(3_000);
    assert_eq!(harness.agent.work_state(), WorkState::Subscribed);
}

#[test]
fn only_a_wrong_signature_costs_the_secret_and_bootstrap_follows_by_itself() {
    for (code, event, stays) in
        [(1, 10471, true), (2, 10430, true), (3, 10474, true), (4, 10430, false), (5, 10430, true)]
    {
        let mut harness = Harness::new(64 * 1024);
        harness.connect();
        let mut harness = harness.reboot();
        harness.connack.push_back(Link::Refused(code));
        harness.connect();
        assert_eq!(harness.take_session(), [(2, event)], "CONNACK {code}");
        assert_eq!(harness.agent.work_state(), WorkState::ConnectFailed);
        assert_eq!(harness.agent.device().1 == DEVICE_SECRET, stays);
        harness.pass(13 * 60_000);
        assert_eq!(harness.agent.work_state(), WorkState::Subscribed);
        assert_eq!(harness.passwords[1].starts_with('1'), stays);
    }
}

#[test]
fn retries_back_off_by_doubling_and_a_platform_that_returns_is_found_within_minutes() {
    let mut harness = Harness::new(64 * 1024);
    harness.reachable = false;
    harness.connect();
    harness.pass(70_000);
    let after_a_minute = harness.passwords.len();
    assert!((5..=7).contains(&after_a_minute), "{after_a_minute} tries in the first minute");
    harness.pass(4 * 60 * 60_000);
    let after_hours = harness.passwords.len() - after_a_minute;
    assert!((18..=30).contains(&after_hours), "{after_hours} more tries in four hours");
    harness.reachable = true;
    harness.pass(13 * 60_000);
    assert_eq!(harness.agent.work_state(), WorkState::Subscribed);
}

#[test]
fn a_broker_that_closes_after_each_suback_is_tried_more_and_more_seldom() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    let end = harness.world.now + 60 * 60_000;
    while harness.world.now < end {
        if harness.agent.work_state() == WorkState::Subscribed {
            harness.lose_link();
        }
        harness.pass(100);
    }
    let connects = harness.passwords.len();
    assert!((10..=16).contains(&connects), "{connects} connections in an hour");
}

#[test]
fn two_devices_with_one_key_come_to_rest() {
    let mut devices = [Harness::new(64 * 1024), Harness::new(64 * 1024)];
    devices[1].world.random = 8;
    for minute in 0..180 {
        for _ in 0..600 {
            for which in [0, 1] {
                let before = devices[which].passwords.len();
                if minute == 0 && before == 0 {
                    devices[which].connect();
                }
                devices[which].pass(100);
                if devices[which].passwords.len() > before {
                    devices[1 - which].lose_link();
                }
            }
        }
    }
    let connects = devices.each_ref().map(|device| device.passwords.len());
    assert!(connects.iter().sum::<usize>() < 120, "{connects:?} connections in three hours");
}

#[test]
fn the_retry_delay_begins_anew_once_a_link_has_lasted_a_minute() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    for _ in 0..5 {
        harness.lose_link();
        harness.pass(60_000);
        assert!(harness.agent.work_state() == WorkState::Subscribed, "at most 16 s and a quarter");
    }
    harness.pass(60_000);
    harness.lose_link();
    let before = harness.passwords.len();
    harness.pass(3_000);
    assert_eq!(harness.passwords.len(), before + 1);
}

#[test]
fn a_link_that_breaks_is_told_and_made_again() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.take_session();
    harness.lose_link();
    assert_eq!(harness.take_session(), [(2, 10474)]);
    assert_eq!(harness.agent.ota_request(0), Err(CallError::Offline));
    harness.pass(3_000);
    assert_eq!(harness.take_session(), [(2, 10200), (3, 10200)]);
}

#[test]
fn idle_leaves_and_stays_away() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.take_session();
    assert_eq!(harness.agent.set_product(&mut harness.world, "p", "s"), Err(CallError::NotIdle));
    harness.agent.set_mode(&mut harness.world, Mode::Idle).unwrap();
    harness.pass(60 * 60_000);
    assert_eq!(harness.take_session(), [(6, 10200)]);
    assert_eq!((harness.agent.work_state(), harness.passwords.len()), (WorkState::Disconnected, 1));
    harness.connect();
    assert_eq!(harness.take_session(), [(2, 10200), (3, 10200)]);
}

#[test]
fn the_same_product_set_again_keeps_the_secret_and_another_does_not() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    let mut harness = harness.reboot();
    assert_eq!(harness.agent.device().1, DEVICE_SECRET);
    harness.agent.set_product(&mut harness.world, "p2", "another-product-secret").unwrap();
    assert_eq!(harness.agent.device().1, "");
    assert_eq!(harness.agent.set_product(&mut harness.world, "", "x"), Err(CallError::Value));
    assert_eq!(harness.agent.set_product(&mut harness.world, &"x".repeat(33), "x"), Err(CallError::Value));
}

#[test]
fn notices_of_the_platform_are_told_and_bad_ones_end_the_connection() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.take_session();
    let notice = |code| Downlink::Notice(Notice { code, packet: None, product_key: "", device_key: "" });
    harness.send(&notice(10428));
    assert_eq!(harness.take_session(), [(8, 10428)]);
    assert_eq!(harness.agent.work_state(), WorkState::Subscribed);
    harness.send(&notice(10423));
    assert_eq!(harness.take_session(), [(1, 10423)]);
    assert_eq!(harness.agent.work_state(), WorkState::AuthenticateFailed);
}

#[test]
fn another_secret_or_server_makes_the_device_come_again() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.take_session();
    let dns = quecota_core::wire::message::Dns { domain: "new.example.com", ip: "", port: Some(1884) };
    let provision = Provision { dns: Some(dns), new_device_secret: "fresh", ..Provision::default() };
    harness.send(&Downlink::Provision(provision));
    assert_eq!(harness.take_session(), [(2, 10475)]);
    harness.pass(3_000);
    assert_eq!(harness.take_session(), [(2, 10200), (3, 10200)]);
    assert_eq!(harness.agent.server(), "mqtt://new.example.com:1884");
    let harness = harness.reboot();
    assert_eq!((harness.agent.server(), harness.agent.device().1), ("mqtt://new.example.com:1884", "fresh"));
}

#[test]
fn incomplete_configuration_does_not_connect() {
    let mut world = MockPlatform::new(64 * 1024);
    let mut agent = Agent::new(Box::leak(vec![0; 2048].into_boxed_slice()));
    agent.start(&mut world);
    assert_eq!(agent.set_mode(&mut world, Mode::Request), Err(CallError::Incomplete));
    assert_eq!(agent.mode(), Mode::Idle);
}
