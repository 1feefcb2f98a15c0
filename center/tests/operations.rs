//! What those who run a center look at: the figures, and the files in `ops` that read them.

mod conversation;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use conversation::Center;
use quecota_center::metrics::Metrics;
use quecota_center::seal::Keyring;
use quecota_center::store::Store;
use sqlx::{AnyConnection, Connection, Executor};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every `quecota_...` in a text, without what the text format adds to its end.
fn figures(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    let words = text.split(|c: char| !is_word(c)).filter_map(|word| word.strip_prefix("quecota_"));
    words
        .map(|name| {
            let ends = ["_total", "_bucket", "_sum", "_count", "_info"];
            ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn every_figure_that_is_named_exists_and_every_figure_is_on_the_dashboard() {
    let metrics = Metrics::default();
    let known: BTreeSet<String> = metrics.names().iter().map(|name| (*name).to_owned()).collect();
    let shown: BTreeSet<String> = figures(&metrics.text(0).unwrap());
    assert!(shown.is_subset(&known), "{:?}", shown.difference(&known));
    for file in ["ops/alerts.yml", "ops/alerts_test.yml", "ops/grafana-dashboard.json"] {
        let named = figures(&read(file));
        assert!(named.len() > 2, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: no figure of the center is {unknown:?}");
    }
    let dashboard = figures(&read("ops/grafana-dashboard.json"));
    let missing: Vec<_> =
        known.difference(&dashboard).filter(|name| *name != "log_lines_forgotten").collect();
    assert!(missing.is_empty(), "not on the dashboard: {missing:?}");
    for page in ["docs/center.md", "docs/scale.md", "docs/security.md"] {
        // quecota_poll() and the like are functions of the library; none of these pages is about them.
        let unknown: Vec<_> = figures(&read(page)).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{page}: {unknown:?}");
    }
    let alerts = read("ops/alerts.yml");
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let guide = read("docs/scale.md");
    for name in names {
        assert!(guide.contains(&format!("`{name}`")), "docs/scale.md does not say what {name} means");
    }
}

/// Runs promtool, if it is there.
fn promtool(arguments: &[&str]) -> bool {
    match Command::new("promtool").args(arguments).current_dir(root().join("ops")).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "promtool {arguments:?}: {said}");
            true
        }
        Err(_) => {
            println!("SKIPPED: no promtool (Debian: apt-get install prometheus)");
            false
        }
    }
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_should() {
    let checks: [&[&str]; 3] = [
        &["check", "rules", "alerts.yml"],
        &["check", "config", "--syntax-only", "prometheus.yml"],
        &["test", "rules", "alerts_test.yml"],
    ];
    if !checks.iter().all(|check| promtool(check)) {
        return;
    }
    // The queries of the dashboard, as rules: promtool reads those.
    let dashboard: serde_json::Value = serde_json::from_str(&read("ops/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: Vec<_> = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()).collect();
    assert!(queries.len() > 20);
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, query) in queries.iter().enumerate() {
        rules += &format!("      - record: dashboard:{number}\n        expr: {}\n", query["expr"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", &file.display().to_string()]);
}

#[tokio::test]
async fn the_write_ahead_log_gets_short_again_after_a_long_read() {
    const BALLAST: u64 = 40_000_000;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("center.db");
    let center = Center::over(Store::sqlite(&file, Keyring::made()).await.unwrap()).await;
    let url = format!("sqlite://{}", file.display());
    let mut reader = AnyConnection::connect(&url).await.unwrap();
    reader.execute("BEGIN; SELECT COUNT(*) FROM devices;").await.unwrap();
    let mut writer = AnyConnection::connect(&url).await.unwrap();
    writer.execute("CREATE TABLE ballast (bytes BLOB)").await.unwrap();
    writer.execute("INSERT INTO ballast VALUES (zeroblob(40000000))").await.unwrap();

    let bytes = || {
        let text = center.engine.metrics().text(0).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("quecota_store_log_bytes ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    center.engine.tend_database_log().await.unwrap();
    assert!(bytes() > BALLAST, "somebody reads: {}", bytes());
    // Devices are served meanwhile.
    center.device("d1").await;
    reader.execute("COMMIT").await.unwrap();
    center.engine.tend_database_log().await.unwrap();
    assert_eq!(bytes(), 0);
    assert_eq!(std::fs::metadata(folder.path().join("center.db-wal")).unwrap().len(), 0);
}
