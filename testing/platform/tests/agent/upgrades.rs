use super::*;

#[test]
fn an_upgrade_in_pieces_goes_from_plan_to_success() {
    let mut harness = Harness::new(20 * 1024);
    let flash = upgrade(&mut harness);
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    harness.connect();
    assert_eq!(harness.agent.work_state(), WorkState::Subscribed);
    harness.agent.ota_request(0).unwrap();
    harness.run();
    harness.offer(plan());
    harness.give_url(plan());
    assert_eq!(*flash.borrow(), harness.file);
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();

    let md5: String = md5_of(&harness.file).iter().map(|byte| format!("{byte:02x}")).collect();
    let start = format!("\"MCU\",50000,\"{md5}\",{}", crc32fast::hash(&harness.file));
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
    let expected: Vec<_> = expected.iter().map(|(code, text)| (*code, text.to_string())).collect();
    assert_eq!(harness.take_ota(), expected);
    assert_eq!(harness.statuses(), [1, 2, 4, 5, 8, 4, 5, 8, 4, 5, 8, 9, 11]);
    let ranges = [(0, 20_480), (20_480, 20_480), (40_960, 9_040)];
    assert_eq!(harness.ranges, ranges.map(|(start, length)| Range { start, length }));
    assert!(harness.world.flash.violations().is_empty());
    assert_eq!(state(&harness), 0);

    // What the platform got first: info, status, the request, each with its QoS (QUECTHING.md 4.1).
    assert_eq!(harness.commands()[..3], [0x0044, 0x0034, 0x0115]);
    let qos: Vec<_> = harness.packets.iter().map(|packet| packet.qos).collect();
    assert_eq!(qos[..3], [Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
    assert!(qos[3..].iter().all(|qos| *qos == Qos::ExactlyOnce));
    let last = harness.packets.last().unwrap();
    let event = StatusEvent::parse(&last.payload).unwrap();
    assert_eq!((event.versions.module, event.versions.mcu), ("FWV1", "MCU:2"));
}

#[test]
fn sha256_is_asked_for_and_told() {
    use sha2::Digest;
    let mut harness = Harness::new(64 * 1024);
    upgrade(&mut harness);
    harness.connect();
    assert_eq!(harness.agent.ota_request(2), Err(CallError::Value));
    harness.agent.ota_request(1).unwrap();
    harness.offer(plan());
    let two =
        harness.packets.iter().find(|packet| packet.status.as_ref().is_some_and(|(state, _)| *state == 2));
    assert!(StatusEvent::parse(&two.unwrap().payload).unwrap().signature.is_some());
    let sha256: [u8; 32] = sha2::Sha256::digest(&harness.file).into();
    let content = Content::File {
        url: test_platform::harness::URL,
        size: 50_000,
        md5: md5_of(&harness.file),
        crc: crc32fast::hash(&harness.file),
        sha256: Some(sha256),
    };
    let Plan { component, source, target, kind, .. } = plan();
    harness.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }));
    let start = harness.take_ota().into_iter().find(|(code, _)| *code == 10701).unwrap().1;
    assert!(start.ends_with(&format!(",\"{}\"", hex::encode(sha256))), "{start}");
    assert_eq!(state(&harness), 9);
}

#[test]
fn a_refusal_is_reported_and_ends_the_plan() {
    let mut harness = Harness::new(64 * 1024);
    harness.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 0).unwrap();
            assert_eq!(agent.ota_action(world, 1), Err(CallError::State));
        }
    });
    harness.connect();
    harness.offer(plan());
    assert_eq!(harness.statuses(), [1, 3]);
    assert_eq!(harness.take_codes(), [10700]);
    harness.give_url(plan());
    assert!(harness.ranges.is_empty());
    harness.offer(plan());
    assert_eq!(harness.statuses(), [1, 3, 1, 3]);
}

#[test]
fn actions_are_taken_only_in_their_states() {
    let mut harness = Harness::new(32 * 1024);
    confirm(&mut harness);
    let actions = |harness: &mut Harness| -> Vec<bool> {
        (0..5).map(|action| harness.agent.ota_action(&mut harness.world, action).is_ok()).collect()
    };
    assert_eq!(actions(&mut harness), [false; 5]);
    harness.start_upgrade(plan());
    assert_eq!(state(&harness), 8);
    let mut buffer = [0; 100];
    assert_eq!(harness.agent.ota_read(&mut harness.world, 32 * 1024, &mut buffer), Err(CallError::Range));
    // One byte less than the whole piece, from its last byte but 49.
    assert_eq!(harness.agent.ota_read(&mut harness.world, 32 * 1024 - 50, &mut buffer), Ok(50));
    assert_eq!(buffer[..50], harness.file[32 * 1024 - 50..32 * 1024]);
    assert_eq!(harness.agent.ota_action(&mut harness.world, 3), Err(CallError::State), "more is to come");
    assert_eq!(harness.agent.ota_action(&mut harness.world, 2), Ok(()));
    harness.run();
    assert_eq!(harness.agent.ota_read(&mut harness.world, 0, &mut buffer), Err(CallError::Range));
    assert_eq!(
        harness.agent.ota_action(&mut harness.world, 2),
        Err(CallError::State),
        "it is the last piece"
    );
    assert_eq!(harness.agent.ota_action(&mut harness.world, 3), Ok(()));
    assert_eq!(harness.agent.ota_action(&mut harness.world, 3), Ok(()), "again in 9");
    assert_eq!(harness.agent.ota_read(&mut harness.world, 32 * 1024, &mut buffer), Err(CallError::State));
}

#[test]
fn a_list_is_answered_once_and_its_components_come_one_after_the_other() {
    for (dialect, answer) in [(Dialect::V2_9, "#0"), (Dialect::V2_10, "1")] {
        let mut harness = Harness::new(64 * 1024);
        upgrade(&mut harness);
        harness.agent.set_dialect(dialect);
        harness.connect();
        let plans = ["A", "B", "C"].map(|component| Plan { component, ..plan() });
        let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
        harness.send(&Downlink::PlanNotify(notify));
        let ota = harness.take_ota();
        let codes: Vec<i32> = ota.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [10700, 10700, 10700, 10707]);
        assert!(ota[0].1.starts_with("\"A\"") && ota[2].1.starts_with("\"C\""));
        assert_eq!(ota[3].1, answer);
        assert_eq!(harness.packets.last().unwrap().status, Some((2, "C".into())));
        for plan in plans {
            harness.give_url(plan);
            harness.agent.set_mcu_version(&mut harness.world, plan.component, "2").unwrap();
            harness.run();
            assert_eq!(harness.take_codes(), [10701, 10702, 10703, 10704, 10705]);
            assert_eq!(harness.packets.last().unwrap().status, Some((11, plan.component.into())));
        }
        harness.give_url(plans[0]);
        assert_eq!(harness.take_codes(), [0i32; 0], "no more than was confirmed");
    }
}

#[test]
fn a_long_list_is_told_whole_though_the_outbox_is_small() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    let names: Vec<String> = (0..20).map(|index| format!("component-{index:02}-{}", "x".repeat(8))).collect();
    let target = "t".repeat(40);
    let plans: Vec<Plan<'_>> =
        names.iter().map(|name| Plan { component: name, target: &target, ..plan() }).collect();
    harness
        .send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) }));
    let told: Vec<String> = harness.take_ota().into_iter().map(|(_, text)| text).collect();
    assert_eq!(told.len(), 20);
    assert!(told.iter().zip(&names).all(|(text, name)| text.starts_with(&format!("\"{name}\""))));
}

#[test]
fn the_old_version_says_nothing_the_target_success_and_a_third_failure() {
    for (version, state_after, code) in [("1", 9, None), ("2", 0, Some(10705)), ("3", 0, Some(10706))] {
        let mut harness = Harness::new(64 * 1024);
        upgrade(&mut harness);
        harness.start_upgrade(plan());
        harness.take_codes();
        harness.agent.set_mcu_version(&mut harness.world, "OTHER", version).unwrap();
        harness.agent.set_mcu_version(&mut harness.world, "MCU", version).unwrap();
        harness.run();
        assert_eq!(state(&harness), state_after, "version {version}");
        assert_eq!(harness.take_codes().first().copied(), code);
    }
}

#[test]
fn the_target_version_in_mid_download_is_success_and_nothing_stray_follows() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Stall(9_000));
    harness.start_upgrade(plan());
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.pass(60_000);
    assert_eq!(harness.statuses(), [1, 2, 4, 5, 11]);
    assert_eq!(harness.take_codes().last(), Some(&10705));
}

#[test]
fn an_upgrade_runs_across_the_wrap_of_the_clock() {
    let mut harness = Harness::new(32 * 1024);
    harness.world.now = u32::MAX - 20_000;
    upgrade(&mut harness);
    harness.serve.push_back(Serve::Stall(9_000));
    harness.start_upgrade(plan());
    harness.pass(30_000);
    assert_eq!(state(&harness), 6);
    harness.offer(plan());
    harness.give_url(plan());
    assert_eq!(state(&harness), 9);
    harness.pass(20 * 60_000 - 1);
    assert_eq!(state(&harness), 9);
    harness.pass(1);
    assert_eq!(state(&harness), 0);
}

#[test]
fn an_application_that_never_takes_an_event_does_not_stop_the_device() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    for _ in 0..200 {
        for link in [Link::Connected, Link::Subscribed, Link::Lost] {
            harness.agent.on_link(&mut harness.world, link);
        }
        harness.world.now += 40 * 60_000;
        harness.agent.poll(&mut harness.world);
    }
    assert!(harness.logged("an event is lost"));
    harness.run();
    assert_eq!(harness.agent.work_state(), WorkState::Subscribed);
}

#[test]
fn an_application_that_takes_events_late_loses_none() {
    let mut harness = Harness::new(4096);
    harness.file = test_platform::harness::file(4096);
    harness.agent.set_mode(&mut harness.world, Mode::Request).unwrap();
    harness.run();
    harness.take_session();
    let plans = ["A", "B", "C", "D", "E", "F", "G", "H"].map(|component| Plan {
        component,
        target: "long-long-long-long-long-long-long-long-version",
        ..plan()
    });
    let mut buffer = [0; 2048];
    let notify = Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) });
    let length = notify.emit_frame(PacketId::new(900).unwrap(), &mut buffer).unwrap();
    assert!(harness.agent.on_message(&mut harness.world, "q/1/d/x/ota", &buffer[..length]));
    for _ in 0..100 {
        let wait = harness.agent.poll(&mut harness.world);
        harness.world.now += wait.0.min(1000);
    }
    for _ in 0..20 {
        harness.agent.on_link(&mut harness.world, Link::Lost);
    }
    harness.run();
    let told: Vec<_> = harness.take_ota().into_iter().map(|(_, text)| text.as_bytes()[1]).collect();
    assert_eq!(told, b"ABCDEFGH");
}
