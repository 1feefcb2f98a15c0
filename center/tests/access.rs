//! Who may do what: every route of the API with every kind of caller, and what each of them sees.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use quecota_center::access::{Access, Role};
use quecota_center::api::{Api, Requires, Route};
use quecota_center::clock::Clock;
use quecota_center::engine::{Engine, Firmware, FirmwareUrls};
use quecota_center::packages::object_store::Objects;
use quecota_center::rules::AccountName;
use quecota_center::rules::audit::{AuditLine, Verifier};
use quecota_center::store::Store;
use quecota_center::web::Console;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// The token of the data folder.
const FILE_TOKEN: &str = "0123456789abcdef";

struct NoUrls;

impl FirmwareUrls for NoUrls {
    fn firmware_url(&self, _: &Firmware<'_>) -> String {
        String::new()
    }
}

/// A center without ports: products p1 and p2, each with a device, a package and a plan, and callers of every kind.
struct World {
    router: Router,
    routes: Vec<Route>,
    access: Access,
    /// Tokens by the name of their caller.
    tokens: BTreeMap<&'static str, String>,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::in_memory().await.unwrap();
        let engine = Engine::new(store.clone(), Clock::system(), Arc::new(NoUrls));
        // Without a tick a center is not ready.
        engine.tick().await.unwrap();
        let access = Access::new(store, Clock::system(), "here", Some(FILE_TOKEN));
        access.first_administrator().await.unwrap().unwrap();
        let objects = Objects::in_folder(&folder.path().join("objects"), Duration::ZERO).unwrap();
        let api = Api::new(engine, objects, access.clone());
        let console = Console::new(api.clone());
        let (router, routes) = api.routed();
        let router = router.merge(console.router());
        let tokens = BTreeMap::from([("the token file", FILE_TOKEN.to_owned())]);
        let mut world = World { router, routes, access, tokens, _folder: folder };
        for product in ["p1", "p2"] {
            world.made("/products", json!({ "key": product, "name": product })).await;
            let at = format!("/products/{product}");
            world.made(&format!("{at}/components"), json!({ "id": "STM32", "type": "mcu" })).await;
            for device in ["d1", "d2"] {
                let (status, told) =
                    world.ask(FILE_TOKEN, &Method::POST, &format!("{at}/devices"), device).await;
                assert_eq!(status, 200, "{told}");
            }
            let form = "--x\r\ncontent-disposition: form-data; name=\"component\"\r\n\r\nSTM32\r\n\
                        --x\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nfirst\r\n\
                        --x\r\ncontent-disposition: form-data; name=\"target\"\r\n\r\n2_0_0\r\n\
                        --x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"fw.bin\"\r\n\r\nfirmware\r\n--x--\r\n";
            let (status, package) =
                world.ask(FILE_TOKEN, &Method::POST, &format!("{at}/packages"), form).await;
            assert_eq!(status, 201, "{package}");
            let components = json!([{ "component": "STM32", "package": package["id"] }]);
            let plan = json!({ "name": product, "time_zone": "UTC", "components": components });
            world.made(&format!("{at}/plans"), plan).await;
        }
        world.made("/accounts", json!({ "name": "somebody", "role": "viewer" })).await;
        world.made("/packages/1/verifications", json!({ "device": "d1" })).await;
        world.made("/webhooks", json!({ "name": "chat", "url": "https://example.org/hook" })).await;
        world.made("/webhooks/1/test", json!({})).await;
        for (name, role, products) in [
            ("viewer", "viewer", None),
            ("operator", "operator", None),
            ("administrator", "administrator", None),
            ("viewer of p1", "viewer", Some("p1")),
            ("operator of p1", "operator", Some("p1")),
            ("operator of p2", "operator", Some("p2")),
            ("administrator of p2", "administrator", Some("p2")),
        ] {
            let products = products.map(|product| [product]);
            let token = json!({ "name": name.replace(' ', "-"), "role": role, "products": products });
            world.token(name, token).await;
        }
        world.token("end user of d1", json!({ "name": "d1", "devices": ["p1/d1"] })).await;
        world.token("end user of d2", json!({ "name": "d2", "devices": ["p1/d2", "p2/d1"] })).await;
        world
    }

    async fn made(&self, path: &str, body: Value) -> Value {
        let (status, made) = self.ask(FILE_TOKEN, &Method::POST, path, body.to_string()).await;
        assert_eq!(status, 201, "{path}: {made}");
        made
    }

    async fn token(&mut self, name: &'static str, body: Value) {
        let made = self.made("/tokens", body).await;
        self.tokens.insert(name, made["secret"].as_str().unwrap().to_owned());
    }

    /// One request; a path that begins with `//` stands beside `/api/v1`.
    async fn ask(
        &self,
        token: &str,
        method: &Method,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Value) {
        let kind =
            if path.ends_with("/packages") { "multipart/form-data; boundary=x" } else { "application/json" };
        let uri = path.strip_prefix("/").filter(|rest| rest.starts_with('/')).map(str::to_owned);
        let mut request = Request::builder()
            .method(method)
            .uri(uri.unwrap_or_else(|| format!("/api/v1{path}")))
            .header(header::CONTENT_TYPE, kind);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = answer.status();
        let is_stream =
            answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        if is_stream {
            return (status, Value::Null);
        }
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn get(&self, caller: &str, path: &str) -> (u16, Value) {
        let (status, told) = self.ask(&self.tokens[caller], &Method::GET, path, "").await;
        (status.as_u16(), told)
    }
}

/// The path with names of things that there are, all of product p1.
fn filled(route: &Route) -> String {
    let path = route
        .path
        .replace("{pk}", "p1")
        .replace("{dk}", "d1")
        .replace("{component}", "STM32")
        .replace("{plan}", "1")
        .replace("{package}", "1")
        .replace("{file}", "0")
        .replace("{verification}", "1")
        .replace("{account}", "somebody")
        .replace("{token}", "1")
        .replace("{webhook}", "1")
        .replace("{delivery}", "1")
        .replace("{action}", "confirm");
    assert!(!path.contains('{'), "{path}: name a thing for it here");
    if route.root.is_empty() { format!("/{path}") } else { path }
}

/// Role and product of a caller; none: an end user, or nobody.
fn standing(caller: &str) -> Option<(Role, Option<&str>)> {
    let (role, product) = match caller.split_once(" of ") {
        Some((role, product)) => (role, Some(product)),
        None => (caller, None),
    };
    match role {
        "the token file" => Some((Role::Administrator, None)),
        role => Some((role.parse().ok()?, product)),
    }
}

/// What a caller gets for a thing of product p1: none is "allowed".
fn refusal(requires: Requires, caller: &str) -> Option<u16> {
    let needs = requires.role()?;
    if caller == "nobody" {
        return Some(401);
    }
    let Some((role, product)) = standing(caller) else {
        let is_theirs = matches!(requires, Requires::Device(_)) && caller == "end user of d1";
        return if is_theirs { None } else { Some(403) };
    };
    if role < needs {
        return Some(403);
    }
    let reaches = product.is_none_or(|product| product == "p1");
    match requires {
        Requires::Everywhere(_) => product.map(|_| 403),
        Requires::Product(_) | Requires::Device(_) => (!reaches).then_some(403),
        // A number out of reach looks like one that there is not.
        Requires::Plan(_) | Requires::Package(_) | Requires::Verification(_) => (!reaches).then_some(404),
        Requires::Anywhere(_) | Requires::Nothing(_) => None,
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_says_and_nobody_else() {
    let mut world = World::new().await;
    let routes = world.routes.clone();
    assert!(routes.len() > 60, "{}", routes.len());
    let mut callers: Vec<(&str, String)> = world.tokens.clone().into_iter().collect();
    callers.push(("nobody", String::new()));
    for route in &routes {
        println!("{:7} {:55} {:?}", route.method.as_str(), route.path, route.requires);
        let path = filled(route);
        for (caller, token) in &callers {
            // Nothing can be made of this body, so nothing changes.
            let (status, told) = world.ask(token, &route.method, &path, "nonsense").await;
            let expected = refusal(route.requires, caller);
            let case = format!("{} {path} as {caller}: {status} {told}", route.method);
            match expected {
                Some(expected) => assert_eq!(status, expected, "{case}"),
                None => {
                    let signs_out = route.method == Method::DELETE && path == "/session";
                    // A token is its maker's and the administrators'; others are as good as not there.
                    // The plan is saved, so it concerns no device yet.
                    let may_miss = path.starts_with("/tokens/")
                        || path == "/plans/1/devices/d1"
                        || path.ends_with("/upgrade-plan/events");
                    assert!(signs_out || !matches!(status.as_u16(), 401 | 403), "{case}");
                    assert!(may_miss || status != 404, "{case}");
                    assert!(!status.is_server_error(), "{case}");
                }
            }
            if expected.is_none() && route.method == Method::DELETE {
                world = World::new().await;
                callers = world.tokens.clone().into_iter().chain([("nobody", String::new())]).collect();
                break;
            }
        }
    }
}

#[tokio::test]
async fn lists_of_all_products_hold_what_is_in_reach_alone() {
    let world = World::new().await;
    for list in ["/products", "/packages", "/plans"] {
        let of = |told: &Value| told["items"].as_array().unwrap().len();
        assert_eq!(of(&world.get("viewer", list).await.1), 2, "{list}");
        let (status, told) = world.get("operator of p2", list).await;
        assert_eq!((status, of(&told)), (200, 1), "{list}: {told}");
        assert!(told.to_string().contains("\"p2\"") && !told.to_string().contains("\"p1\""), "{told}");
    }
    assert_eq!(world.get("operator of p2", "/plans?name=p1").await.1["items"], json!([]));
    let (_, tokens) = world.get("viewer", "/tokens").await;
    assert_eq!(tokens["items"], json!([]), "others' tokens are not shown");
    let (_, tokens) = world.get("administrator", "/tokens").await;
    assert_eq!(tokens["items"].as_array().unwrap().len(), 9);
    assert!(!tokens.to_string().contains("qct_"), "a secret is shown once");
}

#[tokio::test]
async fn a_page_of_a_scoped_caller_is_full_as_long_as_there_is_more() {
    let world = World::new().await;
    let again = json!({ "name": "p2 again" });
    world.made("/plans/2/clone", again).await;
    for (path, first, second) in [("/plans", 2, Some(3)), ("/packages", 2, None)] {
        let (status, page) = world.get("operator of p2", &format!("{path}?limit=1")).await;
        assert_eq!((status, &page["items"][0]["id"]), (200, &json!(first)), "{path}: {page}");
        let next = second.map_or(Value::Null, |_| json!(first.to_string()));
        assert_eq!(page["next"], next, "{path}: {page}");
        if let Some(second) = second {
            let (_, page) = world.get("operator of p2", &format!("{path}?limit=1&after={first}")).await;
            assert_eq!((&page["items"][0]["id"], &page["next"]), (&json!(second), &Value::Null), "{page}");
        }
    }
}

#[tokio::test]
async fn an_end_user_sees_their_own_device_and_no_plan_of_others() {
    let world = World::new().await;
    assert_eq!(world.get("end user of d1", "/products/p1/devices/d1/upgrade-plan").await.0, 200);
    assert_eq!(world.get("end user of d2", "/products/p2/devices/d1/upgrade-plan").await.0, 200);
    for closed in [
        "/products/p1/devices/d2/upgrade-plan",
        "/products/p1/devices/d2/upgrade-plan/events?plan=1",
        "/products/p1/devices/d2/auto-confirm",
        "/products/p1/devices/d1",
        "/products/p1/devices/d1/log",
        "/products/p1/devices/d1/why",
        "/plans/1",
        "/plans",
        "/products",
        "/packages/1/files/0",
        "/session",
        "/tokens",
        "//metrics",
    ] {
        let (status, told) = world.get("end user of d1", closed).await;
        assert_eq!(status, 403, "{closed}: {told}");
    }
    // The plan is saved, so it concerns no device yet: to them it is not there, to an operator it is.
    let events = "/products/p1/devices/d1/upgrade-plan/events?plan=1";
    assert_eq!(world.get("end user of d1", events).await.0, 404);
    assert_eq!(world.get("operator", events).await.0, 200);
}

#[tokio::test]
async fn nobody_hands_on_more_than_they_have() {
    let world = World::new().await;
    let post = |caller: &'static str, body: Value| {
        let (world, token) = (&world, world.tokens[caller].clone());
        async move {
            let (status, told) = world.ask(&token, &Method::POST, "/tokens", body.to_string()).await;
            (status.as_u16(), told)
        }
    };
    let admin = json!({ "name": "more", "role": "administrator" });
    assert_eq!(post("operator", admin).await.0, 403);
    let (status, told) =
        post("operator of p1", json!({ "name": "other", "role": "viewer", "products": ["p2"] })).await;
    assert_eq!(status, 403, "{told}");
    let (status, told) = post("operator of p1", json!({ "name": "same", "role": "operator" })).await;
    assert_eq!((status, &told["products"]), (201, &json!(["p1"])), "their own reach, not every product");
    assert_eq!(post("viewer", json!({ "name": "user", "devices": ["p1/d1"] })).await.0, 403);
    assert_eq!(post("operator of p1", json!({ "name": "user", "devices": ["p2/d1"] })).await.0, 403);
    let (status, told) = post("operator of p1", json!({ "name": "user", "devices": ["p1/d9"] })).await;
    assert_eq!(status, 422, "{told}");
}

#[tokio::test]
async fn what_an_account_made_goes_with_it() {
    let world = World::new().await;
    let made = world.made("/accounts", json!({ "name": "leaver", "role": "operator" })).await;
    let once = made["one_time_password"].as_str().unwrap();
    let change = json!({ "account": "leaver", "password": once, "new": "correct horse" });
    let request = |method, path: &str, body: Value, headers: Vec<(&str, String)>| {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.header(header::CONTENT_TYPE, "application/json");
        world.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap())
    };
    let answer = request(Method::POST, "/session/password", change, vec![]).await.unwrap();
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let begun: Value = serde_json::from_slice(&to_bytes(answer.into_body(), 9999).await.unwrap()).unwrap();
    let csrf = begun["csrf"].as_str().unwrap().to_owned();

    let token = json!({ "name": "theirs", "role": "operator" });
    let without = vec![("cookie", cookie.clone())];
    assert_eq!(request(Method::POST, "/tokens", token.clone(), without).await.unwrap().status(), 403);
    let with = vec![("cookie", cookie.clone()), ("x-csrf-token", csrf)];
    let answer = request(Method::POST, "/tokens", token, with).await.unwrap();
    assert_eq!(answer.status(), 201);
    let made: Value = serde_json::from_slice(&to_bytes(answer.into_body(), 9999).await.unwrap()).unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(world.ask(secret, &Method::GET, "/session", "").await.1["name"], "theirs");

    let less = json!({ "role": "viewer" }).to_string();
    let (status, told) = world.ask(FILE_TOKEN, &Method::PATCH, "/accounts/leaver", less).await;
    assert_eq!((status.as_u16(), &told["role"]), (200, &json!("viewer")));
    assert_eq!(
        world.ask(secret, &Method::GET, "/session", "").await.0,
        401,
        "it allowed more than they may now"
    );
    let (status, _) = world.ask(FILE_TOKEN, &Method::DELETE, "/accounts/leaver", "").await;
    assert_eq!(status, 200);
    let answer = request(Method::GET, "/session", json!({}), vec![("cookie", cookie)]).await.unwrap();
    assert_eq!(answer.status(), 401, "their session is over");
    let (status, told) = world.ask(FILE_TOKEN, &Method::DELETE, "/accounts/admin", "").await;
    assert_eq!(status, 409, "the last administrator stays: {told}");
}

#[tokio::test]
async fn every_change_is_a_line_that_holds_the_others() {
    let world = World::new().await;
    let operator = world.tokens["operator"].clone();
    let name = json!({ "name": "Pump" }).to_string();
    let (status, _) = world.ask(&operator, &Method::PATCH, "/products/p1", name).await;
    assert_eq!(status, 200);
    let clone = json!({ "name": "a copy" }).to_string();
    assert_eq!(world.ask(&operator, &Method::POST, "/plans/1/clone", clone).await.0, 201);
    assert_eq!(world.ask(&operator, &Method::POST, "/plans/1/suspend", "").await.0, 409);
    assert_eq!(world.ask(&operator, &Method::POST, "/plans/1/activate", "{}").await.0, 200);
    assert_eq!(world.ask(&operator, &Method::DELETE, "/plans/3", "").await.0, 200);
    let reset = world.ask(FILE_TOKEN, &Method::POST, "/accounts/somebody/password", "").await;
    let password = reset.1["one_time_password"].as_str().unwrap();

    assert_eq!(world.get("operator", "/audit").await.0, 403);
    let (_, page) = world.get("administrator", "/audit?limit=1000").await;
    let lines: Vec<AuditLine> = serde_json::from_value(page["items"].clone()).unwrap();
    let mut verifier = Verifier::default();
    lines.iter().for_each(|line| verifier.take(line).unwrap());
    let text = page.to_string();
    assert!(!text.contains(password) && !text.contains("qct_") && !text.contains("qcu_"), "{text}");

    let [renamed, copied, refused, activated, deleted, _] = lines.last_chunk().unwrap().clone();
    let change = |line: AuditLine| line.change;
    let renamed = change(renamed);
    assert_eq!((renamed.actor.as_str(), renamed.outcome.as_str()), ("token operator", "200"));
    assert_eq!((renamed.action.as_str(), renamed.target.as_str()), ("PATCH /products/{pk}", "/products/p1"));
    assert_eq!(renamed.before.unwrap()["name"], "p1");
    assert_eq!(renamed.after.unwrap()["name"], "Pump");
    assert_eq!(change(copied).after.unwrap()["id"], 3);
    assert_eq!(change(refused).outcome, "409 plan_state");
    let activated = change(activated);
    assert_eq!(activated.before.unwrap()["state"], "saved");
    assert_eq!(activated.after.unwrap()["state"], "activated");
    let deleted = change(deleted);
    assert_eq!(deleted.before.unwrap()["name"], "a copy");
    assert_eq!(deleted.after.unwrap(), json!({ "deleted": 3 }));

    let (_, newest) = world.get("administrator", "/audit?newest=true&limit=1").await;
    assert_eq!(newest["items"][0]["id"], lines.len());
    let (_, before) =
        world.get("administrator", &format!("/audit?newest=true&limit=1&after={}", lines.len())).await;
    assert_eq!(before["items"][0]["id"], lines.len() - 1);
}

#[tokio::test]
async fn what_a_page_changes_is_in_the_same_log() {
    let world = World::new().await;
    let admin = AccountName::new("admin").unwrap();
    let once = world.access.reset_password(&admin).await.unwrap();
    let here = "127.0.0.1".parse().unwrap();
    let session = world.access.change_password("admin", &once, "correct horse", here).await.unwrap();
    let cookie = session.cookie(false).to_str().unwrap().split(';').next().unwrap().to_owned();
    let post = |path: &str, form: String| {
        let request = Request::builder().method(Method::POST).uri(path).header(header::COOKIE, &cookie);
        let request = request.header(header::HOST, "center").header(header::ORIGIN, "http://center");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        world.router.clone().oneshot(request.body(Body::from(form)).unwrap())
    };
    let csrf = &session.csrf;
    let made = post("/products/new", format!("key=p9&name=Nine&csrf={csrf}")).await.unwrap();
    let (_, log) = world.get("administrator", "/audit?newest=true&limit=1").await;
    assert_eq!(log["items"][0]["action"], "POST /products/new (page)", "{} {log}", made.status());
    assert_eq!(log["items"][0]["actor"], "account admin");
    let answer = post("/plans/1/delete", format!("csrf={csrf}")).await.unwrap();
    let (_, log) = world.get("administrator", "/audit?newest=true&limit=1").await;
    assert_eq!(log["items"][0]["before"]["name"], "p1", "{} {log}", answer.status());
    assert_eq!((&log["items"][0]["target"], answer.status().as_u16()), (&json!("/plans/1/delete"), 303));
    let forged = post("/plans/2/delete", "csrf=0".to_owned()).await.unwrap();
    assert_eq!(forged.status(), 403);
    assert_eq!(world.get("administrator", "/plans/2").await.0, 200, "nothing was deleted");
}
