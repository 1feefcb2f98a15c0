//! Upgrade plans, their lists and their counts.

use super::*;

contract! {
    a_plan_comes_back_with_every_field
    a_plan_name_is_unique
    an_edited_plan_comes_back_as_it_was_edited
    a_plans_load_is_counted
    lists_hold_many_devices
    lists_are_copied
    overlapping_active_plans_are_found
    a_plan_is_held_by_many_and_locked_by_one
    a_plan_that_cannot_be_used_does_not_hide_the_others
    a_plans_devices_are_found_by_their_state_and_a_second_chance_uncounts_a_failure
    a_plans_devices_are_listed_by_state_and_reason
    terminating_ends_only_what_was_not_confirmed
    the_history_of_many_devices_is_drawn_from_some_of_them
    the_changes_of_a_plan_are_kept_in_their_order
    a_plan_that_is_over_ends_what_waits_for_another_attempt
}

async fn a_plan_comes_back_with_every_field(bench: &Bench) {
    use quecota_center::rules::plan::*;
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plain) = scene(&mut writer).await;
    assert_eq!(plain.settings, settings("plan", package.id));
    assert_eq!(plain.state, PlanState::Saved);
    let mut full = settings("full", package.id);
    full.push_period = Some(quecota_center::rules::window::PushPeriod {
        from: "22:30".parse().unwrap(),
        until: "04:00".parse().unwrap(),
    });
    full.start = Some(NOW);
    full.end = Some(NOW + Millis::hours(9));
    full.mode = Mode::Manual;
    full.push = Push::OnRequest;
    full.first_push = FirstPush::AtOnce;
    full.outside_period = OutsidePeriod::Answer;
    full.verification = Verification::Required;
    full.strategy = Strategy {
        retries: 10,
        refusal_delay: 1440,
        min_rsrp: Some(-113),
        min_battery: Some(100),
        first_devices: Some(9),
        halt: Some(Halt { percent: 30, after: 10 }),
        max_in_flight: Some(u32::MAX),
        max_per_minute: Some(1),
    };
    full.texts = [("zh", "新"), ("en", "new \"firmware\"")].map(|(k, v)| (k.into(), v.into())).into();
    let mut made = writer.create_plan(&full, NOW).await.unwrap();
    assert_eq!(made.settings, full);
    made.state = PlanState::Suspended;
    made.suspended_from = Some(PlanState::Upgrading);
    made.activated = Some(NOW);
    made.over = Some(NOW);
    writer.save_plan_state(&made).await.unwrap();
    assert_eq!(writer.plan(made.id).await.unwrap(), made);
    assert_eq!(writer.plans(None, 0, 10).await.unwrap().rows, [plain.clone(), made.clone()]);
    assert_eq!(usable(writer.running_plans().await.unwrap()), [made]);
    writer.delete_plan(plain.id).await.unwrap();
    assert!(matches!(writer.plan(plain.id).await, Err(StoreError::NotFound { what: "upgrade plan", .. })));
}

async fn a_plan_name_is_unique(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, _) = scene(&mut writer).await;
    let error = writer.create_plan(&settings("plan", package.id), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { what: "upgrade plan", .. }), "{error}");
}

async fn an_edited_plan_comes_back_as_it_was_edited(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plan) = scene(&mut writer).await;
    let mut changed = settings("another", package.id);
    changed.start = Some(Millis(7));
    changed.strategy.max_in_flight = Some(3);
    changed.components.clear();
    let edited = writer.edit_plan(plan.id, &changed).await.unwrap();
    assert_eq!((&edited.settings, edited.id, edited.state), (&changed, plan.id, PlanState::Saved));
    let keys = [dk("d1"), dk("d2")];
    writer.list_devices(plan.id, List::White, &keys).await.unwrap();
    writer.clear_list(plan.id, List::White).await.unwrap();
    assert_eq!(writer.count_listed(plan.id, List::White).await.unwrap(), 0);
    writer.create_plan(&settings("taken", package.id), Millis(1)).await.unwrap();
    let error = writer.edit_plan(plan.id, &settings("taken", package.id)).await.unwrap_err();
    assert!(error.to_string().contains("there is a plan with this name already"), "{error}");
}

async fn a_plans_load_is_counted(bench: &Bench) {
    use quecota_center::rules::limits::Load;
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, mut plan) = scene(&mut writer).await;
    assert_eq!(writer.load(&plan, NOW).await.unwrap(), Load::default(), "no limit, no count");
    let strategy = &mut plan.settings.strategy;
    (strategy.first_devices, strategy.max_in_flight, strategy.max_per_minute) = (Some(2), Some(9), Some(2));
    let mut offered = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    offered.state = UpgradeState::NotUpgraded;
    offered.components[0].state = ComponentState::PlanNotReceived;
    offered.components[0].lease_until = Some(NOW);
    writer.save_upgrade(&offered).await.unwrap();
    writer.count_start(plan.id, device.id, NOW).await.unwrap();
    let load = writer.load(&plan, NOW).await.unwrap();
    assert_eq!(load, Load { in_flight: 1, engaged: 1, ..Load::default() });
    writer.count_start(plan.id, device.id, NOW + Millis(5)).await.unwrap();
    let load = writer.load(&plan, NOW + Millis(59_999)).await.unwrap();
    assert_eq!(load.full_until, Some(NOW + Millis::minutes(1)));
    assert_eq!(writer.load(&plan, NOW + Millis::minutes(1)).await.unwrap().full_until, None);

    assert_eq!(writer.write_ends(&mut ending(&plan), 10).await.unwrap(), (1, 0));
    let load = writer.load(&plan, NOW + Millis::minutes(2)).await.unwrap();
    assert_eq!(load, Load { finished: 1, ..Load::default() });
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Upgraded).await.unwrap(), (1, 0));
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Failed).await.unwrap(), (2, 1));
    writer.forget_finished(plan.id).await.unwrap();
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Failed).await.unwrap(), (1, 1));
}

async fn lists_hold_many_devices(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, _, plan) = scene(&mut writer).await;
    let keys: Vec<DeviceKey> = (0..2_500).map(|index| dk(&format!("d{index:05}"))).collect();
    assert!(!writer.has_list(plan.id, List::White).await.unwrap());
    writer.list_devices(plan.id, List::White, &keys).await.unwrap();
    writer.list_devices(plan.id, List::White, &keys[..10]).await.unwrap();
    assert_eq!(writer.count_listed(plan.id, List::White).await.unwrap(), 2_500);
    assert!(writer.has_list(plan.id, List::White).await.unwrap());
    assert!(!writer.has_list(plan.id, List::Black).await.unwrap());
    assert!(writer.is_listed(plan.id, List::White, &keys[7]).await.unwrap());
    assert!(!writer.is_listed(plan.id, List::Black, &keys[7]).await.unwrap());
    let page = writer.listed(plan.id, List::White, keys[4].as_str(), 2).await.unwrap();
    assert_eq!(page, &keys[5..7]);
}

async fn lists_are_copied(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plan) = scene(&mut writer).await;
    let copy = writer.create_plan(&settings("copy", package.id), NOW).await.unwrap();
    writer.list_devices(plan.id, List::White, &[dk("d1"), dk("d2")]).await.unwrap();
    writer.list_devices(plan.id, List::Black, &[dk("d2")]).await.unwrap();
    writer.copy_lists(plan.id, copy.id).await.unwrap();
    assert_eq!(writer.listed(copy.id, List::White, "", 10).await.unwrap(), [dk("d1"), dk("d2")]);
    assert_eq!(writer.listed(copy.id, List::Black, "", 10).await.unwrap(), [dk("d2")]);
}

async fn overlapping_active_plans_are_found(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, mut older) = scene(&mut writer).await;
    let newer = writer.create_plan(&settings("newer", package.id), NOW).await.unwrap();
    assert!(writer.overlaps(newer.id).await.unwrap().is_empty());
    older.state = PlanState::Activated;
    older.activated = Some(NOW);
    writer.save_plan_state(&older).await.unwrap();
    let overlaps = writer.overlaps(newer.id).await.unwrap();
    assert_eq!(overlaps.len(), 1);
    assert_eq!((overlaps[0].plan, overlaps[0].component.as_str()), (older.id.0, "STM32"));
    writer.supersede(older.id, &no("STM32"), newer.id).await.unwrap();
    assert_eq!(writer.superseded_by(older.id).await.unwrap(), [(no("STM32"), newer.id)]);
    assert_eq!(usable(writer.offered_plans(&pk("p1abcd")).await.unwrap()), [older]);
}

async fn a_plan_is_held_by_many_and_locked_by_one(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, _, plan) = scene(&mut writer).await;
    writer.commit().await.unwrap();
    let mut writer = bench.store.write().await.unwrap();
    assert_eq!(writer.hold_plan(plan.id).await.unwrap(), plan);
    assert_eq!(writer.lock_plan(plan.id).await.unwrap(), plan);
    let missing = writer.hold_plan(PlanId(99)).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "upgrade plan", .. })));
}

async fn a_plan_that_cannot_be_used_does_not_hide_the_others(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, _) = scene(&mut writer).await;
    let mut ids = Vec::new();
    for name in ["first", "second"] {
        let mut plan = writer.create_plan(&settings(name, package.id), NOW).await.unwrap();
        plan.state = PlanState::Activated;
        plan.activated = Some(NOW);
        writer.save_plan_state(&plan).await.unwrap();
        ids.push(plan.id);
    }
    writer.commit().await.unwrap();
    let mut side = AnyConnection::connect(&bench.url).await.unwrap();
    let damage = "UPDATE plans SET mode = 'perhaps' WHERE name = 'first'";
    side.execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
    side.close().await.unwrap();
    let mut reader = bench.store.read().await.unwrap();
    let mut plans = reader.running_plans().await.unwrap();
    plans.sort_by_key(|(id, _)| *id);
    assert!(matches!(plans.as_slice(), [(_, Err(StoreError::Unusable(_))), (_, Ok(_))]), "{plans:?}");
    assert_eq!(plans.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
}

async fn a_plans_devices_are_found_by_their_state_and_a_second_chance_uncounts_a_failure(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    let second = device(&mut writer, "d2").await;
    let mut failed = writer.create_upgrade(upgrade(&plan, first.id, package.id)).await.unwrap();
    writer.create_upgrade(upgrade(&plan, second.id, package.id)).await.unwrap();
    failed.state = UpgradeState::Failed;
    writer.save_upgrade(&failed).await.unwrap();
    let found = writer.plan_upgrades_in(plan.id, UpgradeState::Failed, 0, 10).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&failed));
    assert!(
        writer.plan_upgrades_in(plan.id, UpgradeState::Failed, failed.id.0, 10).await.unwrap().is_empty()
    );
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Failed).await.unwrap(), (1, 1));
    for _ in 0..2 {
        writer.uncount_failed(plan.id).await.unwrap();
    }
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Upgraded).await.unwrap(), (1, 0));
}

async fn a_plans_devices_are_listed_by_state_and_reason(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    for number in 0..9 {
        let device =
            if number == 0 { first.clone() } else { device(&mut writer, &format!("e{number}")).await };
        let mut upgrade = upgrade(&plan, device.id, package.id);
        if number % 3 > 0 {
            upgrade.state = UpgradeState::Failed;
            upgrade.reason = Some(if number % 3 == 1 { "status 12" } else { "no answer" }.into());
        }
        writer.create_upgrade(upgrade).await.unwrap();
    }
    writer.commit().await.unwrap();
    let mut reader = bench.store.read().await.unwrap();
    let mut listed = async |state: Option<UpgradeState>, reason: Option<&str>| {
        let filter = UpgradeFilter { state, reason: reason.map(str::to_owned) };
        let (mut keys, mut after) = (Vec::new(), 0);
        loop {
            let page = reader.plan_device_page(plan.id, &filter, after, 2).await.unwrap();
            assert!(page.rows.iter().all(|device| device.upgrade.components.len() == 1));
            keys.extend(page.rows.iter().map(|device| device.key.to_string()));
            match page.next {
                Some(next) => after = next,
                None => return keys,
            }
        }
    };
    assert_eq!(listed(None, None).await.len(), 9);
    assert_eq!(listed(Some(UpgradeState::NotUpgraded), None).await, ["d1", "e3", "e6"]);
    assert_eq!(listed(None, Some("status 12")).await, ["e1", "e4", "e7"]);
    assert_eq!(listed(Some(UpgradeState::Failed), Some("no answer")).await, ["e2", "e5", "e8"]);
    assert_eq!(listed(Some(UpgradeState::Upgraded), Some("no answer")).await, [""; 0]);
    let reasons = reader.plan_reasons(plan.id, None, 100).await.unwrap();
    let reasons: Vec<_> =
        reasons.iter().map(|line| (line.state, line.reason.as_deref(), line.devices)).collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons.contains(&(UpgradeState::Failed, Some("status 12"), 3)), "{reasons:?}");
}

async fn the_history_of_many_devices_is_drawn_from_some_of_them(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    for number in 0..12 {
        let device =
            if number == 0 { first.clone() } else { device(&mut writer, &format!("h{number}")).await };
        let mut upgrade = upgrade(&plan, device.id, package.id);
        upgrade.created = NOW + Millis::minutes(number);
        if number % 2 == 1 {
            upgrade.state = UpgradeState::Upgraded;
            upgrade.ended = Some(NOW + Millis::minutes(number + 1));
        }
        writer.create_upgrade(upgrade).await.unwrap();
    }
    let time = (NOW, NOW + Millis::minutes(12));
    let all = writer.plan_history(plan.id, time, 12, 12).await.unwrap();
    assert_eq!((all.one_in, all.offered.iter().sum::<i64>(), all.upgraded.iter().sum::<i64>()), (1, 12, 6));
    assert_eq!(all.offered[0], 2, "a part is a little longer than a minute");
    // With so many devices one in three is looked at, and counts for three.
    let some = writer.plan_history(plan.id, time, 12, 50_000).await.unwrap();
    assert_eq!(
        (some.one_in, some.offered.iter().sum::<i64>(), some.upgraded.iter().sum::<i64>()),
        (3, 12, 6)
    );
}

async fn the_changes_of_a_plan_are_kept_in_their_order(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, _, plan) = scene(&mut writer).await;
    let change =
        |event, reason: Option<&str>| PlanChange { event, reason: reason.map(str::to_owned), at: NOW };
    let changes = [
        change(PlanEvent::Activate, None),
        change(PlanEvent::Halt, Some("6 of 20 failed")),
        change(PlanEvent::Resume, None),
    ];
    for change in &changes {
        writer.add_plan_change(plan.id, change).await.unwrap();
    }
    assert_eq!(writer.plan_changes(plan.id).await.unwrap(), changes);
    assert_eq!(writer.plan_changes(PlanId(plan.id.0 + 1)).await.unwrap(), []);
}

/// The end of a plan, of which nothing is written yet.
fn ending(plan: &Plan) -> PlanEnding {
    PlanEnding {
        plan: plan.id,
        state: UpgradeState::Failed,
        reason: "terminated".into(),
        at: NOW,
        written_to: Some(UpgradeId(0)),
        counted_to: DeviceId(0),
        count_until: DeviceId(i64::MAX),
    }
}

/// What the plan brings to its component.
fn part(plan: &Plan, target: &str, has_whitelist: bool) -> PushedPart {
    PushedPart {
        plan: plan.id,
        component: plan.settings.components[0].component.clone(),
        kind: ComponentKind::Mcu,
        source: None,
        target: Version::new(target).unwrap(),
        has_whitelist,
        has_blacklist: true,
        is_manual: false,
    }
}

async fn terminating_ends_only_what_was_not_confirmed(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    let second = device(&mut writer, "d2").await;
    let waiting = writer.create_upgrade(upgrade(&plan, first.id, package.id)).await.unwrap();
    let mut running = writer.create_upgrade(upgrade(&plan, second.id, package.id)).await.unwrap();
    running.confirmed = Some(NOW);
    running.state = UpgradeState::Upgrading;
    writer.save_upgrade(&running).await.unwrap();
    // From the row of the plan's end on every read has its upgrades as they will be, and so have the counts.
    writer.save_plan_ending(&ending(&plan)).await.unwrap();
    assert_eq!(writer.plan_endings(9).await.unwrap(), [plan.id]);
    assert_eq!(writer.plan_ending(plan.id).await.unwrap(), Some(ending(&plan)));
    for is_written in [false, true] {
        if is_written {
            let mut ending = ending(&plan);
            assert_eq!(writer.write_ends(&mut ending, 1).await.unwrap(), (1, 0));
            assert_eq!(ending.written_to, Some(waiting.id));
            writer.save_plan_ending(&ending).await.unwrap();
            assert_eq!(writer.write_ends(&mut ending, 10).await.unwrap(), (0, 0));
            assert_eq!(ending.written_to, None);
        }
        let ended = writer.upgrade(waiting.id).await.unwrap();
        assert_eq!((ended.state, ended.ended), (UpgradeState::Failed, Some(NOW)));
        assert_eq!((ended.next_offer, ended.components[0].lease_until), (None, None));
        assert_eq!(writer.open_upgrades(first.id).await.unwrap(), []);
        assert_eq!(writer.upgrade(running.id).await.unwrap(), running);
        let figures = writer.plan_figures(plan.id).await.unwrap();
        assert_eq!((figures.failed, figures.upgrading, figures.not_upgraded), (1, 1, 0));
        let reasons = writer.plan_reasons(plan.id, None, 100).await.unwrap();
        let failed =
            ReasonCount { state: UpgradeState::Failed, reason: Some("terminated".into()), devices: 1 };
        assert!(reasons.len() == 2 && reasons.contains(&failed), "{reasons:?}");
        for (filter, found) in [
            (UpgradeFilter { state: Some(UpgradeState::Failed), reason: None }, Some(waiting.id)),
            (UpgradeFilter { state: None, reason: Some("terminated".into()) }, Some(waiting.id)),
            (UpgradeFilter { state: Some(UpgradeState::Upgrading), reason: None }, Some(running.id)),
            (UpgradeFilter { state: Some(UpgradeState::NotUpgraded), reason: None }, None),
        ] {
            let page = writer.plan_device_page(plan.id, &filter, 0, 10).await.unwrap();
            assert_eq!(page.rows.iter().map(|device| device.upgrade.id).next(), found, "{filter:?}");
        }
    }
    for key in ["d3", "d4", "d5"] {
        device(&mut writer, key).await;
    }
    writer.list_devices(plan.id, List::Black, &[dk("d4")]).await.unwrap();
    let (product, mut counted) = (plan.settings.product.clone(), ending(&plan));
    for _ in 0..9 {
        writer.count_unreached(&mut counted, &product, &[part(&plan, "9", false)], 2).await.unwrap();
    }
    assert_eq!(counted.counted_to, counted.count_until);
    assert_eq!(writer.plan_unreached(plan.id).await.unwrap(), 2, "who has no row, without the blacklist");
    assert_eq!(writer.plan_figures(plan.id).await.unwrap().failed, 3);
    let white: Vec<DeviceKey> = ["d1", "d3", "d4", "stranger"].map(dk).into();
    writer.list_devices(plan.id, List::White, &white).await.unwrap();
    writer.count_unreached(&mut ending(&plan), &product, &[part(&plan, "9", true)], 100).await.unwrap();
    assert_eq!(writer.plan_unreached(plan.id).await.unwrap(), 2 + 1, "the whitelist leaves d5 out");
    writer.save_plan_ending(&counted).await.unwrap();
    let mut done = PlanEnding { written_to: None, ..counted };
    writer.save_plan_ending(&done).await.unwrap();
    done.count_until = done.counted_to;
    assert!(done.is_done() && writer.plan_ending(plan.id).await.unwrap().is_none());
}

async fn a_plan_that_is_over_ends_what_waits_for_another_attempt(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    let second = device(&mut writer, "d2").await;
    let mut ids = Vec::new();
    for (device, state) in [(first, ComponentState::DownloadFailed), (second, ComponentState::Downloading)] {
        let mut made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
        made.state = UpgradeState::Upgrading;
        made.confirmed = Some(NOW);
        made.next_offer = Some(NOW);
        made.components[0].state = state;
        writer.save_upgrade(&made).await.unwrap();
        ids.push(made.id);
    }
    let mut over = PlanEnding { reason: "over".into(), ..ending(&plan) };
    assert_eq!(writer.write_ends(&mut over, 10).await.unwrap(), (0, 1));
    let ended = writer.upgrade(ids[0]).await.unwrap();
    assert_eq!((ended.state, ended.ended, ended.next_offer), (UpgradeState::Failed, Some(NOW), None));
    assert_eq!((ended.reason.as_deref(), ended.components[0].lease_until), (Some("over"), None));
    assert_eq!(writer.upgrade(ids[1]).await.unwrap().ended, None);
}

fn usable(plans: Vec<(PlanId, Result<Plan>)>) -> Vec<Plan> {
    plans.into_iter().map(|(_, plan)| plan.unwrap()).collect()
}
