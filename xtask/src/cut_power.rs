//! `cargo xtask demo --cut-power`: the C example is killed at random moments of its upgrade, and still ends it.

use crate::demo::{
    Center, DEVICE, PRODUCT, SECRET, SILENCE_MAX_WITH_FAULTS, Shown, random_image, read, step,
};

use crate::process::{Background, Folder, Heard, Outcome, cargo, fail, run as run_command};
use crate::throttled_proxy::ThrottledProxy;
use crate::{incidents, setup, test};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

const IMAGE: usize = 1024 * 1024;
const CUTS: usize = 20;
/// Bytes that may be fetched again after one cut: one interval of progress records.
const REPEATED_MAX: u64 = 16 * 1024;
/// Longest time for one upgrade with all its cuts.
const DEADLINE: Duration = Duration::from_secs(240);

/// When the device is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// This long after the proxy has forwarded this byte of the image.
    Byte(u64, Duration),
    /// This long after the application has printed a line that begins so.
    Printed(&'static str, Duration),
}

/// The last steps of an upgrade, of which each is cut once.
const LAST_STEPS: [&str; 3] = ["10703", "verified", "10704"];

/// Runs two upgrades, with staging as large as the image and with 64 KB of it, and one to which the [`incidents`] happen.
pub fn run(seed: Option<u64>) -> Outcome {
    setup::packages(&[setup::DEMO])?;
    step("build the center, libquecota.a and the C example");
    run_command(&mut cargo(&["build", "--locked", "--package", "quecota-center"]))?;
    let example = test::c_build()?.join("sota");
    let seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.subsec_nanos().into()
    });
    println!("  seed {seed}; the same moments again: cargo xtask demo --cut-power --seed {seed}");
    step("staging as large as the image");
    upgrade(&example, IMAGE, &[], seed)?;
    step("staging of 64 KB, and the application's own mark each 16 KB");
    upgrade(&example, 64 * 1024, &["--checkpoints"], !seed)?;
    bad_day(&example)
}

/// One upgrade to which the incidents happen, a power cut among them.
fn bad_day(example: &Path) -> Outcome {
    let start = Instant::now();
    let folder = Folder::new("cut-power-incidents")?;
    let proxy = ThrottledProxy::start()?;
    let center = Center::start(folder.path(), Some(&proxy))?;
    center.product()?;
    let image = folder.path().join("stm32-2_0_0.bin");
    random_image(&image)?;
    let (staging, options) = (incidents::STAGING, &["--checkpoints"][..]);
    let device = Device { example, folder: folder.path(), mqtt: &center.mqtt, staging, options };
    let mut shown = Shown::new(SILENCE_MAX_WITH_FAULTS);
    let configure = |command: &mut Command| {
        device.configure(command);
        command.env("QUECOTA_LOG", "error");
    };
    let first = Background::start_with_errors(example, "KILL", configure)?;
    shown.follow(&first, &mut |line| Ok(line.is_some_and(|line| line.starts_with("request"))))?;
    first.kill()?;
    // Not before: it would be offered at once.
    let plan = center.plan(&image, incidents::RETRIES)?;
    let data = folder.path().join("device");
    let running = incidents::happen(example, &configure, &data, &proxy, &mut shown)?;
    shown.follow(&running, &mut |_| Ok(false))?;
    running.finish()?;
    let (uploaded, written) = (read(&image)?, read(&device.flash())?);
    if uploaded != written {
        return fail(format!("{} bytes in the flash, and they differ from the package", written.len()));
    }
    let said = center.upgraded(&plan)?.ok_or("the center does not say Upgraded")?;
    println!("  {said}");
    println!("  {} bytes, identical; {:.1} s", written.len(), start.elapsed().as_secs_f64());
    center.stop();
    Ok(())
}

/// One upgrade with its cuts.
fn upgrade(example: &Path, staging: usize, options: &[&str], seed: u64) -> Outcome {
    let start = Instant::now();
    let folder = Folder::new(&format!("cut-power-{staging}"))?;
    let proxy = ThrottledProxy::start()?;
    let center = Center::start(folder.path(), Some(&proxy))?;
    center.product()?;
    let image = folder.path().join("stm32-2_0_0.bin");
    random_image(&image)?;
    let plan = center.plan(&image, "2")?;
    let device = Device { example, folder: folder.path(), mqtt: &center.mqtt, staging, options };

    println!("\n  cut  killed at                        bytes fetched  fetched again since last cut");
    let mut running = device.start()?;
    let mut before = 0;
    for (number, moment) in (1..).zip(moments(seed)) {
        let what = wait(&running, &proxy, moment, start)?;
        running.freeze()?;
        proxy.discount_unread();
        running.kill()?;
        proxy.disconnect();
        let repeated = proxy.repeated();
        println!("  {number:>3}  {what:<32} {:>14}  {:>26}", proxy.forwarded(), repeated - before);
        if repeated - before > REPEATED_MAX {
            return fail(format!(
                "{} bytes were fetched again after one cut; at most {REPEATED_MAX} are right",
                repeated - before
            ));
        }
        before = repeated;
        running = device.start()?;
    }
    let center_says = end(running, &center, &plan, start)?;
    if proxy.repeated() - before > REPEATED_MAX {
        return fail(format!("{} bytes were fetched again after the last cut", proxy.repeated() - before));
    }
    let (uploaded, written) = (read(&image)?, read(&device.flash())?);
    if uploaded != written {
        return fail(format!("{} bytes in the flash, and they differ from the package", written.len()));
    }
    println!("  {center_says}");
    println!(
        "  {} bytes, identical, after {CUTS} cuts; {} fetched, {} of them again: {} a cut; {:.1} s",
        written.len(),
        proxy.forwarded(),
        proxy.repeated(),
        proxy.repeated() / CUTS as u64,
        start.elapsed().as_secs_f64()
    );
    center.stop();
    Ok(())
}

/// Lets the device finish its upgrade; gives the center's line about it.
fn end(device: Background, center: &Center, plan: &str, start: Instant) -> Outcome<String> {
    loop {
        // When the last cut fell behind the end of the upgrade, the application knows of none and waits for another.
        if let Some(said) = center.upgraded(plan)? {
            device.stop("TERM");
            return Ok(said);
        }
        if let Heard::Line(said) = device.heard(Duration::from_millis(200))
            && said.starts_with("10706")
        {
            return fail("the upgrade failed");
        }
        if start.elapsed() > DEADLINE {
            return fail(format!("the center does not say Upgraded after {DEADLINE:?}"));
        }
    }
}

/// The moments of the cuts, in the order in which they come.
fn moments(seed: u64) -> Vec<Moment> {
    let mut state = seed;
    let mut random = move |below: u64| {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    };
    let mut bytes: Vec<u64> = (LAST_STEPS.len()..CUTS).map(|_| random(IMAGE as u64)).collect();
    bytes.sort_unstable();
    let mut moments: Vec<_> =
        bytes.into_iter().map(|byte| Moment::Byte(byte, Duration::from_micros(random(8_000)))).collect();
    for said in LAST_STEPS {
        moments.push(Moment::Printed(said, Duration::from_micros(random(1_000))));
    }
    moments
}

/// Waits for the moment; gives its description for the table.
fn wait(device: &Background, proxy: &ThrottledProxy, moment: Moment, start: Instant) -> Outcome<String> {
    loop {
        let heard = device.heard(Duration::from_millis(1));
        let here = match (moment, &heard) {
            (Moment::Byte(byte, later), _) if proxy.high_water() > byte => {
                Some((format!("byte {byte}"), later))
            }
            (Moment::Printed(word, later), Heard::Line(said))
                if said.starts_with(word) && proxy.high_water() >= IMAGE as u64 =>
            {
                let words: Vec<_> = said.split_whitespace().take(2).collect();
                Some((words.join(" "), later))
            }
            // The cut before came so late that this start already ends the upgrade: the next one falls into that.
            (Moment::Printed(_, later), Heard::Line(said))
                if said.starts_with("mcu") && said.contains("version=2_0_0") =>
            {
                Some(("the new version's start".to_owned(), later))
            }
            (_, Heard::Line(said)) if said.starts_with("10706") => return fail("the upgrade failed"),
            (_, Heard::End) => return fail("the device ended before its cut"),
            _ => None,
        };
        if let Some((what, later)) = here {
            std::thread::sleep(later);
            return Ok(what);
        }
        if start.elapsed() > DEADLINE {
            return fail(format!("the upgrade is not over after {DEADLINE:?}"));
        }
    }
}

/// Starts the C example with the same folder again and again.
struct Device<'d> {
    example: &'d Path,
    folder: &'d Path,
    mqtt: &'d str,
    staging: usize,
    options: &'d [&'d str],
}

impl Device<'_> {
    fn flash(&self) -> PathBuf {
        self.folder.join("mcu-flash.bin")
    }

    fn start(&self) -> Outcome<Background> {
        Background::start(self.example, "KILL", |command| self.configure(command))
    }

    fn configure(&self, command: &mut Command) {
        command.args(["--server", self.mqtt, "--product-key", PRODUCT, "--product-secret", SECRET]);
        command.args(["--component", "STM32", "--version", "1_0_0", "--once", "--request-every", "1"]);
        command.args(self.options).arg("--flash").arg(self.flash());
        command.env("QUECOTA_DIR", self.folder.join("device")).env("QUECOTA_DEVICE_KEY", DEVICE);
        command.env("QUECOTA_STAGING", self.staging.to_string());
    }
}
