//! What strangers and careless callers can take of a center while it upgrades its devices.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reference_device::{DeviceRunner, TraceEvent, Until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use support::{Center, eventually};

const PK: &str = "p1stranger";
const PS: &str = "MTIzNDU2Nzg5MGFi";

/// Most memory that the center has had, in bytes.
fn most_memory(center: &mut Center) -> u64 {
    let pid = center.process.child().id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A package for every device, in an active plan; the plan's number.
fn activate(center: &Center, size: usize) -> String {
    center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
    let file = center.data.join("image.bin");
    std::fs::write(&file, (0..size).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect::<Vec<_>>()).unwrap();
    let words = ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
    let package = center.id(&[&words[..], &[file.to_str().unwrap()]].concat());
    let choice = format!("MCU={package}");
    let plan = center.id(&["plan", "create", "--name", "all", "--product", PK, "--component", &choice]);
    center.says(&["plan", "activate", &plan]);
    plan
}

fn upgraded(center: &Center, plan: &str) -> u64 {
    center.json(&["plan", "show", plan])["devices"]["upgraded"].as_u64().unwrap()
}

/// A connection from one of the loopback's addresses; none: the center, or the system, has no place for it.
fn connect(from: u8, to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::from(([127, 0, 7, from], 0)).into()).ok()?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5)).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_millis(50))).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(50))).ok()?;
    Some(stream)
}

/// Keeps `count` connections in a state that never ends, each begun anew when the center closes it, until `stop`. `begin` is
/// what each says first, `more` what it says now and then.
fn besiege(to: SocketAddr, count: usize, begin: &[u8], more: &[u8], stop: &AtomicBool, begun: &AtomicUsize) {
    let mut held: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    while !stop.load(Ordering::Relaxed) {
        for (number, place) in held.iter_mut().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let goes_on =
                place.as_mut().is_some_and(|stream| stream.write_all(more).is_ok() && !is_closed(stream));
            if !goes_on {
                let from = 1 + (number % 20) as u8;
                *place =
                    connect(from, to).and_then(|mut stream| stream.write_all(begin).ok().map(|()| stream));
                begun.fetch_add(usize::from(place.is_some()), Ordering::Relaxed);
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 512]);
    stream.set_nonblocking(false).unwrap();
    matches!(read, Ok(0)) || read.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
}

#[test]
fn a_plan_of_fifty_devices_ends_undisturbed_while_strangers_besiege_both_ports() {
    const DEVICES: usize = 50;
    const BOUND: u64 = 300 * 1024 * 1024;
    // The connections of this process are more than some systems begin with.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut center = Center::start(folder.path());
    let (stop, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let begun: [AtomicUsize; 5] = Default::default();
    let half_open = b"\x10\x20\x00\x04MQTT\x04\x42";
    let oversized = b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\x42\x00\x3c\x00\xff";
    let head = b"GET /api/v1/products HTTP/1.1\r\nhost: a\r\nx-long: ";
    let form = b"POST /sign-in HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                 content-length: 4000000\r\n\r\nname=admin&password=";
    let body = b"POST /api/v1/session HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                 content-length: 8000000\r\n\r\n{\"account\":\"";
    let kilobyte = [b'x'; 1_000];
    let (mqtt, http) = (center.mqtt, center.http);
    let script = "component MCU 1\nask every 1000 ms\noffer upgrade";
    let mut runners: Vec<DeviceRunner> = (0..DEVICES)
        .map(|number| {
            DeviceRunner::new(mqtt, PK, PS, &format!("8600000000{number:05}"), script.parse().unwrap())
        })
        .collect();
    let took = std::thread::scope(|scope| {
        struct Stop<'a>([&'a AtomicBool; 2]);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
            }
        }
        let _stop = Stop([&stop, &ended]);
        let (stop, ended) = (&stop, &ended);
        let [a, b, c, d, e] = &begun;
        scope.spawn(move || besiege(mqtt, 1_000, half_open, b"", stop, a));
        scope.spawn(move || besiege(mqtt, 50, oversized, &kilobyte, stop, b));
        scope.spawn(move || besiege(http, 2_000, head, b"y", stop, c));
        scope.spawn(move || besiege(http, 100, form, &kilobyte, stop, d));
        scope.spawn(move || besiege(http, 100, body, &kilobyte, stop, e));
        eventually("the siege stands", || {
            let least = [1_000, 50, 2_000, 100, 100];
            begun.iter().zip(least).all(|(begun, least)| begun.load(Ordering::Relaxed) >= least).then_some(())
        });
        let plan = activate(&center, 18_000);
        let begun = Instant::now();
        let devices: Vec<_> = runners
            .iter_mut()
            .map(|runner| {
                scope.spawn(move || {
                    let deadline = Instant::now() + Duration::from_secs(600);
                    runner.run(&Until { deadline, stop: ended, upgrades: Some(1) });
                    runner
                        .trace
                        .iter()
                        .filter(|event| matches!(event, TraceEvent::Runs(_, version) if version == "2"))
                        .count()
                })
            })
            .collect();
        for device in devices {
            assert_eq!(device.join().unwrap(), 1, "a device has begun to run the new version once");
        }
        eventually("the plan says so", || (upgraded(&center, &plan) == DEVICES as u64).then_some(()));
        begun.elapsed()
    });
    let memory = most_memory(&mut center);
    let begun = begun.each_ref().map(|begun| begun.load(Ordering::Relaxed));
    println!(
        "{DEVICES} devices upgraded in {took:.1?} beside {} half-open CONNECTs, {} oversized frames, {} unfinished heads, {} slow \
         forms and {} slow bodies; at most {} MB of memory, of {} MB",
        begun[0],
        begun[1],
        begun[2],
        begun[3],
        begun[4],
        memory >> 20,
        BOUND >> 20
    );
    assert!(memory < BOUND, "{memory} bytes");
}

#[test]
fn a_body_of_millions_of_keys_costs_a_bounded_part_of_the_memory() {
    const BOUND: u64 = 400 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let mut center = Center::start(folder.path());
    center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    let token = std::fs::read_to_string(center.data.join("token")).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |body: String| {
        let request = agent.post(format!("http://{}/api/v1/products/{PK}/plans", center.http));
        let request = request
            .header("authorization", format!("Bearer {}", token.trim()))
            .content_type("application/json");
        let mut answer = request.send(body.as_str()).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let keys =
        |count: usize| (0..count).map(|number| format!("\"8600{number:011}\"")).collect::<Vec<_>>().join(",");
    let start = r#""name": "A", "time_zone": "UTC", "components": []"#;
    let many = format!(r#"{{{start}, "whitelist": [{}]}}"#, keys(3_000_000));
    let bytes = many.len();
    let (status, told) = post(many);
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("more than 1000000 device keys"), "{told}");
    let fields: Vec<String> = (0..3_500_000).map(|number| format!("\"k{number:07}\":0")).collect();
    let (status, told) = post(format!("{{{start},{}}}", fields.join(",")));
    assert_eq!(status, 400, "{told}");
    assert!(told.contains("more than 10000 values"), "{told}");
    let before = most_memory(&mut center);

    // A form of nothing but fields, from somebody without a session.
    let form = agent
        .post(format!("http://{}/sign-in", center.http))
        .content_type("application/x-www-form-urlencoded");
    let answer = form.send("a&".repeat(20_000_000).as_str()).map(|answer| answer.status().as_u16());
    assert!(!matches!(answer, Ok(200..=399)), "{answer:?}");
    let after = most_memory(&mut center);
    println!(
        "{} MB of keys in a list, and of fields in an object: at most {} MB of memory; 40 MB of fields in a form: {} MB",
        bytes >> 20,
        before >> 20,
        after >> 20
    );
    assert!(before < BOUND && after < BOUND, "{before} and {after} bytes");
}

#[test]
fn uploads_end_at_the_reserve_of_the_disk_and_at_the_quota_while_upgrades_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let plan = activate(&Center::start(folder.path()), 18_000);
    let ports = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
    let with = |more: &[&str]| {
        Center::start_with(folder.path(), |command| {
            command.args(ports).args(more);
        })
    };
    let upload = |center: &Center, size: usize| {
        let file = folder.path().join("more.bin");
        std::fs::write(&file, vec![7; size]).unwrap();
        let name = format!("more-{size}");
        let words =
            ["package", "add", "--product", PK, "--component", "MCU", "--target", "3", "--name", &name];
        let output = center.run(&[&words[..], &[file.to_str().unwrap()]].concat());
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    // No disk has so much room.
    let center = with(&["--upload-reserve", "1000000000"]);
    let (done, told) = upload(&center, 1_000);
    assert!(!done && told.contains("uploads are refused until then"), "{told}");
    let health = ureq::get(format!("http://{}/health", center.http)).call().unwrap();
    assert_eq!(health.status(), 200, "the center is well");
    let script = "component MCU 1\nask every 1000 ms\noffer upgrade";
    let mut device = DeviceRunner::new(center.mqtt, PK, PS, "860000000000001", script.parse().unwrap());
    let stop = AtomicBool::new(false);
    device.run(&Until { deadline: Instant::now() + support::TIMEOUT, stop: &stop, upgrades: Some(1) });
    eventually("the upgrade", || (upgraded(&center, &plan) == 1).then_some(()));
    drop(center);

    let center = with(&["--product-quota", "1"]);
    let (done, told) = upload(&center, 900_000);
    assert!(done, "{told}");
    let (done, told) = upload(&center, 200_000);
    assert!(!done && told.contains("--product-quota") && told.contains("delete packages"), "{told}");
    assert_eq!(center.json(&["package", "list", "--product", PK])["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_product_takes_so_many_new_devices_in_a_minute_and_known_ones_always() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let center = Center::start_with(&folder.path().join("data"), |command| {
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--new-devices-per-minute", "2"]);
        command.stderr(std::fs::File::create(&log).unwrap());
    });
    center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    let known = |center: &Center| {
        center.json(&["device", "list", "--product", PK])["items"].as_array().unwrap().len()
    };
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        for number in 0..5 {
            let (stop, mqtt) = (&stop, center.mqtt);
            scope.spawn(move || {
                let script = "component MCU 1\nask every 1000 ms";
                let key = format!("86000000000000{number}");
                let mut device = DeviceRunner::new(mqtt, PK, PS, &key, script.parse().unwrap());
                device.run(&Until { deadline: Instant::now() + 5 * support::TIMEOUT, stop, upgrades: None });
            });
        }
        eventually("one is told to try again", || {
            std::fs::read_to_string(&log).unwrap().contains("--new-devices-per-minute").then_some(())
        });
        // At most two in each minute that has begun; who was sent away comes again.
        let deadline = Instant::now() + 5 * support::TIMEOUT;
        while known(&center) < 3 {
            let minutes = begun.elapsed().as_secs() / 60 + 2;
            assert!(known(&center) as u64 <= 2 * minutes, "{} in {:?}", known(&center), begun.elapsed());
            assert!(Instant::now() < deadline, "a third device in the next minute");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

#[test]
fn a_low_limit_of_open_files_is_raised_and_connections_of_mqtt_are_watched_by_the_system() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = support::Process::start("sh", |command| {
        let serve = "ulimit -Sn 64; exec \"$0\" serve --http 127.0.0.1:0 --mqtt 127.0.0.1:0 --data \"$1\"";
        command
            .args(["-c", serve, env!("CARGO_BIN_EXE_quecota-center")])
            .arg(&data)
            .stdout(std::process::Stdio::piped());
    });
    let mut lines = BufReader::new(process.child().stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut port = |scheme: &str| {
        let line = lines.next().unwrap();
        line.rsplit(scheme).next().unwrap().parse::<SocketAddr>().unwrap_or_else(|_| panic!("{line}"))
    };
    let (mqtt, http) = (port("mqtt://"), port("http://"));
    let held: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(mqtt).unwrap()).collect();
    let health = ureq::get(format!("http://{http}/health")).call().unwrap();
    assert_eq!(health.status(), 200, "beyond the limit that it began with");
    // The center's side of our connections: state established, and a timer for keep-alive (2).
    let wanted = format!(":{:04X} ", mqtt.port());
    eventually("every connection has its keep-alive", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let watched = table.lines().filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(1).is_some_and(|local| format!("{local} ").ends_with(&wanted))
                && fields.get(3) == Some(&"01")
                && fields.get(5).is_some_and(|timer| timer.starts_with("02:"))
        });
        (watched.count() == held.len()).then_some(())
    });
}

#[test]
fn a_center_with_few_files_says_so_and_answers_while_silent_connections_take_the_rest() {
    const FILES: usize = 400;
    const FOR_DEVICES: usize = 300;
    const SILENT: usize = 2 * FILES;
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let mut process = support::Process::start("sh", |command| {
        let serve = "ulimit -n \"$2\"; exec \"$0\" serve --http 127.0.0.1:0 --mqtt 127.0.0.1:0 --data \"$1\"";
        command
            .args(["-c", serve, env!("CARGO_BIN_EXE_quecota-center")])
            .arg(&data)
            .arg(FILES.to_string())
            .stdout(std::process::Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap());
    });
    let mut lines = BufReader::new(process.child().stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut port = |scheme: &str| {
        let line = lines.next().unwrap();
        line.rsplit(scheme).next().unwrap().parse::<SocketAddr>().unwrap_or_else(|_| panic!("{line}"))
    };
    let (mqtt, http) = (port("mqtt://"), port("http://"));
    let logged = |words: &str| std::fs::read_to_string(&log).unwrap().contains(words);
    for words in
        ["the limit of this process is 400", "up to 300 devices", "`ulimit -n 141000`", "LimitNOFILE=141000"]
    {
        eventually(words, || logged(words).then_some(()));
    }
    let token = std::fs::read_to_string(data.join("token")).unwrap();
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(support::TIMEOUT)).build().into();
    let get = |path: &str| {
        let request = agent.get(format!("http://{http}{path}"));
        let mut answer = request.header("authorization", format!("Bearer {}", token.trim())).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    let open = || {
        let figures = get("/metrics");
        assert!(figures.contains(&format!("quecota_open_files_limit {FILES}\n")), "{figures}");
        let line = figures.lines().find_map(|line| line.strip_prefix("quecota_open_files ")).unwrap();
        line.parse::<usize>().unwrap()
    };
    let before = open();
    // Who has sent no CONNECT is closed after some seconds, and comes again.
    let mut held: Vec<Option<TcpStream>> = (0..SILENT).map(|_| None).collect();
    let mut siege = || {
        for place in &mut held {
            if place.as_mut().is_none_or(is_closed) {
                *place = TcpStream::connect(mqtt).ok();
            }
        }
    };
    let most = eventually("devices have all that is theirs", || {
        siege();
        let open = open();
        (open >= FOR_DEVICES).then_some(open)
    });
    eventually("the line of the log", || {
        siege();
        logged("closed: 300 connections of devices are open, of at most 300").then_some(())
    });
    for _ in 0..20 {
        siege();
        assert!(get("/health").contains("ok"));
        assert!(get("/api/v1/products").contains("items"));
    }
    println!("{before} files of {FILES} open at the start, {most} with {SILENT} silent connections");
    let center = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        command.args(words).arg("--data").arg(&data).env("QUECOTA_SERVER", format!("http://{http}"));
        assert!(command.status().unwrap().success(), "{words:?}");
    };
    center(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    let mut device = reference_device::FieldDevice::new(mqtt, PK, PS, "860000000000001");
    eventually("a device while the silent ones stay and come again", || {
        siege();
        device.come_online().ok()
    });
    eventually("silent ones that made room", || {
        siege();
        get("/metrics").contains("quecota_connects_total{outcome=\"made_room\"}").then_some(())
    });
    drop(held);
    let mut device = reference_device::FieldDevice::new(mqtt, PK, PS, "860000000000002");
    eventually("a device", || device.come_online().ok());
}
