use super::*;

#[test]
fn reports_wait_offline_in_order_and_none_is_lost() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.start_upgrade(plan());
    harness.reachable = false;
    harness.lose_link();
    let mut image = vec![0; 50_000];
    harness.agent.ota_read(&mut harness.world, 0, &mut image).unwrap();
    harness.agent.ota_action(&mut harness.world, 3).unwrap();
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.pass(30_000);
    assert_eq!(harness.statuses(), [1, 2, 4, 5, 8]);
    harness.reachable = true;
    harness.pass(30 * 60_000);
    assert_eq!(harness.statuses(), [1, 2, 4, 5, 8, 9, 11]);
}

#[test]
fn a_report_that_was_not_confirmed_is_sent_again_after_the_reconnect() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.acknowledges = false;
    harness.offer(plan());
    assert_eq!(harness.statuses(), [1]);
    harness.acknowledges = true;
    harness.lose_link();
    harness.pass(5_000);
    assert_eq!(harness.statuses(), [1, 1]);
}

#[test]
fn a_publish_that_the_transport_refuses_or_forgets_is_repeated() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.world.refuses = vec![Refuses::Publish];
    harness.offer(plan());
    harness.pass(3_000);
    assert!(harness.statuses().is_empty());
    harness.world.refuses.clear();
    harness.acknowledges = false;
    harness.pass(1_000);
    assert_eq!(harness.statuses(), [1]);
    harness.pass(30_000);
    harness.acknowledges = true;
    harness.pass(1_000);
    assert_eq!(harness.statuses(), [1, 1]);
}

#[test]
fn one_packet_is_under_way_at_a_time() {
    let mut harness = Harness::new(64 * 1024);
    harness.acknowledges = false;
    harness.connect();
    harness.pass(10_000);
    assert_eq!(harness.commands(), [0x0044]);
}

#[test]
fn a_request_that_waits_when_its_plan_comes_is_not_sent_behind_the_reports_of_the_upgrade() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.agent.ota_request(0).unwrap();
    harness.offer(plan());
    assert_eq!(harness.statuses(), [1]);
    assert!(!harness.commands().contains(&0x0115), "{:x?}", harness.commands());
    // A request that is made now is one.
    harness.agent.ota_request(0).unwrap();
    harness.run();
    assert!(harness.commands().contains(&0x0115), "{:x?}", harness.commands());
}

#[test]
fn what_is_asked_for_is_answered_with_the_request_s_packet_id() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.packets.clear();
    harness.send_as(PacketId::new(77).unwrap(), &Downlink::StatusAsk(Ids::of(&[1, 5, 99, 4])));
    harness.send_as(PacketId::new(78).unwrap(), &Downlink::InfoAsk(Ids::of(&[2, 4, 11])));
    let [status, info] = &harness.packets[..] else { panic!("{:?}", harness.packets) };
    assert_eq!((status.id, status.command, status.qos), (77, 0x0032, Qos::AtMostOnce));
    let values = quecota_core::wire::message::StatusValues::parse(&status.payload).unwrap();
    assert_eq!((values.battery, values.rsrp, values.signal), (Some(80), Some(-95), None));
    assert_eq!(values.flash_free, Some(64 * 1024));
    assert_eq!((info.id, info.command), (78, 0x0042));
    let values = quecota_core::wire::message::InfoValues::parse(&info.payload).unwrap();
    assert_eq!((values.module_version, values.cell, values.mcu_list), ("FWV1", None, None));
    assert!(values.sdk_version.starts_with("quecota/"));
}

#[test]
fn many_questions_at_once_are_all_answered() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.packets.clear();
    harness.acknowledges = false;
    for id in 1..6 {
        let mut buffer = [0; 64];
        let length =
            Downlink::StatusAsk(Ids::of(&[1])).emit_frame(PacketId::new(500 + id).unwrap(), &mut buffer);
        assert!(harness.agent.on_message(&mut harness.world, "q/1/d/x/sys", &buffer[..length.unwrap()]));
    }
    harness.run();
    assert_eq!(harness.packets.len(), 1);
    harness.acknowledges = true;
    harness.pass(60_000);
    let mut ids: Vec<u16> = harness.packets.iter().map(|packet| packet.id).collect();
    ids.dedup();
    assert_eq!(ids[1..], [502, 503, 504, 505]);
}

#[test]
fn malformed_packets_move_nothing() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.connect();
    harness.take_session();
    harness.packets.clear();
    let mut buffer = [0; 64];
    let mut frame = |command: u16, payload: &[u8]| {
        let packet = PacketId::new(command + 1).unwrap();
        let frame = quecota_core::wire::frame::Frame {
            packet,
            command: quecota_core::wire::frame::Command(command),
            payload,
        };
        let length = frame.emit(&mut buffer).unwrap();
        buffer[..length].to_vec()
    };
    let half_plan = frame(0x0111, b"\x00\x23\x00\x09MCU");
    let no_target = frame(0x0111, b"\x00\x23\x00\x03MCU");
    let unknown = frame(0x0999, b"");
    for raw in [&half_plan[..], &no_target, &unknown, b"", b"\xAA\xAA", b"hello, this is no frame at all"] {
        harness.send_raw(raw);
    }
    assert_eq!((state(&harness), harness.packets.len(), harness.events.len()), (0, 0, 0));
    assert!(harness.logged("a malformed upgrade plan was dropped"));
    harness.offer(plan());
    assert_eq!(harness.statuses(), [1, 2]);
    harness.send_raw(&half_plan);
    assert_eq!(state(&harness), 2);
    harness.send_raw(&frame(0x0113, b"\x00\x23\x00\x03MCU"));
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::BadInfo)));
}

#[test]
fn a_packet_that_comes_twice_counts_once() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    let packet = PacketId::new(40).unwrap();
    let notify = Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan()) });
    for _ in 0..3 {
        harness.send_as(packet, &notify);
    }
    assert_eq!(harness.take_codes(), [10700]);
    harness.send_as(packet.next(), &notify);
    assert_eq!(harness.take_codes(), [10700], "a new packet is a new plan");
    harness.lose_link();
    harness.pass(5_000);
    harness.send_as(packet, &notify);
    assert_eq!(harness.take_codes(), [10700], "each connection counts anew");
}

#[test]
fn firmware_information_of_another_plan_is_dropped() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.connect();
    harness.give_url(plan());
    harness.offer(plan());
    harness.give_url(Plan { component: "X", ..plan() });
    harness.give_url(Plan { target: "9", ..plan() });
    assert_eq!((state(&harness), harness.ranges.len()), (2, 0));
    harness.give_url(plan());
    assert_eq!(state(&harness), 8);
    harness.offer(Plan { component: "X", ..plan() });
    assert_eq!(state(&harness), 8, "a plan in mid-upgrade waits");
}

#[test]
fn messages_that_do_not_fit_are_refused_or_dropped_with_a_word() {
    let mut harness = Harness::new(64 * 1024);
    assert!(harness.agent.on_message(&mut harness.world, "t", &[0; 1500]));
    assert!(!harness.agent.on_message(&mut harness.world, "t", &[0; 1500]));
    assert!(harness.agent.on_message(&mut harness.world, "t", &[0; 4000]));
    assert!(harness.logged("longer than the receive buffer"));
    harness.run();
    assert!(harness.agent.on_message(&mut harness.world, "t", &[0; 1500]));
}
