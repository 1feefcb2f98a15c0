//! Signing in by the command line, what each account and token may do there, and the audit log.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use support::Process;
use tempfile::TempDir;

fn fails(output: &Output, words: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("quecota-center: ") && error.contains(words), "{words:?} is not in {error:?}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
}

#[test]
fn signing_in_keeps_a_token_for_each_center_and_out_revokes_it() {
    let home = TempDir::new().unwrap();
    let data = home.path().join("center");
    let mut process = Process::start(env!("CARGO_BIN_EXE_quecota-center"), |command| {
        command.args([
            "serve",
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            "--no-token-file",
            "--data",
        ]);
        command.arg(&data).stdout(Stdio::piped());
    });
    let mut lines = BufReader::new(process.child().stdout.take().unwrap()).lines().map(Result::unwrap);
    let server = lines.nth(1).unwrap().strip_prefix("http: ").unwrap().to_owned();
    let once = lines.next().unwrap();
    let once = once.strip_prefix("sign in: account admin, one-time password ").unwrap().to_owned();
    assert!(!data.join("token").exists());

    let file = |name: &str, text: &str| {
        fs::write(home.path().join(name), text).unwrap();
        home.path().join(name).to_str().unwrap().to_owned()
    };
    let (first, new, wrong) =
        (file("first", &once), file("new", "correct horse\n"), file("wrong", "nothing"));
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        for name in ["QUECOTA_TOKEN", "QUECOTA_SERVER", "QUECOTA_CENTER"] {
            command.env_remove(name);
        }
        command.args(words).env("XDG_CONFIG_HOME", home.path()).current_dir(home.path());
        command.stdin(Stdio::null()).output().unwrap()
    };
    let says = |words: &[&str]| {
        let output = run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let sign_in = ["login", "--center", "lab", "--server", &server];
    fails(&run(&["product", "list"]), "sign in with `quecota-center login`");
    fails(&run(&[&sign_in[..], &["--password-file", &wrong]].concat()), "name or password are wrong");
    fails(&run(&[&sign_in[..], &["--password-file", &first]].concat()), "--new-password-file");
    let done = says(&[&sign_in[..], &["--password-file", &first, "--new-password-file", &new]].concat());
    assert!(done.contains("as admin (administrator)"), "{done}");
    let kept = home.path().join("quecota/centers.json");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    says(&["product", "create", "--key", "p1demo", "--name", "Pump"]);
    fails(&run(&["product", "show", "p1dem"]), "there is no product p1dem; did you mean p1demo?");
    fails(&run(&["product", "show", "zebra"]), "product list` shows what there is");
    fails(&run(&["product", "list", "--center", "home"]), "known: lab");
    let csv = says(&["product", "list", "--output", "csv"]);
    assert!(
        csv.starts_with("admission,created,key,name\r\nanyone,") && csv.ends_with(",p1demo,Pump\r\n"),
        "{csv}"
    );

    let made = says(&["account", "create", "jo", "--role", "operator", "--product", "p1demo"]);
    let jo = file("jo", made.split_whitespace().last().unwrap());
    let second = ["login", "--center", "jo", "--server", &server, "--account", "jo", "--password-file", &jo];
    says(&[&second[..], &["--new-password-file", &new]].concat());
    fails(&run(&["account", "list"]), "needs the role administrator");
    fails(&run(&["account", "list", "--center", "jo"]), "needs the role administrator");
    let listed = says(&["centers", "list"]);
    assert!(listed.contains("jo") && listed.lines().count() == 3, "{listed}");
    says(&["centers", "use", "lab"]);

    let secret = says(&["token", "create", "ci", "--role", "viewer", "--days", "1"]);
    let secret = secret.split_whitespace().last().unwrap().to_owned();
    let with = |words: &[&str]| run(&[words, &["--server", &server, "--token", &secret]].concat());
    assert!(with(&["product", "list"]).status.success());
    fails(&with(&["product", "create", "--key", "p2", "--name", "x"]), "needs the role operator");

    let held = says(&["audit", "verify"]);
    let digest = held.split("last: ").nth(1).unwrap().split_whitespace().next().unwrap();
    says(&["audit", "verify", "--holds", digest]);
    let export = says(&["audit", "export"]);
    assert!(!export.contains(&once) && !export.contains(&secret) && !export.contains("correct horse"));
    let good = file("audit", &export);
    says(&["audit", "verify", "--file", &good, "--holds", digest]);
    let forged = file("forged", &export.replacen("account admin", "account other", 1));
    fails(&run(&["audit", "verify", "--file", &forged]), "does not fit to its digest");
    let short: Vec<_> = export.lines().take(2).collect();
    let short = file("short", &short.join("\n"));
    fails(&run(&["audit", "verify", "--file", &short, "--holds", digest]), "its end was taken away");
    assert!(says(&["audit", "list"]).contains("POST /products"));

    let token = fs::read_to_string(&kept).unwrap();
    let token: serde_json::Value = serde_json::from_str(&token).unwrap();
    let token = token["centers"]["lab"]["token"].as_str().unwrap().to_owned();
    says(&["logout"]);
    fails(&run(&["product", "list", "--server", &server, "--token", &token]), "expired or revoked");
}
