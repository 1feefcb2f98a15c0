//! Devices: identity, connection, reports, search and import.

use super::*;
use quecota_center::rules::takeover::Takeovers;

contract! {
    a_device_entered_twice_keeps_its_secret
    a_newer_connection_is_not_ended_by_the_older_one
    what_a_device_reported_comes_back
    each_change_of_a_device_alone_is_written
    devices_come_in_pages
    online_devices_are_found_by_their_push_slot
    sessions_of_an_earlier_run_are_found
    a_search_finds_what_it_says_page_by_page
    many_devices_are_entered_at_once
}

async fn a_device_entered_twice_keeps_its_secret(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let first = device(&mut writer, "d1").await;
    let other = DeviceSecret::new("other").unwrap();
    let second = writer.enter_device(&pk("p1abcd"), &dk("d1"), &other, NOW).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(writer.device_secret(&second).unwrap().as_str(), "secretd1");
    let found = writer.devices_by_client_id(&["qdp1abcdd1", "qdp1abcdd2"]).await.unwrap();
    assert_eq!(found, std::collections::HashMap::from([("qdp1abcdd1".to_owned(), first)]));
}

async fn a_newer_connection_is_not_ended_by_the_older_one(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let id = device(&mut writer, "d1").await.id;
    writer.set_online(id, "center/1", None, Takeovers::default(), NOW).await.unwrap();
    writer.set_online(id, "center/2", None, Takeovers::default(), NOW).await.unwrap();
    writer.set_offline(id, "center/1", NOW).await.unwrap();
    assert_eq!(writer.device_by_id(id).await.unwrap().presence(), Presence::Online);
    writer.set_offline(id, "center/2", NOW + Millis(5)).await.unwrap();
    let device = writer.device_by_id(id).await.unwrap();
    assert_eq!((device.presence(), device.offline_since), (Presence::Offline, Some(NOW + Millis(5))));
}

async fn what_a_device_reported_comes_back(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let mut device = device(&mut writer, "d1").await;
    device.last_seen = Some(NOW);
    device.model = Some("EC200U".into());
    device.module.shown = Some("FW1".into());
    device.versions_at = Some(NOW);
    device.sdk_version = Some("2.9.0".into());
    device.battery = Some(Reading { value: 17, at: Some(NOW) });
    device.voltage = Some("3.7".into());
    device.signal = Some(-67);
    device.rsrp = Some(Reading { value: -113, at: Some(NOW) });
    device.free_space = Some(65_536);
    device.asked_status = Some(StatusAsk::Waiting(Trigger::Mark));
    device.last_uplink = Some("7:abc".into());
    writer.save_device(&device).await.unwrap();
    let versions = |list: &[(&str, &str)]| -> Vec<ReportedVersion> {
        list.iter()
            .map(|(component, version)| ReportedVersion {
                component: no(component),
                version: (*version).into(),
            })
            .collect()
    };
    let reported = |list| versions(list).into_iter().map(|version| (device.id, version)).collect::<Vec<_>>();
    writer.save_versions(&reported(&[("B", "1"), ("STM32", "1_0_0")]), &[]).await.unwrap();
    writer.save_versions(&reported(&[("STM32", "2_0_0")]), &[(device.id, no("B"))]).await.unwrap();
    assert_eq!(writer.device_versions(device.id).await.unwrap(), versions(&[("STM32", "2_0_0")]));
    assert_eq!(writer.device_by_id(device.id).await.unwrap(), device);
    writer.set_online(device.id, "center/1", None, Takeovers::default(), NOW).await.unwrap();
    let device = writer.device_by_id(device.id).await.unwrap();
    assert_eq!(
        device.battery,
        Some(Reading { value: 17, at: None }),
        "a value of an earlier connection is old"
    );
    assert_eq!((device.versions_at, device.last_uplink), (None, None));
}

/// What is changed, and how.
type Change = (&'static str, fn(&mut Device));

async fn each_change_of_a_device_alone_is_written(bench: &Bench) {
    let changes: [Change; 26] = [
        ("last_seen", |device| device.last_seen = Some(NOW + Millis(1))),
        ("last_uplink", |device| device.last_uplink = Some("7:abc".into())),
        ("model", |device| device.model = Some("EC200U".into())),
        ("versions_at", |device| device.versions_at = Some(NOW)),
        ("sdk_version", |device| device.sdk_version = Some("2.9.0".into())),
        ("battery", |device| device.battery = Some(Reading { value: 17, at: None })),
        ("battery's time", |device| device.battery = Some(Reading { value: 17, at: Some(NOW) })),
        ("voltage", |device| device.voltage = Some("3.7".into())),
        ("signal", |device| device.signal = Some(-67)),
        ("rsrp", |device| device.rsrp = Some(Reading { value: -113, at: None })),
        ("rsrp's time", |device| device.rsrp = Some(Reading { value: -113, at: Some(NOW) })),
        ("free_space", |device| device.free_space = Some(65_536)),
        ("asked_status", |device| device.asked_status = Some(StatusAsk::Answered)),
        ("firmware", |device| device.module.firmware = Some("FW1".into())),
        ("suffix", |device| device.module.suffix = Some("V01".into())),
        ("shown", |device| device.module.shown = Some("FW1V01".into())),
        ("session and center", |device| {
            (device.session, device.center) = (Some("a/1".into()), Some("a".into()));
        }),
        ("online_since", |device| device.online_since = Some(NOW)),
        ("offline_since", |device| device.offline_since = Some(NOW)),
        ("peer", |device| device.peer = Some("10.0.0.1:1".into())),
        ("peer_before", |device| device.peer_before = Some("10.0.0.1:2".into())),
        ("takeovers", |device| device.takeovers.times = 3),
        ("their window", |device| device.takeovers.since = Some(NOW)),
        ("those before", |device| device.takeovers.before = 2),
        ("past connections", |device| device.past_connections.add(NOW, NOW + Millis(5))),
        ("no session", |device| (device.session, device.center) = (None, None)),
    ];
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let mut stored = device(&mut writer, "d1").await;
    for (what, change) in changes {
        let mut device = stored.clone();
        change(&mut device);
        assert_ne!(device, stored, "{what}");
        let difference = DeviceChange::between(&stored, &device);
        writer.save_devices(&[&device], difference).await.unwrap();
        stored = writer.device_by_id(device.id).await.unwrap();
        assert_eq!(stored, device, "{what}, {difference:?}");
    }
}

async fn devices_come_in_pages(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for index in 0..5 {
        device(&mut writer, &format!("d{index}")).await;
    }
    let mut seen = Vec::new();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = writer.devices(&pk("p1abcd"), from, 2).await.unwrap();
        seen.extend(page.rows.into_iter().map(|device| device.key.to_string()));
        after = page.next;
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4"]);
}

async fn online_devices_are_found_by_their_push_slot(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for index in 0..4 {
        let device = device(&mut writer, &format!("d{index}")).await;
        if index > 0 {
            writer.set_online(device.id, "center/1", None, Takeovers::default(), NOW).await.unwrap();
        }
    }
    assert_eq!(writer.count_devices(&pk("p1abcd"), Presence::Online).await.unwrap(), 3);
    let product = pk("p1abcd");
    let slots = |from, until| PushedTo { product: &product, center: "center", from, until, limit: 100 };
    // None has told its versions.
    let all = writer.pushed_to(slots(0, 10_000), &[], NOW).await.unwrap();
    assert_eq!(all.len(), 3);
    let border = all[1].1;
    let low = writer.pushed_to(slots(0, border), &[], NOW).await.unwrap();
    let high = writer.pushed_to(slots(border, 10_000), &[], NOW).await.unwrap();
    assert_eq!((low.len(), high.len()), (1, 2));
}

async fn sessions_of_an_earlier_run_are_found(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for (key, session) in [("d1", "center/run1/1"), ("d2", "center2/1"), ("d3", "center/run2/1")] {
        let id = device(&mut writer, key).await.id;
        writer.set_online(id, session, None, Takeovers::default(), NOW).await.unwrap();
    }
    let holder = bench.store.held_by("center");
    let found = writer.sessions_of(holder, Sessions::NotOf("run2"), 10).await.unwrap();
    let sessions: Vec<_> = found.iter().map(|(_, session)| session.as_str()).collect();
    // One file is one center's; a PostgreSQL database may have several.
    let is_file = bench.url.starts_with("sqlite");
    let earlier = if is_file { &["center/run1/1", "center2/1"][..] } else { &["center/run1/1"] };
    assert_eq!(sessions, earlier);
    let all = writer.sessions_of(holder, Sessions::All, 10).await.unwrap();
    assert_eq!(all.len(), earlier.len() + 1);
    let cleared = writer.clear_sessions(holder, Sessions::NotOf("run2"), NOW, 10).await.unwrap();
    assert_eq!(cleared, earlier.len() as u64);
    let left = writer.sessions_of(holder, Sessions::All, 10).await.unwrap();
    assert!(matches!(&left[..], [(_, session)] if session == "center/run2/1"), "{left:?}");
}

async fn a_search_finds_what_it_says_page_by_page(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for number in 0..20_i64 {
        let mut device = device(&mut writer, &format!("d{number:02}")).await;
        if number % 2 == 0 {
            writer
                .set_online(device.id, &format!("center/{number}"), None, Takeovers::default(), NOW)
                .await
                .unwrap();
        }
        device.battery = Some(Reading { value: number % 10, at: None });
        device.rsrp = Some(Reading { value: -100 - number, at: None });
        device.last_seen = (number > 0).then(|| NOW + Millis(number));
        device.module.shown = Some(format!("M{}", number % 3));
        writer.save_device(&device).await.unwrap();
        let version = ReportedVersion { component: no("STM32"), version: format!("{}_0", number % 4) };
        writer.save_versions(&[(device.id, version)], &[]).await.unwrap();
    }
    writer.commit().await.unwrap();
    let found = async |filter: DeviceFilter| {
        let mut reader = bench.store.read().await.unwrap();
        let mut keys: Vec<String> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = reader.search_devices(&pk("p1abcd"), &filter, after.as_deref(), 3).await.unwrap();
            keys.extend(page.rows.iter().map(|device| device.key.to_string()));
            after = page.next;
            if after.is_none() {
                return keys;
            }
        }
    };
    let span = |from, until| Span { from, until };
    let all = DeviceFilter::default();
    assert_eq!(found(all.clone()).await.len(), 20);
    let key = DeviceFilter { key: Some("d1".into()), ..all.clone() };
    assert_eq!(found(key.clone()).await, (10..20).map(|n| format!("d{n}")).collect::<Vec<_>>());
    assert_eq!(found(DeviceFilter { key: Some("x".into()), ..all.clone() }).await, [""; 0]);
    let version = Some("1_0".to_owned());
    let mcu = DeviceFilter { component: Some(no("STM32")), version: version.clone(), ..all.clone() };
    assert_eq!(found(mcu.clone()).await, ["d01", "d05", "d09", "d13", "d17"]);
    assert_eq!(found(DeviceFilter { key: Some("d1".into()), ..mcu }).await, ["d13", "d17"]);
    assert_eq!(found(DeviceFilter { version, ..all.clone() }).await, [""; 0], "of the module");
    let module = DeviceFilter { version: Some("M2".into()), ..all.clone() };
    assert_eq!(found(module).await, ["d02", "d05", "d08", "d11", "d14", "d17"]);
    let low = DeviceFilter { battery: span(Some(1), Some(2)), ..all.clone() };
    assert_eq!(found(low.clone()).await, ["d01", "d11", "d02", "d12"], "the emptiest first");
    let weak = DeviceFilter { rsrp: span(None, Some(-117)), ..all.clone() };
    assert_eq!(found(weak).await, ["d19", "d18", "d17"]);
    let early = DeviceFilter { seen: span(None, Some(NOW.0 + 4)), ..all.clone() };
    assert_eq!(found(early).await, ["d01", "d02", "d03", "d04"], "who was never seen is in no range");
    let mut online = found(DeviceFilter { presence: Some(Presence::Online), ..all.clone() }).await;
    online.sort();
    assert_eq!(online, (0..20).step_by(2).map(|n| format!("d{n:02}")).collect::<Vec<_>>());
    let both = DeviceFilter { presence: Some(Presence::Offline), ..low };
    assert_eq!(found(both).await, ["d01", "d11"]);
    let none = DeviceFilter { component: Some(no("OTHER")), ..all };
    assert_eq!(found(none).await, [""; 0]);
    let mut reader = bench.store.read().await.unwrap();
    let page = reader.search_devices(&pk("p1abcd"), &key, None, 2).await.unwrap();
    let versions = reader.versions_of(&page.rows).await.unwrap();
    assert_eq!((versions.len(), versions[&page.rows[1].id][0].version.as_str()), (2, "3_0"));
}

async fn many_devices_are_entered_at_once(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let known = device(&mut writer, "d7").await;
    let secret = DeviceSecret::new("fresh").unwrap();
    let devices: Vec<_> = (0..1_000).map(|n| (dk(&format!("d{}", n % 999)), secret.clone())).collect();
    assert_eq!(writer.import_devices(&pk("p1abcd"), &devices, NOW).await.unwrap(), 998);
    assert_eq!(writer.device(&pk("p1abcd"), &dk("d7")).await.unwrap(), known, "it keeps its secret");
    let entered = writer.device(&pk("p1abcd"), &dk("d998")).await.unwrap();
    assert_eq!(writer.device_secret(&entered).unwrap(), secret);
    let alone = writer.enter_device(&pk("p1abcd"), &dk("d998"), &secret, NOW).await.unwrap();
    assert_eq!((alone.push_slot, &alone.client_id), (entered.push_slot, &entered.client_id));
}
