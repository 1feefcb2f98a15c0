//! Schemathesis (PyPI) asks a center all that its served description allows, and what it does not allow, as each kind of
//! caller: nothing fails inside the center, nothing is answered that is not described, nothing is let through that the
//! role may not. What it is told beside the description stands in `schemathesis/hooks.py`.

mod own_postgres;
mod planting;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use own_postgres::Postgres;
use serde_json::{Value, json};
use support::Center;

/// Of every day; another one is tried by `QUECOTA_SEED`.
const SEED: &str = "1";
/// How long one run may take before the test gives up.
const RUN_MAX: Duration = Duration::from_secs(540);
const RUN_LONG_MAX: Duration = Duration::from_secs(3_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Nobody,
    EndUser,
    Viewer,
    Operator,
    Administrator,
}

use Caller::{Administrator, EndUser, Nobody, Operator, Viewer};

impl Caller {
    const ALL: [Caller; 5] = [Nobody, EndUser, Viewer, Operator, Administrator];

    fn name(self) -> &'static str {
        match self {
            Nobody => "nobody",
            EndUser => "end-user",
            Viewer => "viewer",
            Operator => "operator",
            Administrator => "administrator",
        }
    }

    /// The body that makes their token; none: they have no token.
    fn token(self) -> Option<Value> {
        match self {
            Nobody => None,
            EndUser => Some(json!({ "name": "end-user", "devices": ["p1/d1"] })),
            _ => Some(json!({ "name": self.name(), "role": self.name() })),
        }
    }
}

/// Where the center's log is, in its folder.
const LOG: &str = "log";

/// A center with something of everything, and a token for each caller.
struct World {
    center: Center,
    tokens: Vec<(Caller, String)>,
    /// What the hooks are told: the names that there are.
    known: Value,
}

const DEVICES: usize = 30;
const PACKAGES: usize = 4;
const PLANS: usize = 6;

impl World {
    fn new(center: Center) -> Self {
        let mut world = World { center, tokens: Vec::new(), known: Value::Null };
        world.made("products", &json!({ "key": "p1", "name": "Pump" }).to_string());
        world.made("products/p1/components", &json!({ "id": "STM32", "type": "mcu" }).to_string());
        let devices: Vec<String> = (1..=DEVICES).map(|number| format!("d{number}")).collect();
        world.ask("products/p1/devices", "text/csv", &devices.join("\n"));
        for number in 1..=PACKAGES {
            let part = |name: &str, value: &str| {
                format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let file = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"fw.bin\"\r\n\r\nfw\r\n--x--\r\n";
            let fields = [
                part("component", "STM32"),
                part("name", &format!("package {number}")),
                part("target", &format!("2_0_{number}")),
            ];
            world.ask("products/p1/packages", "multipart/form-data; boundary=x", &(fields.concat() + file));
        }
        let components = json!([{ "component": "STM32", "package": 1 }]);
        let plan = json!({ "name": "plan", "time_zone": "UTC", "components": components });
        world.made("products/p1/plans", &plan.to_string());
        for number in 2..=PLANS {
            world.made("plans/1/clone", &json!({ "name": format!("copy {number}") }).to_string());
        }
        world.made("accounts", &json!({ "name": "somebody", "role": "viewer" }).to_string());
        world.made("packages/2/verifications", &json!({ "device": "d2" }).to_string());
        world.made("webhooks", &json!({ "name": "chat", "url": "http://127.0.0.1:9/hook" }).to_string());
        world.made("webhooks/1/test", "{}");
        let mut kept = Vec::new();
        for caller in Caller::ALL {
            if let Some(body) = caller.token() {
                let made = world.made("tokens", &body.to_string());
                kept.push(made["id"].to_string());
                world.tokens.push((caller, made["secret"].as_str().unwrap().to_owned()));
            }
        }
        let numbers = |count: usize| (1..=count).collect::<Vec<_>>();
        world.known = json!({
            "pk": ["p1"], "dk": devices, "component": ["STM32"], "package": numbers(PACKAGES), "file": [0],
            "plan": numbers(PLANS), "account": ["somebody"], "webhook": [1], "delivery": [1],
            "verification": [1], "token": numbers(kept.len()), "action": ["confirm"], "kept": kept,
        });
        world
    }

    fn made(&self, path: &str, body: &str) -> Value {
        self.ask(path, "application/json", body)
    }

    /// `POST`, which must succeed.
    fn ask(&self, path: &str, media: &str, body: &str) -> Value {
        let request = ureq::post(format!("http://{}/api/v1/{path}", self.center.http))
            .header("Authorization", format!("Bearer {TOKEN}"))
            .header("Content-Type", media);
        let mut answer = request.send(body).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// One run of schemathesis; what it says must be that all is well.
    fn run(&self, database: &str, caller: Caller, words: &[&str], deadline: Duration) {
        let tools = tools();
        let seed = std::env::var("QUECOTA_SEED").unwrap_or_else(|_| SEED.to_owned());
        let folder = tempfile::tempdir().unwrap();
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(tools.join("st"));
        command.arg("--config-file").arg(ours.join("schemathesis.toml"));
        command.arg("run").arg(format!("http://{}/api/v1/openapi.json", self.center.http));
        command.args(["--checks", "all", "--continue-on-failure", "--no-color", "--warnings", "off"]);
        command.args(["--seed", &seed, "--generation-database", "none"]);
        // A stream of events ends with its plan: that is days.
        command.args(["--exclude-path-regex", "/events$"]).args(words);
        if let Some((_, token)) = self.tokens.iter().find(|(of, _)| *of == caller) {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", &ours);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("QUECOTA_CALLER", caller.name());
        command.env("QUECOTA_KNOWN", self.known.to_string());
        let said = folder.path().join("said");
        let output = fs::File::create(&said).unwrap();
        command.stderr(output.try_clone().unwrap()).stdout(output).stdin(Stdio::null());
        let begun = Instant::now();
        let mut child = command.current_dir(folder.path()).spawn().unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > deadline {
                // It may have ended by itself, which is as good.
                let _ = child.kill();
                let _ = child.wait();
                panic!("{database}, {}: schemathesis took more than {deadline:?}", caller.name());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let said = fs::read_to_string(&said).unwrap();
        let cases = said.lines().find(|line| line.contains(" generated")).unwrap_or("no cases").trim();
        let seconds = begun.elapsed().as_secs_f64();
        println!("{database}, {}: {cases}, seed {seed}, {seconds:.1} s", caller.name());
        let log = fs::read_to_string(self.center.data.join(LOG)).unwrap();
        let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(status.success(), "{database}, {}, seed {seed}:\n{said}\n{errors:#?}", caller.name());
        assert!(cases.contains(" generated"), "{said}");
    }
}

fn tools() -> PathBuf {
    let tools = std::env::var_os("QUECOTA_TEST_SCHEMATHESIS")
        .expect("QUECOTA_TEST_SCHEMATHESIS is not set: run `cargo xtask test`, which installs schemathesis");
    PathBuf::from(tools)
}

/// Webhooks lead to this machine alone.
const PORTS: [&str; 6] =
    ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--webhook-network", "127.0.0.0/8"];

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// On SQLite, or on this cluster.
fn world(folder: &Path, cluster: Option<&Postgres>) -> World {
    let log = fs::File::create(folder.join(LOG)).unwrap();
    World::new(Center::start_with(folder, |command| {
        command.args(PORTS).env("QUECOTA_TOKEN", TOKEN).stderr(log);
        if let Some(cluster) = cluster {
            command.args(["--database", &cluster.url()]).env("QUECOTA_SEAL_KEY", "5e".repeat(32));
        }
    }))
}

/// Every boundary of every value for those who may most; a few examples for the others, who are mostly refused.
fn words(caller: Caller) -> &'static [&'static str] {
    match caller {
        Administrator | Operator => &["--phases", "coverage"],
        _ => &["--phases", "fuzzing", "--max-examples", "3"],
    }
}

#[test]
fn the_api_keeps_to_its_description_for_each_role_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path(), None);
    for caller in Caller::ALL {
        world.run("SQLite", caller, words(caller), RUN_MAX);
    }
}

#[test]
fn the_api_keeps_to_its_description_for_each_role_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Postgres::start();
    let world = world(folder.path(), Some(&cluster));
    for caller in Caller::ALL {
        world.run("PostgreSQL", caller, words(caller), RUN_MAX);
    }
}

#[test]
#[ignore = "long: a part of the others, for bugs that are planted"]
fn the_api_keeps_to_its_description_of_products_for_a_viewer() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["--phases", "fuzzing", "--max-examples", "5", "--include-path-regex", "^/api/v1/products"];
    world(folder.path(), None).run("SQLite", Viewer, &paths, RUN_MAX);
}

#[test]
fn an_unchecked_role_and_an_undescribed_answer_are_caught() {
    let test = "the_api_keeps_to_its_description_of_products_for_a_viewer";
    planting::is_caught("unchecked-role", test, &["A role is not what the description says"]);
    planting::is_caught("undescribed-answer", test, &["Undocumented status code"]);
}

#[test]
#[ignore = "long: every caller on both databases, with many more examples"]
fn the_api_keeps_to_its_description_with_many_examples() {
    let cluster = Postgres::start();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sqlite = world(folders[0].path(), None);
    let postgres = world(folders[1].path(), Some(&cluster));
    let worlds = [("SQLite", sqlite), ("PostgreSQL", postgres)];
    for (database, world) in &worlds {
        for caller in Caller::ALL {
            world.run(database, caller, &["--max-examples", "25"], RUN_LONG_MAX);
        }
    }
}
