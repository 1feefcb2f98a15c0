// A small living fleet in all states, for pictures, for the look at every page, and for `cargo xtask demo --console`.

export const PRODUCT = "p1diffuser";
export const SECRET = "ZGVtby1zZWNyZXQtMDAx";
const OTHER = "p2weather";
const OTHER_SECRET = "ZGVtby1zZWNyZXQtMDAy";

const groups = (size) => [
  { key: "861100000000100", count: 6 * size, script: "offer upgrade" },
  { key: "861200000000000", count: size, script: "offer fail 12 at upgrading" },
  { key: "861300000000000", count: size, script: "offer fail 6 at downloading\noffer upgrade" },
  { key: "861400000000000", count: size, script: "offer refuse" },
  { key: "861500000000000", count: size, script: "offer hang at downloading" },
  { key: "861600000000000", count: size, script: "battery 12\noffer upgrade" },
  { key: "861700000000000", count: size, version: "2_0_0", script: "offer upgrade" },
];

/** Fills an empty center. `size` is how many devices a state has. */
export async function fill(center, size = 2) {
  const run = (...words) => center.run(...words);
  run("product", "create", "--key", PRODUCT, "--name", "Smart Aromatherapy Diffuser", "--secret", SECRET);
  run("component", "add", PRODUCT, "STM32", "--type", "mcu");
  run("component", "add", PRODUCT, "EC200U", "--type", "module");
  run("product", "create", "--key", OTHER, "--secret", OTHER_SECRET, "--name",
    "Outdoor Weather Station with Solar Panel, Lightning Detector and a Very Long Commercial Name");
  run("component", "add", OTHER, "SENSOR_BOARD_REVISION_C", "--type", "mcu");
  const package_ = (name, target, bytes, ...more) =>
    run("package", "add", "--product", PRODUCT, "--component", "STM32", "--name", name, "--target", target, ...more, center.file(`${name}.bin`, bytes));
  package_("diffuser-2.0", "2_0_0", 400_000, "--remark", "Quieter fan, longer battery life");
  package_("diffuser-2.0 from 1.0", "2_0_0", 90_000, "--source", "1_0_0");
  package_("diffuser-3.0 beta", "3_0_0", 600_000);
  run("package", "add", "--product", OTHER, "--component", "SENSOR_BOARD_REVISION_C", "--name",
    "weather-station-sensor-board-revision-c-2026-11-release-candidate-7-with-a-long-name", "--target",
    "2026.11.28-rc7+build.4711.sha.0123456789abcdef", center.file("sensor-board.bin", 50_000));
  run("webhook", "create", "chat", "--url", "https://chat.invalid/a-hook-with-a-long-path/0123456789abcdef0123456789abcdef", "--event", "plan.halted", "--event", "device.upgrade_failed");
  run("webhook", "test", "1");
  // One device tries the first package before the others come.
  const first = { key: "861100000000000", script: "component STM32 1_0_0\noffer upgrade\n" };
  center.devices(PRODUCT, SECRET, first);
  await eventually("the first device", () => /861100000000000/.test(run("device", "list", "--product", PRODUCT)));
  run("package", "verify", "1", "--device", first.key);
  await eventually("the verification", () => JSON.parse(run("package", "show", "1", "--json")).verified === "passed");

  const plan = (name, ...more) => run("plan", "create", "--name", name, "--product", PRODUCT, "--component", "STM32=1", ...more);
  plan("Autumn 2026", "--time-zone", "Asia/Shanghai", "--min-battery", "20", "--retries", "0");
  plan("Night window, Europe", "--time-zone", "Europe/Berlin", "--push-period", "01:00-04:30", "--first-devices", "100", "--halt", "5/50");
  run("plan", "create", "--name", "With the end user", "--product", OTHER, "--component", "SENSOR_BOARD_REVISION_C=4", "--mode", "manual",
    "--text", "en=A new version is there. It takes three minutes.", "--text", "zh=新版本已就绪，大约需要三分钟。");
  run("plan", "activate", "With the end user");
  run("plan", "activate", "Autumn 2026");
  // They are offered the plan as they come online.
  for (const { key, count, version = "1_0_0", script } of groups(size)) {
    center.devices(PRODUCT, SECRET, { key, count, script: `component STM32 ${version}\n${script}\n` });
  }
  const weather = { key: "wx-berlin-rooftop-00000000000001", script: "component SENSOR_BOARD_REVISION_C 2026.09\noffer upgrade\n" };
  center.devices(OTHER, OTHER_SECRET, weather);
  await eventually("devices upgraded", () => JSON.parse(run("plan", "show", "Autumn 2026", "--json")).devices.upgraded >= 6 * size);
  await eventually("devices failed", () => JSON.parse(run("plan", "show", "Autumn 2026", "--json")).devices.failed >= size);
  // A verification that fails, and two devices with one key.
  run("package", "verify", "3", "--device", "861200000000000");
  const double = { key: "862000000000000", script: "component STM32 2_0_0\n" };
  center.devices(PRODUCT, SECRET, double);
  center.devices(PRODUCT, SECRET, double);
  await eventually("the failed verification", () => JSON.parse(run("package", "show", "3", "--json")).verified === "failed");
  await eventually("two devices with one key", () => JSON.parse(run("why", PRODUCT, double.key, "--json")).taken_over !== null);
  await eventually("the other product's device", () => /wx-berlin/.test(run("device", "list", "--product", OTHER)));
}

export async function eventually(what, holds) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    let done = false;
    try { done = await holds(); } catch (error) { if (Date.now() > deadline) throw error; }
    if (done) return;
    if (Date.now() > deadline) throw new Error(`${what}: not within a minute`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
