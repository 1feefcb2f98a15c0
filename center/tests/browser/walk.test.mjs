// From an empty center to an upgraded device, by the pages alone; then what goes wrong on the way, and without scripts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CHOSEN, Center, browser, reloaded, signIn, visit } from "./center.mjs";

const PRODUCT = "p1walk";
const SECRET = "d2Fsay1zZWNyZXQtMDAx";

let center;
let chrome;
before(async () => {
  [center, chrome] = await Promise.all([Center.start(), browser()]);
});
after(async () => {
  await chrome?.close();
  center?.stop();
});

const quiet = (page) => assert.deepEqual(page.troubles, []);
const text = (page, selector) => page.locator(selector).innerText();

test("from an empty center to an upgraded device, with the pages alone", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);

  // The first page says what to do, step by step.
  await page.click(`text="Create a Product"`);
  await page.fill("#name", "Smart Aromatherapy Diffuser");
  await page.fill("#key", PRODUCT);
  await page.fill("#secret", SECRET);
  await page.click("button:text-is('Create')");
  assert.match(await text(page, "main"), new RegExp(SECRET));
  await page.click(`text="I have it: add components"`);
  await page.fill("#id", "STM32");
  await page.selectOption("#type", "mcu");
  await page.click(`text="Add the component"`);
  await page.waitForSelector("th:text-is('STM32')");

  await page.click(`nav >> text="Fleet"`);
  await page.click(`text="Add a Version Package"`);
  await page.fill("#name", "diffuser-2");
  await page.fill("#target", "2_0_0");
  await page.setInputFiles("#file", center.file("stm32.exe", 10));
  assert.match(await text(page, "#file-fault"), /stm32\.exe has none of the formats/);
  await page.setInputFiles("#file", center.file("stm32-2_0_0.bin", 200_000));
  assert.equal(await text(page, "#file-fault"), "");
  await page.click(`text="Add the package"`);
  await page.waitForURL(/\/packages\/1/);
  assert.match(await text(page, "main"), /200.000 B[\s\S]*SHA-256/);

  // A device creates itself; the first one tries the package.
  center.devices(PRODUCT, SECRET, { count: 2 });
  await page.click(`nav >> text="Devices"`);
  await reloaded(page, async () => (await page.locator("tbody tr", { hasText: /Online[\s\S]*STM32/ }).count()) === 2);
  assert.match(await text(page, "tbody"), /860000000000001\s+Online\s+.*STM32 1_0_0/);
  await page.goto("/packages/1");
  await page.fill("#device", "860000000000001");
  await page.click(`text="Verify on this device"`);
  await page.waitForURL(/\/verifications\/1/);
  await page.waitForSelector("#state >> text=Passed");
  assert.equal(await page.locator(".steps .is-done").count(), 5);

  // A plan: the form shows what it would do before it is saved.
  await page.goto("/packages/1");
  await page.click(`text="Create an Upgrade Plan"`);
  await page.fill("#name", "Autumn");
  await page.waitForSelector("#preview >> text=offered it now");
  assert.match(await text(page, "#preview"), /^1 device is offered it now[\s\S]*1 No Update Required/);
  await page.click("button:text-is('Save')");
  await page.waitForURL(/\/plans\/1/);
  assert.match(await text(page, "main"), /no device knows of it/);
  await page.click(`text="Activate Plan"`);
  assert.match(await text(page, "main"), /1 device is offered it now/);
  await page.click("button:text-is('Activate Plan')");
  await page.waitForURL(/\/plans\/1\?said=activated/);

  // It waits for a mark or for the device, and the page says so and until when.
  await page.goto(`/products/${PRODUCT}/devices/860000000000002`);
  assert.match(await text(page, "#why"), /nothing holds it back; offered by \d\d:\d\d Europe\/Berlin, in \d+ min/i);
  quiet(page);
  await page.context().close();
});

test("a manual plan waits for the end user, is confirmed on Device Details, and the page follows without a reload", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  center.run("plan", "create", "--name", "By hand", "--product", PRODUCT, "--component", "STM32=1", "--mode", "manual",
    "--text", "en=Please upgrade", "--text", "zh=请升级");
  center.run("plan", "activate", "By hand", "--supersede");
  await page.goto(`/products/${PRODUCT}/devices/860000000000002`);
  assert.match(await text(page, "#why"), /Waits for the user's confirmation/i);
  await page.evaluate(() => { window.unmoved = true; });
  await page.click(`text="Appoint a time"`);
  const [from, until_] = await page.locator("input[type=datetime-local]").evaluateAll((fields) => fields.map((field) => field.value));
  assert.ok(from < until_, `${from} before ${until_}`);
  await page.click(`text="Confirm the upgrade"`);
  await page.waitForSelector("#upgrades >> text=Upgraded");
  await page.waitForSelector("#facts >> text=2_0_0");
  await page.goto("/plans");
  const row = page.locator("tr", { hasText: "By hand" });
  await reloaded(page, async () => /100\.0 %/.test(await row.innerText()));
  quiet(page);
  await page.context().close();
});

test("a failure is found, explained and tried again, and the monitoring shows it as it happens", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  const failing = center.devices(PRODUCT, SECRET, {
    key: "860000000000009",
    script: "component STM32 1_0_0\noffer fail 12 at upgrading\noffer upgrade\n",
  });
  await page.goto("/devices");
  await reloaded(page, async () => (await page.locator("text=860000000000009").count()) > 0);
  center.run("plan", "create", "--name", "Spring", "--product", PRODUCT, "--component", "STM32=1", "--whitelist", "860000000000009", "--retries", "0", "--mode", "manual", "--text", "en=a", "--text", "zh=a");
  center.run("plan", "activate", "Spring", "--supersede");
  const number = JSON.parse(center.run("plan", "show", "Spring", "--json")).id;
  await page.goto(`/plans/${number}`);
  center.run("device", "confirm", PRODUCT, "860000000000009");
  await page.waitForSelector("#reasons >> text=Upgrade Failed");
  await page.click("#reasons >> text=the device reports a failed upgrade (status 12)");
  assert.match(await text(page, "#devices"), /860000000000009[\s\S]*1 \/ 1/);
  await page.click("#devices >> text=860000000000009");
  assert.match(await text(page, "#steps"), /the device reports a failed upgrade \(status 12\)/);
  assert.match(await text(page, "#log"), /Offer[\s\S]*UPDATE_FAIL|Offer[\s\S]*FAIL/i);
  await page.goto(`/plans/${number}?state=upgrade_failed`);
  await page.check("input[value='860000000000009']");
  await page.click(`text="Try the chosen ones again"`);
  await page.waitForSelector("text=Devices done: 1.");
  await page.goto(`/plans/${number}/devices/860000000000009`);
  await page.waitForSelector("#state >> text=Upgraded");
  failing.kill();
  quiet(page);
  await page.context().close();
});

test("a plan is edited, suspended, resumed, and terminated only by its name", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  await page.goto(`/plans/new?product=${PRODUCT}`);
  await page.fill("#name", "Winter");
  await page.fill("#whitelist", "860000000000001\nnot a key\n");
  await page.fill("#period_from", "22:00");
  await page.fill("#period_until", "04:00");
  await page.selectOption("select[name='package.STM32']", { index: 1 });
  await page.click("button:text-is('Save')");
  assert.match(await text(page, ".is-wrong .fault"), /line 2: device key "not a key"/);
  assert.equal(await page.inputValue("#name"), "Winter");
  await page.fill("#whitelist", "860000000000001\n");
  await page.click("button:text-is('Save')");
  await page.waitForURL(/\/plans\/\d+\?said=saved/);
  assert.match(await text(page, "main"), /22:00-04:00/);
  await page.click(`text="Edit"`);
  await page.fill("#retries", "7");
  await page.click("button:text-is('Save')");
  assert.match(await text(page, "main"), /Number of retries\s+7/);
  await page.click(`text="Activate Plan"`);
  await page.check("text=It takes the place of the plans named above");
  await page.click("button:text-is('Activate Plan')");
  await page.click("button:text-is('Suspend')");
  await page.waitForSelector("h1 + * + * >> text=Suspended");
  await page.click("button:text-is('Resume')");
  await page.click("a:text-is('Terminate')");
  await page.fill("#confirm", "winter");
  await page.click(`text="Terminate for good"`);
  assert.match(await text(page, ".fault"), /not the plan's name/);
  await page.fill("#confirm", "Winter");
  await page.click(`text="Terminate for good"`);
  await page.waitForURL(/said=terminated/);
  assert.match(await text(page, ".changes"), /Activated[\s\S]*Suspended[\s\S]*Resumed[\s\S]*Terminated/);
  await page.click("a:text-is('Clone')");
  await page.click("button:text-is('Clone')");
  await page.waitForURL(/said=added/);
  await page.click("button:text-is('Delete')");
  await page.waitForURL(/\/plans\?said=deleted/);
  quiet(page);
  await page.context().close();
});

test("a device is forbidden, refused, allowed again, and deleted by its key", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  const gone = center.devices(PRODUCT, SECRET, { key: "860000000000077" });
  const address = `/products/${PRODUCT}/devices/860000000000077`;
  await page.goto("/devices");
  await reloaded(page, async () => (await page.locator("text=860000000000077").count()) > 0);
  await page.goto(address);
  await page.waitForSelector("#facts >> text=Online");
  await page.click("button:text-is('Forbid the device')");
  assert.match(await text(page, "main"), /the center refuses its connections/);
  await page.waitForSelector("#facts >> text=Offline");
  await page.click("button:text-is('Allow it again')");
  assert.match(await text(page, ".said"), /Allowed again/);
  gone.kill();
  await page.waitForSelector("#facts >> text=Offline");
  await page.click("text=Delete the device");
  await page.fill("#confirm", "860000000000078");
  await page.click("text=Delete for good");
  assert.match(await text(page, ".fault"), /not the device's key/);
  await page.fill("#confirm", "860000000000077");
  await page.click("text=Delete for good");
  await page.waitForURL(/said=deleted/);
  assert.equal((await page.request.get(address)).status(), 404);
  await page.goto(`/products/${PRODUCT}`);
  await page.click("summary:text-is('Replace the secret')");
  await page.fill("#days", "1");
  await page.click("button:text-is('Replace the secret')");
  assert.match(await text(page, ".said dd"), /^\S{16}$/);
  quiet(page);
  await page.context().close();
});

test("two devices with one key are named on the fleet, and the device's page has when it was online", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  const both = [1, 2].map(() => center.devices(PRODUCT, SECRET, { key: "860000000000088" }));
  await page.goto("/");
  // The fleet follows by itself.
  await page.waitForSelector("#decisions >> text=860000000000088");
  assert.match(await text(page, "#decisions"), /Two devices with one key\?[\s\S]*\d+ connections took over one another/);
  await page.click("#decisions >> text=860000000000088");
  await page.waitForSelector("#connections tbody tr >> nth=3");
  assert.match(await text(page, "main"), /Two devices with one key\?/);
  for (const device of both) device.kill();
  quiet(page);
  await page.context().close();
});

test("Chinese by the browser's language and by the switch", async () => {
  const page = await visit(chrome, center, { locale: "zh-CN" });
  await page.goto("/sign-in");
  assert.equal(await page.getAttribute("html", "lang"), "zh");
  await signIn(page, center);
  assert.match(await text(page, ".places"), /升级计划/);
  await page.goto(`/products/${PRODUCT}/devices/860000000000002`);
  assert.match(await text(page, "main"), /为什么没有升级/);
  assert.match(await text(page, "#why"), /设备在该计划中已结束：已升级/);
  await page.goto(`/plans/new?product=${PRODUCT}`);
  await page.fill("#name", "冬季");
  await page.fill("#whitelist", "860000000000001\nnot a key\n");
  await page.selectOption("select[name='package.STM32']", { index: 1 });
  await page.click("button[value=save]");
  assert.match(await text(page, ".is-wrong .fault"), /第 2 行：设备标识“not a key”：1 至 32 个字母/);
  await page.goto(`/products/${PRODUCT}/devices/860000000000002`);
  await page.click(".switch");
  assert.equal(await page.getAttribute("html", "lang"), "en");
  assert.match(page.url(), /860000000000002/);
  quiet(page);
  await page.context().close();
});

test("without scripts everything but the live updates works", async () => {
  const page = await visit(chrome, center, { javaScriptEnabled: false });
  await signIn(page, center);
  await page.goto(`/packages/new?product=${PRODUCT}`);
  await page.fill("#name", "diffuser-3");
  await page.fill("#target", "3_0_0");
  await page.setInputFiles("#file", center.file("empty.bin", 0));
  await page.click(`text="Add the package"`);
  assert.match(await text(page, ".fault:visible"), /the file is empty/);
  assert.equal(await page.inputValue("#target"), "3_0_0");
  await page.setInputFiles("#file", center.file("stm32-3_0_0.bin", 1000));
  await page.click(`text="Add the package"`);
  await page.waitForURL(/\/packages\/2\?said=added/);
  await page.click(`text="Create an Upgrade Plan"`);
  await page.fill("#name", "Plain");
  const csv = (text) => ({ name: "devices.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
  await page.setInputFiles("input[name=whitelist_file]", csv("IMEI,place\n860000000000001,hall\na key,attic\n"));
  await page.click("button:text-is('Save')");
  assert.match(await text(page, ".is-wrong .fault"), /line 3: device key "a key"/);
  await page.fill("#whitelist", "");
  await page.setInputFiles("input[name=whitelist_file]", csv("IMEI,place\n860000000000001,hall\n"));
  await page.click(`text="Show what it would do"`);
  assert.match(await text(page, "#preview"), /offered it now/);
  assert.equal(await page.inputValue("#name"), "Plain");
  assert.match(await page.inputValue("#whitelist"), /860000000000001/);
  await page.click("button:text-is('Save')");
  await page.click(`text="Activate Plan"`);
  if (await page.locator("input[name=supersede]").count()) await page.check("input[name=supersede]");
  await page.click("button:text-is('Activate Plan')");
  await page.waitForURL(/said=activated/);
  await page.goto(`/products/${PRODUCT}/devices/860000000000001`);
  await page.click(`text="Turn auto-confirm on"`);
  assert.match(await text(page, "main"), /On: plans in manual mode/);
  quiet(page);
  await page.context().close();
});

test("a stranger is sent to the sign-in page, and a form of another site does nothing", async () => {
  const page = await visit(chrome, center);
  await page.goto("/plans/1?state=upgraded");
  assert.match(page.url(), /\/sign-in\?then=/);
  await page.fill("#name", "admin");
  await page.fill("#password", "wrong password");
  await page.click("form.card button.main");
  assert.match(await text(page, ".fault"), /Name or password are wrong/);
  await page.fill("#password", CHOSEN);
  await page.click("form.card button.main");
  await page.waitForURL("/plans/1?state=upgraded");
  const refused = await page.request.post("/products/new", { form: { key: "p2evil", name: "x", csrf: "guess" } });
  assert.equal(refused.status(), 403);
  const head = await page.request.get("/");
  const policy = head.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal((await page.request.get("/products/p2evil")).status(), 404);
  quiet(page);
  await page.context().close();
});
