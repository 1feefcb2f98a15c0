//! Version packages and their firmware verifications.

use super::*;

contract! {
    a_package_comes_back_with_its_files
    a_package_in_use_is_not_deleted
    a_package_that_a_device_still_works_with_is_not_deleted
    a_verification_is_found_by_its_package_and_its_deadline
}

async fn a_package_comes_back_with_its_files(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, _) = scene(&mut writer).await;
    assert_eq!(writer.package(package.id).await.unwrap(), package);
    let package_id = package.id;
    let page = writer.packages(Some(&pk("p1abcd")), 0, 10).await.unwrap();
    assert_eq!((page.rows, page.next), (vec![package], None));
    assert!(writer.packages(Some(&pk("nobody")), 0, 10).await.unwrap().rows.is_empty());
    let [plan] = writer.plans_with_package(package_id).await.unwrap().try_into().unwrap();
    assert_eq!((plan.name, plan.state), (title("plan"), PlanState::Saved));
    assert!(writer.is_object_used("object1").await.unwrap());
    assert!(!writer.is_object_used("object2").await.unwrap());
    let mut stray = self::package("3");
    stray.component = no("other");
    let error = writer.create_package(stray, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "component", .. }), "{error}");
}

async fn a_package_in_use_is_not_deleted(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, mut plan) = scene(&mut writer).await;
    let error = writer.delete_package(package.id).await.unwrap_err();
    assert!(error.to_string().contains("upgrade plan \"plan\" uses it"), "{error}");
    plan.state = PlanState::Ended;
    writer.save_plan_state(&plan).await.unwrap();
    assert_eq!(writer.delete_package(package.id).await.unwrap(), package);
    assert_eq!(writer.find_package(package.id).await.unwrap(), None);
}

async fn a_package_that_a_device_still_works_with_is_not_deleted(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, mut plan) = scene(&mut writer).await;
    let mut working = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    working.state = UpgradeState::Upgrading;
    writer.save_upgrade(&working).await.unwrap();
    plan.state = PlanState::Terminated;
    writer.save_plan_state(&plan).await.unwrap();
    let error = writer.delete_package(package.id).await.unwrap_err();
    assert!(error.to_string().contains("a device still works with it in upgrade plan \"plan\""), "{error}");
    working.ended = Some(NOW);
    writer.save_upgrade(&working).await.unwrap();
    writer.delete_package(package.id).await.unwrap();
    assert_eq!(writer.hold_package(package.id).await.unwrap(), None);
}

async fn a_verification_is_found_by_its_package_and_its_deadline(bench: &Bench) {
    use quecota_center::rules::plan::Verified;
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert_eq!(writer.last_verification(package.id).await.unwrap(), None, "a plan's upgrade is none");
    let mut made = upgrade(&plan, device.id, package.id);
    (made.plan, made.deadline) = (None, Some(NOW + Millis::minutes(60)));
    let mut first = writer.create_upgrade(made.clone()).await.unwrap();
    let second = writer.create_upgrade(made).await.unwrap();
    assert_eq!(writer.verifications(package.id, 0, 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(
        writer.verifications(package.id, first.id.0, 10).await.unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(writer.last_verification(package.id).await.unwrap(), Some(second));
    assert_eq!(writer.running_verification(package.id).await.unwrap(), Some(first.id));
    assert_eq!(writer.verified(package.id).await.unwrap(), Verified::Never);
    first.state = UpgradeState::Upgraded;
    first.ended = Some(NOW);
    writer.save_upgrade(&first).await.unwrap();
    assert_eq!(writer.verified(package.id).await.unwrap(), Verified::Passed);
    assert!(writer.deadlines_over("center", NOW + Millis::minutes(59), 10).await.unwrap().is_empty());
    assert_eq!(writer.deadlines_over("center", NOW + Millis::minutes(60), 10).await.unwrap(), [device.id]);
    writer.extend_leases(NOW + Millis::minutes(65)).await.unwrap();
    assert!(writer.deadlines_over("center", NOW + Millis::minutes(64), 10).await.unwrap().is_empty());
    assert_eq!(
        writer.upgrade(first.id).await.unwrap().deadline,
        Some(NOW + Millis::minutes(60)),
        "it is over"
    );
}
