//! Single sign-on with an OpenID Connect provider that is not ours, as a browser goes through it.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use support::{Center, Process, TIMEOUT, free_port};

/// Where oidc-provider is installed.
fn provider_folder() -> PathBuf {
    std::env::var_os("QUECOTA_TEST_OIDC").map(PathBuf::from).expect(
        "QUECOTA_TEST_OIDC: the folder center/tests/oidc after `npm ci` in it; `cargo xtask test rust` does both",
    )
}

/// Provider and center; the center is known to the provider by its address.
struct World {
    center: Center,
    _provider: Process,
    people: PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    /// `claims`: where the provider tells its claims, `token` or `userinfo`.
    fn start(claims: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let people = folder.path().join("people.json");
        std::fs::write(&people, "{}").unwrap();
        let (provider_port, center_port) = (free_port(), free_port());
        let console = format!("http://127.0.0.1:{center_port}");
        let mut provider = Process::start("node", |command| {
            command.arg(provider_folder().join("provider.mjs")).arg(provider_port.to_string());
            command.arg(format!("{console}/sign-in/callback")).arg(&people).arg(claims);
            command.stdout(Stdio::piped());
        });
        let mut lines = BufReader::new(provider.child().stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "ready"), "the provider ended before it was ready");
        std::thread::spawn(move || lines.for_each(drop));
        let center = Center::start_with(&folder.path().join("data"), |command| {
            command.args([
                "--http",
                &console["http://".len()..],
                "--mqtt",
                "127.0.0.1:0",
                "--console-url",
                &console,
            ]);
            command.args([
                "--oidc-issuer",
                &format!("http://127.0.0.1:{provider_port}"),
                "--oidc-client-id",
                "quecota",
            ]);
            command.args(options).env("QUECOTA_OIDC_CLIENT_SECRET", "secret-of-the-center");
        });
        World { center, _provider: provider, people, _folder: folder }
    }

    /// What the provider knows of its people from now on.
    fn knows(&self, people: serde_json::Value) {
        std::fs::write(&self.people, people.to_string()).unwrap();
    }

    fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.center.http)
    }
}

/// As much of a browser as a sign-in needs: cookies, redirects, forms.
struct Browser {
    agent: ureq::Agent,
    cookies: BTreeMap<(String, String), String>,
}

/// Where the browser has come to.
struct Page {
    url: String,
    status: u16,
    text: String,
}

impl Browser {
    fn new() -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .build()
            .into();
        Self { agent, cookies: BTreeMap::new() }
    }

    fn origin(url: &str) -> String {
        url.split('/').take(3).collect::<Vec<_>>().join("/")
    }

    /// Goes there, by a form or by a link, and on to wherever it leads; stops before a URL that begins with `until`.
    fn go(&mut self, url: &str, form: Option<&[(&str, &str)]>, until: Option<&str>) -> Page {
        let (mut url, mut form) = (url.to_owned(), form);
        for _ in 0..20 {
            let origin = Self::origin(&url);
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .filter(|((of, _), _)| *of == origin)
                .map(|((_, name), value)| format!("{name}={value}"))
                .collect();
            let cookies = cookies.join("; ");
            let answer = match form.take() {
                Some(fields) => {
                    self.agent.post(&url).header("Cookie", &cookies).send_form(fields.iter().copied())
                }
                None => self.agent.get(&url).header("Cookie", &cookies).call(),
            };
            let mut answer = answer.unwrap();
            for cookie in answer.headers().get_all("set-cookie") {
                let (name, value) =
                    cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert((origin.clone(), name.to_owned()), value.to_owned());
            }
            let status = answer.status().as_u16();
            let Some(next) = answer.headers().get("location") else {
                return Page { url, status, text: answer.body_mut().read_to_string().unwrap() };
            };
            let next = next.to_str().unwrap();
            url = if next.starts_with('/') { format!("{origin}{next}") } else { next.to_owned() };
            if until.is_some_and(|until| url.starts_with(until)) {
                return Page { url, status, text: String::new() };
            }
        }
        panic!("{url} leads in a circle")
    }

    /// Signs in at the provider, from its page on.
    fn sign_in_there(&mut self, page: &Page, name: &str, until: Option<&str>) -> Page {
        let action = |page: &Page| {
            let start =
                page.text.find("action=\"").unwrap_or_else(|| panic!("{}: {}", page.url, page.text)) + 8;
            page.text[start..].split('"').next().unwrap().to_owned()
        };
        let fields = [("prompt", "login"), ("login", name), ("password", "any")];
        let consent = self.go(&action(page), Some(&fields), until);
        if consent.text.contains("value=\"consent\"") {
            return self.go(&action(&consent), Some(&[("prompt", "consent")]), until);
        }
        consent
    }

    /// From the button of the center's sign-in page to where everything leads.
    fn sign_in(&mut self, world: &World, name: &str) -> Page {
        let page = self.go(&world.page("/sign-in?then=%2Fproducts"), None, None);
        let start = page.text.find("/sign-in/provider?").expect("a button for single sign-on");
        let link = page.text[start..].split('"').next().unwrap();
        let there = self.go(&world.page(link), None, None);
        self.sign_in_there(&there, name, None)
    }
}

fn account(world: &World, name: &str) -> serde_json::Value {
    let listed = world.center.json(&["account", "list"]);
    let found = listed["items"].as_array().unwrap().iter().find(|account| account["name"] == name);
    found.cloned().unwrap_or_else(|| panic!("{name} is not in {listed}"))
}

#[test]
fn who_has_a_role_at_the_provider_signs_in_with_it_and_nobody_else() {
    let world = World::start("token", &[]);
    world.knows(json!({ "jo": { "roles": ["something", "operator"] }, "guest": {}, "admin": { "roles": ["viewer"] } }));
    let mut jo = Browser::new();
    let page = jo.sign_in(&world, "jo");
    assert_eq!((page.status, page.url.as_str()), (200, world.page("/products").as_str()), "{}", page.text);
    let made = account(&world, "jo");
    assert_eq!((&made["role"], &made["single_sign_on"]), (&json!("operator"), &json!(true)));
    let password =
        jo.agent.post(world.page("/api/v1/session")).send_json(json!({ "account": "jo", "password": "any" }));
    assert_eq!(password.unwrap().status(), 401, "the account has no password");

    // The role follows the provider at each sign-in.
    world.knows(json!({ "jo": { "roles": "viewer" } }));
    let page = Browser::new().sign_in(&world, "jo");
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(account(&world, "jo")["role"], "viewer");
    let audit = world.center.says(&["audit", "list"]);
    assert!(audit.contains("single sign-on: account made, role operator"), "{audit}");
    assert!(audit.contains("single sign-on: role viewer, before operator"), "{audit}");

    // Without a role nobody comes in, and no account is made.
    world.knows(json!({ "guest": {}, "admin": { "roles": ["viewer"] } }));
    let page = Browser::new().sign_in(&world, "guest");
    assert_eq!(page.status, 403, "{}", page.text);
    assert!(page.text.contains("no role here"), "{}", page.text);
    assert!(!world.center.says(&["account", "list"]).contains("guest"));

    // Whoever is called as an account is called gets another one.
    let page = Browser::new().sign_in(&world, "admin");
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(account(&world, "admin-2")["role"], "viewer");
    assert_eq!(account(&world, "admin")["single_sign_on"], false);
}

#[test]
fn a_sign_in_ends_in_the_browser_that_began_it_and_once() {
    let world = World::start("userinfo", &["--oidc-role", "staff=viewer", "--oidc-role-claim", "roles"]);
    world.knows(json!({ "jo": { "roles": ["staff", "administrator"] } }));
    let callback = world.page("/sign-in/callback");
    let mut jo = Browser::new();
    let there = jo.go(&world.page("/sign-in/provider?then=%2Fplans"), None, None);
    assert!(there.text.contains("name=\"login\""), "{}", there.text);
    let back = jo.sign_in_there(&there, "jo", Some(&callback));
    assert!(back.url.starts_with(&callback), "{}", back.url);

    // A link to the callback that somebody else made: the browser has begun nothing.
    let page = Browser::new().go(&back.url, None, None);
    assert_eq!(page.status, 400, "{}", page.text);
    assert!(page.text.contains("begun in another browser"), "{}", page.text);
    // Another state than the one that was begun.
    let mut other = Browser::new();
    other.go(&world.page("/sign-in/provider"), None, None);
    assert_eq!(other.go(&back.url, None, None).status, 400);

    let page = jo.go(&back.url, None, None);
    assert_eq!((page.status, page.url.as_str()), (200, world.page("/plans").as_str()), "{}", page.text);
    assert_eq!(account(&world, "jo")["role"], "viewer", "only what --oidc-role names");
    // The cookie of the begin is gone, and so is what it was good for.
    assert_eq!(jo.go(&back.url, None, None).status, 400);

    // The provider's refusal is told, and nothing of it is a tag.
    let mut refused = Browser::new();
    let there = refused.go(&world.page("/sign-in/provider"), None, Some("http://127.0.0.1"));
    let state = there.url.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let page = refused.go(&format!("{callback}?error=%3Cb%3Eaccess_denied&state={state}"), None, None);
    assert_eq!(page.status, 502, "{}", page.text);
    assert!(page.text.contains("access_denied") && !page.text.contains("<b>access"), "{}", page.text);
}

#[test]
fn without_a_provider_there_is_no_button() {
    let folder = tempfile::tempdir().unwrap();
    let center = Center::start(Path::new(folder.path()));
    let mut browser = Browser::new();
    let page = browser.go(&format!("http://{}/sign-in", center.http), None, None);
    assert!(!page.text.contains("/sign-in/provider"), "{}", page.text);
    assert_eq!(browser.go(&format!("http://{}/sign-in/provider", center.http), None, None).status, 404);
}
