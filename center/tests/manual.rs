//! Manual mode: nothing happens on a device before its user's word, and everything as he said.

mod conversation;

use conversation::*;
use quecota_center::clock::Millis;
use quecota_center::engine::{Downlink, EngineError, UserCommand};
use quecota_center::rules::DeviceKey;
use quecota_center::rules::consent::{Appointment, AutoConfirm};
use quecota_center::rules::plan::{Halt, Mode, PlanSettings, PlanState, Push, Supersede};
use quecota_center::rules::progress::{ComponentState, UpgradeState};
use quecota_center::rules::upgrade::{CANCELLED, UserAction};
use quecota_center::store::PlanId;
use quecota_core::wire::frame::PacketId;
use quecota_core::wire::message::OtaStatus::*;
use quecota_core::wire::message::Versions;

fn manual(plan: &mut PlanSettings) {
    plan.mode = Mode::Manual;
    plan.texts = [("zh", "新版本"), ("en", "Better")].map(|(tag, text)| (tag.into(), text.into())).into();
}

fn dk(text: &str) -> DeviceKey {
    DeviceKey::new(text).unwrap()
}

impl Center {
    /// The word of `d1`'s user.
    async fn says(&self, word: UserCommand) -> std::result::Result<PlanId, EngineError> {
        self.engine.apply_user_command(&pk(), &dk("d1"), None, word).await
    }

    /// As [`Center::says`], refused with these words.
    async fn refuses(&self, word: UserCommand) -> String {
        self.says(word).await.unwrap_err().to_string()
    }

    async fn appoints(&self, from: Millis, until: Millis) {
        self.says(UserCommand::Appoint(Appointment { from, until })).await.unwrap();
    }

    async fn auto(&self, auto: AutoConfirm) {
        self.engine.set_auto_confirm(&pk(), &dk("d1"), auto).await.unwrap();
    }

    /// The sentence of `why` for the only plan.
    async fn told(&self) -> String {
        let (_, whys) = self.engine.why(&pk(), &dk("d1")).await.unwrap();
        let [why] = whys.as_slice() else { panic!("{whys:?}") };
        why.status.told(&why.plan.settings.time_zone, self.clock.now())
    }

    async fn actions(&self) -> Vec<UserAction> {
        let (_, plans) = self.engine.user_plans(&pk(), &dk("d1")).await.unwrap();
        plans.into_iter().flat_map(|seen| seen.actions).collect()
    }

    async fn rows(&self, plan: PlanId) -> usize {
        self.engine.store().read().await.unwrap().plan_upgrades(plan, 0, 10).await.unwrap().len()
    }

    /// What is sent to the device in the next second.
    async fn second(&self) -> Vec<Downlink> {
        self.clock.advance(Millis::seconds(1));
        self.tick().await.into_iter().map(|(_, message)| message).collect()
    }

    /// The state of `d1` in the plan, and why.
    async fn outcome(&self, plan: PlanId) -> (UpgradeState, Option<String>) {
        let upgrade = self.upgrade(plan).await;
        (upgrade.state, upgrade.reason)
    }
}

fn failed(reason: &str) -> (UpgradeState, Option<String>) {
    (UpgradeState::Failed, Some(reason.into()))
}

/// A center with a manual plan, and its device online with the old version.
async fn ready(change: impl Fn(&mut PlanSettings)) -> (Center, PlanId) {
    let center = Center::new().await;
    let plan = center
        .plan(&["STM32"], |plan| {
            manual(plan);
            change(plan);
        })
        .await;
    assert_eq!(center.connected().await.report("FW1", "STM32:1").await, []);
    (center, plan)
}

/// The device as [`ready`] left it; its next packet is a new one.
async fn test_device(center: &Center) -> TestDevice<'_> {
    let device = center.device("d1").await.id;
    let packet = (0..100).fold(PacketId::FIRST, |packet, _| packet.next());
    TestDevice { center, device, packet, session: None }
}

#[tokio::test]
async fn nothing_is_offered_and_no_row_is_written_before_the_user_confirms() {
    let (center, plan) = ready(|_| ()).await;
    assert_eq!(test_device(&center).await.request("STM32:1").await, [], "not even when the device asks");
    assert_eq!(center.minutes(21).await, []);
    assert_eq!(center.rows(plan).await, 0);
    assert_eq!(center.told().await, "waits for the user's confirmation");
    assert_eq!(center.actions().await, [UserAction::Confirm, UserAction::Appoint, UserAction::Cancel]);

    assert_eq!(center.says(UserCommand::Confirm).await.unwrap(), plan);
    assert_eq!(center.rows(plan).await, 0, "the row is born with the offer");
    assert_offers(&center.second().await, &["STM32"]);
    assert_eq!(center.says(UserCommand::Confirm).await.unwrap(), plan, "said twice, it is said");
    assert_eq!(center.second().await, []);
}

#[tokio::test]
async fn a_device_that_is_offline_is_offered_at_its_next_connect() {
    let center = Center::new().await;
    center.plan(&["STM32"], manual).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    test_device.disconnect().await;
    center.says(UserCommand::Confirm).await.unwrap();
    assert_eq!(center.second().await, []);
    let center_after = center.engine.clone();
    test_device.connect().await;
    assert_eq!(center.second().await, [], "its versions are not known yet");
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
    drop(center_after);
}

#[tokio::test]
async fn an_appointed_plan_is_offered_when_its_window_opens() {
    let (center, plan) = ready(|_| ()).await;
    let from = NOON + Millis::minutes(192) + Millis::seconds(7);
    center.appoints(from, from + Millis::hours(1)).await;
    // 11:03:20 in Berlin and 3 h 12 min 7 s.
    assert_eq!(center.told().await, "appointed for 14:15 Europe/Berlin, in 3 h 13 min");
    assert_eq!(center.minutes(192).await, [], "not at the marks before");
    center.clock.advance(Millis::seconds(6));
    assert_eq!(center.tick().await, []);
    assert_eq!(center.rows(plan).await, 0);
    assert_offers(&center.second().await, &["STM32"]);
}

#[tokio::test]
async fn a_window_that_has_closed_offers_nothing_more_and_the_user_is_asked_again() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], manual).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1").await;
    center.appoints(NOON, NOON + Millis::hours(1)).await;
    test_device.disconnect().await;
    center.minutes(60).await;
    test_device.connect().await;
    assert_eq!(test_device.report("FW1", "STM32:1").await, [], "it comes a moment too late");
    assert_eq!(test_device.request("STM32:1").await, []);
    assert_eq!(
        center.told().await,
        "waits for the user's confirmation: the appointed window closed at 12:03 Europe/Berlin"
    );
    assert_eq!(center.rows(plan).await, 0);
    center.auto(AutoConfirm::On).await;
    assert_offers(&center.second().await, &["STM32"]);
}

#[tokio::test]
async fn a_device_that_has_confirmed_inside_the_window_finishes_after_it() {
    let (center, plan) = ready(|_| ()).await;
    center.appoints(NOON, NOON + Millis::hours(1)).await;
    assert_offers(&center.second().await, &["STM32"]);
    let mut test_device = test_device(&center).await;
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    test_device.quiet(&[DownloadStart, Downloading]).await;
    for _ in 0..7 {
        center.minutes(9).await;
        test_device.quiet(&[Downloading]).await;
    }
    test_device.quiet(&[Updating]).await;
    test_device.status_of("STM32", UpdateSuccess, Versions { module: "FW1", mcu: "STM32:2" }).await;
    assert_eq!(center.outcome(plan).await.0, UpgradeState::Upgraded);
}

#[tokio::test]
async fn a_window_that_cannot_be_is_refused_with_the_rule() {
    let (center, plan) = ready(|plan| plan.end = Some(NOON + Millis::hours(5))).await;
    let appoint = |from, until| UserCommand::Appoint(Appointment { from: NOON + from, until: NOON + until });
    let refused = center.refuses(appoint(Millis::hours(1), Millis::minutes(119))).await;
    assert!(refused.contains("leaves 59 minutes") && refused.contains("at least 60"), "{refused}");
    let refused = center.refuses(appoint(Millis::hours(3), Millis::hours(6))).await;
    assert!(refused.contains("after the planned time ends at 2026-03-01T15:03:20Z"), "{refused}");
    assert_eq!(center.told().await, "waits for the user's confirmation", "nothing of it was kept");
    assert_eq!(center.rows(plan).await, 0);
}

#[tokio::test]
async fn a_confirmation_opens_neither_the_push_period_nor_the_planned_time() {
    let (center, _) = ready(|plan| plan.start = Some(NOON + Millis::hours(2))).await;
    center.says(UserCommand::Confirm).await.unwrap();
    assert_eq!(center.second().await, []);
    assert!(center.told().await.starts_with("planned time begins at 13:03 Europe/Berlin, in 2 h"));
    assert_eq!(center.minutes(119).await, []);
    let offers: Vec<_> = center.minutes(8).await.into_iter().map(|(_, message)| message).collect();
    assert_offers(&offers, &["STM32"]);
}

#[tokio::test]
async fn auto_confirm_agrees_once_for_all_until_it_is_switched_off() {
    let (center, plan) = ready(|_| ()).await;
    center.auto(AutoConfirm::On).await;
    assert_offers(&center.second().await, &["STM32"]);
    let mut test_device = test_device(&center).await;
    test_device.quiet(&[PlanReceived, Refused]).await;
    center.auto(AutoConfirm::Off).await;
    assert_eq!(center.minutes(130).await, [], "the plan waits for the user again");
    assert_eq!(center.told().await, "waits for the user's confirmation");
    assert_eq!(center.outcome(plan).await.0, UpgradeState::NotUpgraded);
    center.auto(AutoConfirm::On).await;
    assert_offers(&center.second().await, &["STM32"]);
}

#[tokio::test]
async fn a_cancelled_device_has_failed_and_is_not_offered_again() {
    let (center, plan) = ready(|_| ()).await;
    center.says(UserCommand::Cancel).await.unwrap();
    assert_eq!(center.outcome(plan).await, failed(CANCELLED));
    assert_eq!(center.upgrade(plan).await.components[0].state, ComponentState::Failed);
    assert_eq!(center.minutes(21).await, []);
    center.auto(AutoConfirm::On).await;
    assert_eq!(center.minutes(21).await, []);
    let refused = center.refuses(UserCommand::Confirm).await;
    assert_eq!(refused, "the device is at its end in upgrade plan 1: upgrade_failed (cancelled by user)");
    assert_eq!(center.actions().await, [UserAction::Retry]);
    let figures = center.engine.store().read().await.unwrap().plan_figures(plan).await.unwrap();
    assert_eq!((figures.failed, figures.success_rate()), (1, Some(0.0)));
}

#[tokio::test]
async fn an_offer_that_is_cancelled_before_the_device_confirms_gets_no_url() {
    let (center, plan) = ready(|_| ()).await;
    center.says(UserCommand::Confirm).await.unwrap();
    assert_offers(&center.second().await, &["STM32"]);
    let mut test_device = test_device(&center).await;
    test_device.quiet(&[PlanReceived]).await;
    center.says(UserCommand::Cancel).await.unwrap();
    test_device.quiet(&[Confirmed]).await;
    assert_eq!(center.outcome(plan).await, failed(CANCELLED));
    assert_eq!(center.plan_state(plan).await, PlanState::Activated, "no device has started");
}

/// A device in the middle of its download.
async fn downloading(center: &Center) -> TestDevice<'_> {
    center.says(UserCommand::Confirm).await.unwrap();
    assert_offers(&center.second().await, &["STM32"]);
    let mut test_device = test_device(center).await;
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    test_device.quiet(&[DownloadStart, Downloading]).await;
    test_device
}

#[tokio::test]
async fn a_download_that_is_cancelled_gets_no_more_bytes_and_its_failure_is_the_users_wish() {
    let (center, plan) = ready(|_| ()).await;
    let mut test_device = downloading(&center).await;
    center.says(UserCommand::Cancel).await.unwrap();
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.ended), (UpgradeState::Upgrading, None), "nothing tells it to stop");
    assert!(!upgrade.may_fetch(&no("STM32")));
    test_device.quiet(&[Downloading, DownloadError]).await;
    assert_eq!(center.outcome(plan).await, failed(CANCELLED));
    assert!(center.upgrade(plan).await.ended.is_some(), "no other attempt");
    assert_eq!(center.minutes(21).await, []);
}

#[tokio::test]
async fn a_cancelled_device_that_vanishes_or_asks_anew_ends_too() {
    let (center, plan) = ready(|_| ()).await;
    downloading(&center).await;
    center.says(UserCommand::Cancel).await.unwrap();
    center.minutes(11).await;
    assert_eq!(center.outcome(plan).await, failed(CANCELLED), "its lease ran out");

    for asks in [true, false] {
        let (center, plan) = ready(|_| ()).await;
        let mut test_device = downloading(&center).await;
        center.says(UserCommand::Cancel).await.unwrap();
        let heard =
            if asks { test_device.request("STM32:1").await } else { test_device.status(Confirmed).await };
        assert_eq!(heard, []);
        assert_eq!(center.outcome(plan).await, failed(CANCELLED));
    }
}

#[tokio::test]
async fn a_cancelled_device_that_had_its_firmware_already_is_upgraded() {
    let (center, plan) = ready(|_| ()).await;
    let mut test_device = downloading(&center).await;
    center.says(UserCommand::Cancel).await.unwrap();
    test_device.quiet(&[Downloaded, Updating]).await;
    test_device.status_of("STM32", UpdateSuccess, Versions { module: "FW1", mcu: "STM32:2" }).await;
    assert_eq!(center.outcome(plan).await, (UpgradeState::Upgraded, None), "truth is the reported version");
}

#[tokio::test]
async fn what_is_being_put_into_place_is_not_cancelled() {
    let (center, plan) = ready(|_| ()).await;
    let mut test_device = downloading(&center).await;
    test_device.quiet(&[Downloaded, Updating]).await;
    let refused = center.refuses(UserCommand::Cancel).await;
    assert!(refused.starts_with("component STM32 is being upgraded"), "{refused}");
    let refused = center
        .refuses(UserCommand::Appoint(Appointment { from: NOON, until: NOON + Millis::hours(9) }))
        .await;
    assert!(refused.contains("is at upgrading already"), "{refused}");
    assert_eq!(center.actions().await, [UserAction::Confirm]);
    assert_eq!(center.upgrade(plan).await.cancelled, None);
}

#[tokio::test]
async fn the_rest_of_a_cancelled_plan_is_not_begun() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32", "SENSOR"], manual).await;
    let mut test_device = center.connected().await;
    test_device.report("FW1", "STM32:1;SENSOR:1").await;
    center.says(UserCommand::Confirm).await.unwrap();
    center.second().await;
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    test_device.quiet(&[DownloadStart, Downloading]).await;
    center.says(UserCommand::Cancel).await.unwrap();
    test_device.quiet(&[Downloaded, Updating]).await;
    let versions = Versions { module: "FW1", mcu: "STM32:2;SENSOR:1" };
    assert_eq!(test_device.status_of("STM32", UpdateSuccess, versions).await, []);
    let upgrade = center.upgrade(plan).await;
    assert_eq!((upgrade.state, upgrade.reason.as_deref()), (UpgradeState::Failed, Some(CANCELLED)));
    let states: Vec<_> = upgrade.components.iter().map(|component| component.state).collect();
    assert_eq!(states, [ComponentState::Succeeded, ComponentState::Failed]);
}

#[tokio::test]
async fn a_retry_after_a_failure_has_all_its_attempts_again() {
    let (center, plan) = ready(|plan| plan.strategy.retries = 1).await;
    let refused = center.refuses(UserCommand::Retry).await;
    assert!(refused.contains("only a failed upgrade is retried"), "{refused}");
    let mut test_device = downloading(&center).await;
    test_device.quiet(&[UpdateError]).await;
    for round in 0..2 {
        if round == 1 {
            assert_eq!(center.actions().await, [UserAction::Retry]);
            center.says(UserCommand::Retry).await.unwrap();
            assert_offers(&center.second().await, &["STM32"]);
            test_device.quiet(&[PlanReceived]).await;
            firmware(&test_device.status(Confirmed).await);
            test_device.quiet(&[UpdateError]).await;
        }
        assert_eq!(center.upgrade(plan).await.ended, None);
        center.clock.advance(Millis::seconds(10));
        assert_offers(&center.second().await, &["STM32"]);
        test_device.quiet(&[PlanReceived]).await;
        firmware(&test_device.status(Confirmed).await);
        test_device.quiet(&[UpdateError]).await;
        assert_eq!(center.outcome(plan).await, failed("the device reports a failed upgrade (status 12)"));
    }
}

#[tokio::test]
async fn a_user_who_cancelled_may_want_it_after_all() {
    let (center, plan) = ready(|_| ()).await;
    center.says(UserCommand::Cancel).await.unwrap();
    center.says(UserCommand::Retry).await.unwrap();
    assert_eq!(center.outcome(plan).await, (UpgradeState::NotUpgraded, None));
    assert_offers(&center.second().await, &["STM32"]);
    let mut test_device = test_device(&center).await;
    test_device.quiet(&[PlanReceived]).await;
    firmware(&test_device.status(Confirmed).await);
    assert!(center.upgrade(plan).await.may_fetch(&no("STM32")));
}

#[tokio::test]
async fn a_suspended_plan_takes_a_cancellation_only_and_one_that_is_over_nothing() {
    let (center, plan) = ready(|_| ()).await;
    center.engine.suspend(plan).await.unwrap();
    for word in [UserCommand::Confirm, UserCommand::Retry] {
        let refused = center.refuses(word).await;
        assert!(refused.contains("upgrade plan 1 is suspended"), "{refused}");
    }
    assert_eq!(center.actions().await, [UserAction::Cancel]);
    center.says(UserCommand::Cancel).await.unwrap();
    center.engine.terminate(plan).await.unwrap();
    assert_eq!(center.outcome(plan).await, failed(CANCELLED), "it stays what it was");
    assert_eq!(center.refuses(UserCommand::Retry).await, "no upgrade plan of this device takes this now");
    let named =
        center.engine.apply_user_command(&pk(), &dk("d1"), Some(plan), UserCommand::Retry).await.unwrap_err();
    assert!(named.to_string().contains("upgrade plan 1 is terminated"), "{named}");
}

#[tokio::test]
async fn a_silent_plan_asks_nobody() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    center.connected().await.report("FW1", "STM32:1").await;
    assert_eq!(center.refuses(UserCommand::Confirm).await, "no upgrade plan of this device takes this now");
    let named = center
        .engine
        .apply_user_command(&pk(), &dk("d1"), Some(plan), UserCommand::Cancel)
        .await
        .unwrap_err();
    assert_eq!(named.to_string(), "upgrade plan 1 is silent: it asks nobody");
}

#[tokio::test]
async fn where_several_plans_ask_the_user_says_which() {
    let center = Center::new().await;
    let first = center.plan(&["STM32"], manual).await;
    let second = center.saved("other", &["SENSOR"], manual).await;
    center.engine.activate(second, Supersede::Refuse).await.unwrap();
    center.connected().await.report("FW1", "STM32:1;SENSOR:1").await;
    assert_eq!(
        center.refuses(UserCommand::Confirm).await,
        "several upgrade plans take this, 2, 1: say which"
    );
    center.engine.apply_user_command(&pk(), &dk("d1"), Some(first), UserCommand::Confirm).await.unwrap();
    assert_offers(&center.second().await, &["STM32"]);
}

#[tokio::test]
async fn cancellations_do_not_halt_a_plan_and_are_none_of_its_first_devices() {
    let halt = Some(Halt { percent: 0, after: 1 });
    let (center, plan) = ready(|plan| {
        plan.strategy.halt = halt;
        plan.strategy.first_devices = Some(1);
    })
    .await;
    downloading(&center).await;
    center.says(UserCommand::Cancel).await.unwrap();
    center.minutes(11).await;
    assert_eq!(center.outcome(plan).await, failed(CANCELLED));
    assert_eq!(center.plan_state(plan).await, PlanState::Upgrading);
    let load = {
        let mut store = center.engine.store().read().await.unwrap();
        let plan = store.plan(plan).await.unwrap();
        store.load(&plan, center.clock.now()).await.unwrap()
    };
    assert_eq!(load.finished, 0);
}

#[tokio::test]
async fn a_restart_forgets_no_word() {
    let (center, _) = ready(|_| ()).await;
    let from = NOON + Millis::hours(2);
    center.appoints(from, from + Millis::hours(1)).await;
    let center = center.restarted().await;
    center.clock.advance(Millis::hours(2));
    let mut test_device = center.connected().await;
    assert_offers(&test_device.report("FW1", "STM32:1").await, &["STM32"]);
}

#[tokio::test]
async fn every_word_of_the_user_is_in_the_log() {
    let (center, plan) = ready(|_| ()).await;
    center.auto(AutoConfirm::On).await;
    center.says(UserCommand::Cancel).await.unwrap();
    center.says(UserCommand::Retry).await.unwrap();
    let device = center.device("d1").await.id;
    let log = center.engine.store().read().await.unwrap().device_log(device, 10).await.unwrap();
    let words: Vec<_> = log
        .iter()
        .filter(|entry| entry.kind == "user")
        .map(|entry| entry.value["action"].as_str().unwrap_or("auto-confirm"))
        .collect();
    assert_eq!(words, ["auto-confirm", "cancel", "retry"]);
    assert!(center.log(plan).await.iter().any(|entry| entry.value["text"] == CANCELLED));
}
