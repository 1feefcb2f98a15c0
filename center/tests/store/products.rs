//! Products and their components.

use super::*;

contract! {
    a_product_is_found_by_its_key
    a_product_key_that_begins_another_is_refused
    a_component_is_unique_in_its_product
    a_component_that_is_used_stays_as_it_is
    a_product_is_renamed
}

async fn a_product_is_found_by_its_key(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let made = product(&mut writer, "p1abcd").await.unwrap();
    writer.commit().await.unwrap();
    let mut reader = bench.store.read().await.unwrap();
    assert_eq!(reader.product(&pk("p1abcd")).await.unwrap(), made);
    assert_eq!(reader.products().await.unwrap(), [made]);
    let error = reader.product(&pk("other")).await.unwrap_err();
    assert_eq!(error.to_string(), "product \"other\" does not exist");
}

async fn a_product_key_that_begins_another_is_refused(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    for key in ["p1abcd", "A", "a9", "zz"] {
        product(&mut writer, key).await.unwrap();
    }
    for key in ["p1", "p1abcd", "p1abcdef", "AB", "a", "z", "zzz"] {
        let error = product(&mut writer, key).await.unwrap_err();
        assert!(matches!(&error, StoreError::Conflict { id, .. } if id == key), "{key}: {error}");
    }
    for key in ["p1abcc", "p2", "b", "zy", "P1abcdef"] {
        product(&mut writer, key).await.unwrap();
    }
}

async fn a_component_is_unique_in_its_product(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let made = writer.create_component(&pk("p1abcd"), &no("STM32"), ComponentKind::Mcu, NOW).await.unwrap();
    assert_eq!(writer.components(&pk("p1abcd")).await.unwrap(), [made]);
    let missing = writer.create_component(&pk("nobody"), &no("STM32"), ComponentKind::Mcu, NOW).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "product", .. })));
    let again = writer.create_component(&pk("p1abcd"), &no("STM32"), ComponentKind::Module, NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "component", .. })));
}

async fn a_component_that_is_used_stays_as_it_is(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plan) = scene(&mut writer).await;
    let key = pk("p1abcd");
    for used in ["version package \"spring\" is for it", "upgrade plan \"plan\" is for it"] {
        let error = writer.delete_component(&key, &no("STM32")).await.unwrap_err().to_string();
        assert!(error.contains(used), "{error}");
        let error = writer.edit_component(&key, &no("STM32"), ComponentKind::Module).await.unwrap_err();
        assert!(error.to_string().contains(used), "{error}");
        if used.starts_with("version") {
            let mut over = plan.clone();
            over.state = PlanState::Ended;
            writer.save_plan_state(&over).await.unwrap();
            writer.delete_package(package.id).await.unwrap();
            writer.save_plan_state(&plan).await.unwrap();
        }
    }
    writer.delete_plan(plan.id).await.unwrap();
    let edited = writer.edit_component(&key, &no("STM32"), ComponentKind::Module).await.unwrap();
    assert_eq!(edited.kind, ComponentKind::Module);
    writer.delete_component(&key, &no("STM32")).await.unwrap();
    assert!(writer.components(&key).await.unwrap().is_empty());
}

async fn a_product_is_renamed(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let before = product(&mut writer, "p1abcd").await.unwrap();
    let name = title("gauges");
    let edited = writer.edit_product(&before.key, &name, Admission::KnownOnly).await.unwrap();
    assert_eq!(edited, Product { name, admission: Admission::KnownOnly, ..before });
}
