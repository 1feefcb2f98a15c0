//! What each room may use, and whether the sources keep to it; and whether ARCHITECTURE.md names what there is.

mod lexer;
mod modules;

use modules::{Use, Workspace, is_in};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The crates, by the names that `use` has for them.
const CRATES: &[(&str, &str)] = &[
    ("quecota_core", "core/src"),
    ("quecota", "src"),
    ("quecota_center", "center/src"),
    ("test_platform", "testing/platform/src"),
    ("reference_device", "testing/reference-device/src"),
    ("fuzz", "testing/fuzz/src"),
    ("bench", "testing/bench/src"),
    ("xtask", "xtask/src"),
];

/// Every room, and what it may use: rooms, or files of them.
const ROOMS: &[(&str, &[&str])] = &[
    ("core/src/lib.rs", &[]),
    ("core/src/limits.rs", &[]),
    ("core/src/text.rs", &[]),
    ("core/src/clock.rs", &[]),
    ("core/src/digest", &[]),
    ("core/src/wire", &["core/src/digest", "core/src/limits.rs", "core/src/text.rs"]),
    // The head of a firmware answer, as a transport tells it.
    ("core/src/platform.rs", &["core/src/wire/http"]),
    ("core/src/image.rs", &["core/src/digest", "core/src/wire", "core/src/limits.rs", "core/src/text.rs"]),
    (
        "core/src/journal",
        &[
            "core/src/image.rs",
            "core/src/digest",
            "core/src/wire",
            "core/src/platform.rs",
            "core/src/clock.rs",
            "core/src/limits.rs",
            "core/src/text.rs",
        ],
    ),
    (
        "core/src/ota",
        &[
            "core/src/image.rs",
            "core/src/digest",
            "core/src/journal",
            "core/src/wire",
            "core/src/platform.rs",
            "core/src/clock.rs",
            "core/src/limits.rs",
            "core/src/text.rs",
        ],
    ),
    (
        "core/src/cloud",
        &[
            "core/src/journal",
            "core/src/wire",
            "core/src/platform.rs",
            "core/src/clock.rs",
            "core/src/limits.rs",
            "core/src/text.rs",
        ],
    ),
    (
        "core/src/agent",
        &[
            "core/src/image.rs",
            "core/src/digest",
            "core/src/ota",
            "core/src/cloud",
            "core/src/journal",
            "core/src/wire",
            "core/src/platform.rs",
            "core/src/clock.rs",
            "core/src/limits.rs",
            "core/src/text.rs",
        ],
    ),
    ("src/lib.rs", &[]),
    ("src/boundary.rs", &[]),
    // The log for what is refused before there is a device.
    ("src/native", &["src/boundary.rs", "src/host/log.rs", "core/src"]),
    (
        "src/ql_iot",
        &[
            "src/native",
            "src/boundary.rs",
            "core/src/agent",
            "core/src/wire",
            "core/src/limits.rs",
            "core/src/platform.rs",
            "core/src/text.rs",
        ],
    ),
    (
        "src/host",
        &[
            "src/native",
            "src/boundary.rs",
            "core/src/agent",
            "core/src/limits.rs",
            "core/src/platform.rs",
            // The host has sockets, and no reader of HTTP answers of its own.
            "core/src/wire/http",
            "core/src/wire/download.rs",
            "testing/platform",
        ],
    ),
    ("center/src/clock.rs", &[]),
    ("center/src/seal.rs", &[]),
    ("center/src/planted.rs", &[]),
    ("center/src/connections.rs", &[]),
    ("center/src/disk.rs", &[]),
    ("center/src/open_files.rs", &[]),
    ("center/src/peer.rs", &[]),
    ("center/src/proxy_protocol.rs", &[]),
    ("center/src/tls.rs", &[]),
    ("center/src/log.rs", &[]),
    // Of the codec only the status numbers and the prefix by which a quecota device is known.
    (
        "center/src/rules",
        &["center/src/clock.rs", "core/src/wire/message/status.rs", "core/src/wire/message/extension.rs"],
    ),
    (
        "center/src/store",
        &["center/src/rules", "center/src/clock.rs", "center/src/seal.rs", "center/src/planted.rs"],
    ),
    ("center/src/metrics.rs", &["center/src/open_files.rs", "center/src/store", "center/src/rules"]),
    (
        "center/src/packages",
        &["center/src/store", "center/src/rules", "center/src/clock.rs", "center/src/metrics.rs"],
    ),
    // Requests for files are answered before hyper sees them.
    (
        "center/src/http.rs",
        &[
            "center/src/connections.rs",
            "center/src/packages",
            "center/src/peer.rs",
            "center/src/proxy_protocol.rs",
            "center/src/tls.rs",
        ],
    ),
    (
        "center/src/engine",
        &[
            "center/src/planted.rs",
            "center/src/packages",
            "center/src/store",
            "center/src/rules",
            "center/src/clock.rs",
            "center/src/metrics.rs",
        ],
    ),
    (
        "center/src/scheduler.rs",
        &[
            "center/src/engine",
            "center/src/store",
            "center/src/rules",
            "center/src/clock.rs",
            "center/src/metrics.rs",
        ],
    ),
    (
        "center/src/devices",
        &[
            "center/src/planted.rs",
            "center/src/connections.rs",
            "center/src/open_files.rs",
            "center/src/tls.rs",
            "center/src/proxy_protocol.rs",
            "center/src/scheduler.rs",
            "center/src/engine",
            "center/src/store",
            "center/src/rules",
            "center/src/clock.rs",
            "center/src/metrics.rs",
            "core/src/wire",
            "core/src/limits.rs",
            "core/src/text.rs",
        ],
    ),
    ("center/src/access", &["center/src/store", "center/src/rules", "center/src/clock.rs"]),
    (
        "center/src/webhooks",
        &[
            "center/src/peer.rs",
            "center/src/store",
            "center/src/rules",
            "center/src/clock.rs",
            "center/src/metrics.rs",
        ],
    ),
    (
        "center/src/api",
        &[
            "center/src/planted.rs",
            "center/src/webhooks",
            "center/src/access",
            "center/src/peer.rs",
            "center/src/disk.rs",
            "center/src/engine",
            "center/src/packages",
            "center/src/store",
            "center/src/rules",
            "center/src/clock.rs",
            "center/src/metrics.rs",
        ],
    ),
    // The pages; of the API its use cases that are more than a call of the engine, its errors and its streams.
    (
        "center/src/web",
        &[
            "center/src/access",
            "center/src/peer.rs",
            "center/src/api",
            "center/src/engine",
            "center/src/packages/format.rs",
            "center/src/store",
            "center/src/rules",
            "center/src/clock.rs",
        ],
    ),
    ("center/src/config.rs", &["center/src/packages", "center/src/seal.rs"]),
    (
        "center/src/serve.rs",
        &[
            "center/src/webhooks",
            "center/src/connections.rs",
            "center/src/peer.rs",
            "center/src/tls.rs",
            "center/src/access",
            "center/src/web",
            "center/src/api",
            "center/src/devices",
            "center/src/scheduler.rs",
            "center/src/engine",
            "center/src/packages",
            "center/src/store",
            "center/src/rules",
            "center/src/clock.rs",
            "center/src/config.rs",
            "center/src/disk.rs",
            "center/src/open_files.rs",
            "center/src/http.rs",
            "center/src/log.rs",
            "center/src/proxy_protocol.rs",
            "center/src/metrics.rs",
            "center/src/seal.rs",
        ],
    ),
    (
        "center/src/maintenance.rs",
        &["center/src/serve.rs", "center/src/config.rs", "center/src/store", "center/src/clock.rs"],
    ),
    (
        "center/src/cli",
        &[
            "center/src/config.rs",
            "center/src/serve.rs",
            "center/src/maintenance.rs",
            "center/src/packages",
            "center/src/rules",
        ],
    ),
    ("center/src/lib.rs", &[]),
    (
        "center/src/main.rs",
        &["center/src/cli", "center/src/log.rs", "center/src/serve.rs", "center/src/maintenance.rs"],
    ),
    ("testing/platform", &["core/src"]),
    // Shares no code with core, so that both are not wrong in the same way.
    ("testing/reference-device", &[]),
    ("testing/fuzz", &["core/src", "testing/platform"]),
    ("testing/bench", &["core/src", "testing/platform"]),
    ("xtask", &[]),
];

/// Crates from outside that only some rooms may name.
const EXTERNAL: &[(&str, &[&str])] = &[("sqlx", &["center/src/store"])];

/// Rooms whose files must not use each other in a circle. `mod.rs` does not count: it holds what its files share.
const NO_CIRCLES: &[&str] = &["center/src/cli", "center/src/rules", "src/native"];

/// What does not hold yet: who uses what. An entry that nothing needs any more fails.
const NOT_YET: &[(&str, &str)] = &[];

fn not_yet(used: &Use) -> Option<&'static (&'static str, &'static str)> {
    NOT_YET.iter().find(|(from, to)| is_in(&used.from, from) && is_in(&used.to, to))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

static WORKSPACE: LazyLock<Workspace> =
    LazyLock::new(|| Workspace::read(&root(), CRATES, ROOMS.iter().map(|(room, _)| *room)));
static USES: LazyLock<Vec<Use>> = LazyLock::new(|| WORKSPACE.uses());

/// Why a room may not use what it does; `None` if it may.
fn refusal(used: &Use) -> Option<String> {
    let Use { from, line, path, to } = used;
    let room = WORKSPACE.room(from)?;
    let (_, may) = ROOMS.iter().find(|(name, _)| *name == room)?;
    if let Some((_, rooms)) = EXTERNAL.iter().find(|(name, _)| name == to) {
        let allowed = rooms.contains(&room);
        return (!allowed)
            .then(|| format!("{from}:{line}: `{path}`: only {} may use {to}", rooms.join(", ")));
    }
    let their = WORKSPACE.room(to)?;
    let allowed = their == room || may.iter().any(|may| is_in(to, may));
    let may = if may.is_empty() { "no other room".to_owned() } else { may.join(", ") };
    (!allowed).then(|| format!("{from}:{line}: `{path}` is in {to}; {room} may use {may}"))
}

#[test]
fn rooms_use_only_what_they_may() {
    let mut wrong = Vec::new();
    let mut told = BTreeSet::new();
    for used in USES.iter() {
        let Some(refusal) = refusal(used) else { continue };
        match not_yet(used) {
            Some(_) => {}
            // The first place of a file is enough.
            None if told.insert((used.from.clone(), used.to.clone())) => wrong.push(refusal),
            None => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}\nROOMS is in {}", wrong.join("\n"), file!());
}

#[test]
fn no_exception_is_left_that_nothing_needs() {
    let needed: BTreeSet<_> = USES.iter().filter_map(not_yet).collect();
    let idle: Vec<_> = NOT_YET.iter().filter(|exception| !needed.contains(exception)).collect();
    assert!(idle.is_empty(), "take out of NOT_YET in {}: {idle:?}", file!());
}

#[test]
fn every_source_is_in_a_room() {
    let homeless: Vec<_> =
        WORKSPACE.modules().filter(|module| WORKSPACE.room(&module.file).is_none()).collect();
    let homeless: Vec<_> = homeless.iter().map(|module| module.file.as_str()).collect();
    assert!(
        homeless.is_empty(),
        "add to ROOMS of {}, with what they may use: {}",
        file!(),
        homeless.join(", ")
    );
}

#[test]
fn no_room_is_above_and_below_another() {
    let arrows: BTreeMap<_, Vec<_>> = ROOMS
        .iter()
        .map(|(room, may)| {
            (
                *room,
                ROOMS.iter().map(|(to, _)| *to).filter(|to| may.iter().any(|may| is_in(to, may))).collect(),
            )
        })
        .collect();
    for (room, _) in ROOMS {
        let circle = circle(room, |from| arrows.get(from).into_iter().flatten().copied().collect());
        assert!(circle.is_none(), "ROOMS allows a circle: {}", circle.unwrap_or_default().join(" -> "));
    }
}

#[test]
fn files_of_a_room_stand_in_no_circle() {
    let mut wrong = BTreeSet::new();
    for room in NO_CIRCLES {
        let inside = |file: &str| is_in(file, room) && !file.ends_with("/mod.rs");
        let mut arrows: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for used in
            USES.iter().filter(|used| inside(&used.from) && inside(&used.to) && not_yet(used).is_none())
        {
            arrows.entry(&used.from).or_default().entry(&used.to).or_insert(used.line);
        }
        for file in arrows.keys() {
            let next = |from: &str| {
                arrows.get(from).into_iter().flat_map(BTreeMap::keys).copied().collect::<Vec<_>>()
            };
            let Some(circle) = circle(file, next) else { continue };
            // Told once, from its first file.
            if circle.iter().min() == circle.first() {
                let steps = circle
                    .windows(2)
                    .map(|pair| format!("{}:{} uses {}", pair[0], arrows[pair[0]][pair[1]], pair[1]));
                wrong.insert(steps.collect::<Vec<_>>().join(", "));
            }
        }
    }
    assert!(wrong.is_empty(), "circles:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The shortest way from `start` back to it.
fn circle<'a>(start: &'a str, next: impl Fn(&'a str) -> Vec<&'a str>) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for to in next(way[way.len() - 1]) {
            let longer = [way.as_slice(), &[to]].concat();
            if to == start {
                return Some(longer);
            }
            if seen.insert(to) {
                ways.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn architecture_md_names_what_there_is() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let sources: String = CRATES.iter().map(|(_, folder)| all_text(&root().join(folder))).collect();
    let mut missing = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for name in line.split('`').skip(1).step_by(2) {
            let there = if name.contains('/') && !name.contains(' ') {
                root().join(name).exists()
            } else if let Some(function) = name.strip_suffix("()") {
                let function = function.rsplit("::").next().unwrap_or_default();
                sources.contains(&format!("fn {function}(")) || sources.contains(&format!("fn {function}<"))
            } else {
                true
            };
            if !there {
                missing.push(format!("ARCHITECTURE.md:{number}: `{name}`"));
            }
        }
    }
    assert!(missing.is_empty(), "named, but not there:\n{}", missing.join("\n"));
}

fn all_text(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text += &all_text(&path);
        } else {
            text += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
    text
}
