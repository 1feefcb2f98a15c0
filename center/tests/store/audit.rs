use quecota_center::rules::audit::{Change, Verifier};

use super::*;

contract! {
    lines_are_added_in_turn_and_never_changed
    what_a_stopped_center_began_is_written_at_its_next_start
}

fn change(number: i64) -> Change {
    Change {
        at: Millis(number),
        actor: "account admin".to_owned(),
        address: "10.0.0.1".to_owned(),
        action: "PATCH /products/{pk}".to_owned(),
        target: "/products/p1".to_owned(),
        outcome: "200".to_owned(),
        before: Some(serde_json::json!({ "ü": number, "a": null })),
        after: None,
    }
}

async fn lines_are_added_in_turn_and_never_changed(bench: &Bench) {
    let tasks = (0..8).map(|number| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let mut writer = store.write().await.unwrap();
            let pending = writer.begin_audit("a", &change(number)).await.unwrap();
            writer.commit().await.unwrap();
            let mut writer = store.write().await.unwrap();
            writer.end_audit(pending, change(number)).await.unwrap();
            writer.commit().await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let page = bench.store.read().await.unwrap().audit_log(0, 5).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (5, Some(5)));
    let rest = bench.store.read().await.unwrap().audit_log(5, 5).await.unwrap();
    let mut verifier = Verifier::default();
    page.rows.iter().chain(&rest.rows).for_each(|line| verifier.take(line).unwrap());
    assert_eq!(verifier.lines, 8);

    let mut connection = AnyConnection::connect(&bench.url).await.unwrap();
    for statement in ["UPDATE audit_log SET actor = 'x' WHERE id = 2", "DELETE FROM audit_log WHERE id = 8"] {
        let error = connection.execute(statement).await.unwrap_err();
        assert!(error.to_string().contains("only added to"), "{error}");
    }
    connection.close().await.unwrap();
}

async fn what_a_stopped_center_began_is_written_at_its_next_start(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    writer.begin_audit("ours", &change(1_000)).await.unwrap();
    writer.begin_audit("other", &change(1_000)).await.unwrap();
    writer.begin_audit("other", &change(10)).await.unwrap();
    assert_eq!(writer.end_lost_audits("ours", Millis(500)).await.unwrap(), 2);
    assert_eq!(writer.end_lost_audits("ours", Millis(500)).await.unwrap(), 0);
    writer.commit().await.unwrap();
    let lines = bench.store.read().await.unwrap().audit_log(0, 9).await.unwrap().rows;
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.change.outcome.starts_with("unknown")), "{lines:?}");
}
