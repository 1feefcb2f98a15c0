//! Commit, restart, locks, and the errors of the database.

use super::*;

contract! {
    an_uncommitted_transaction_leaves_nothing
    a_restart_finds_everything
    writers_of_one_device_wait_for_each_other
    a_value_that_is_refused_is_told_apart_from_trouble_of_the_moment
}

async fn an_uncommitted_transaction_leaves_nothing(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    drop(writer);
    assert_eq!(bench.store.read().await.unwrap().products().await.unwrap(), []);
}

async fn a_restart_finds_everything(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, ..) = scene(&mut writer).await;
    writer.commit().await.unwrap();
    bench.store.close().await;
    let again = Store::connect(&bench.url, bench.keys.clone()).await.unwrap();
    assert_eq!(again.read().await.unwrap().device(&pk("p1abcd"), &dk("d1")).await.unwrap(), device);
    assert!(
        bench.store.read().await.is_err_and(|error| error.is_temporary()),
        "a closed store is trouble of the moment"
    );
    again.close().await;
}

async fn writers_of_one_device_wait_for_each_other(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let id = device(&mut writer, "d1").await.id;
    writer.commit().await.unwrap();
    let add = |store: Store| async move {
        let mut writer = store.write().await.unwrap();
        let mut device = writer.lock_device(id).await.unwrap();
        tokio::task::yield_now().await;
        device.signal = Some(device.signal.unwrap_or(0) + 1);
        writer.save_device(&device).await.unwrap();
        writer.commit().await.unwrap();
    };
    let tasks: Vec<_> = (0..6).map(|_| tokio::spawn(add(bench.store.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let device = bench.store.read().await.unwrap().device_by_id(id).await.unwrap();
    assert_eq!(device.signal, Some(6));
}

async fn a_value_that_is_refused_is_told_apart_from_trouble_of_the_moment(bench: &Bench) {
    // No such device: a foreign key.
    let (device, kind) = (DeviceId(4_711), "error");
    let entry = NewLogEntry { device, upgrade: None, component: None, kind, value: "{}".to_owned() };
    let mut writer = bench.store.write().await.unwrap();
    let error = writer.log(entry, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)) && !error.is_temporary(), "{error}");
    drop(writer);
    bench.store.close().await;
    let error = bench.store.read().await.map(drop).unwrap_err();
    assert!(error.is_temporary(), "{error}");
}
