// The seeds' whole walk with a C application: from the center's first start, by the pages alone, to an MCU whose flash holds every
// byte that was uploaded; then once more with the end user's word.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Center, browser, reloaded, signIn, visit } from "./center.mjs";

const PRODUCT = "p1first";
const DEVICE = "861111111111111";

let center;
let chrome;
let page;
let device;
let secret;
before(async () => {
  [center, chrome] = await Promise.all([Center.start(), browser()]);
});
after(async () => {
  device?.kill();
  await chrome?.close();
  center?.stop();
});

const text = (selector) => page.locator(selector).innerText();

async function upload(name, target, file) {
  await page.goto(`/packages/new?product=${PRODUCT}`);
  await page.fill("#name", name);
  await page.fill("#target", target);
  await page.setInputFiles("#file", file);
  await page.click(`text="Add the package"`);
  await page.waitForURL(/\/packages\/\d+/);
  assert.match(await text("main"), /SHA-256/);
}

const sameBytes = (file) => assert.ok(readFileSync(file).equals(readFileSync(device.flash)), "the flash holds other bytes than were uploaded");

test("the first start: the one-time password, an account for the operator", async () => {
  page = await visit(chrome, center);
  await page.goto("/");
  assert.match(page.url(), /\/sign-in/);
  assert.match(await text("main"), /The first account is admin; the center prints its one-time password at its first start/);
  await signIn(page, center);
  assert.match(await text("main"), /Start with a product/);
  await page.click(`nav >> text="Accounts"`);
  await page.click(`text="Add an account"`);
  await page.fill("#name", "olga");
  await page.selectOption("#role", "operator");
  await page.click(`button:text-is("Add the account")`);
  center.passwords = { olga: (await text(".said dd")).trim() };
  await page.click(`text="Sign out"`);
  await signIn(page, center, "olga");
  assert.doesNotMatch(await text(".places"), /Accounts|Settings/);
});

test("a product with a component; the device makes itself known", async () => {
  await page.click(`text="Create a Product"`);
  await page.fill("#name", "Smart Aromatherapy Diffuser");
  await page.fill("#key", PRODUCT);
  await page.click("button:text-is('Create')");
  secret = (await page.locator("main dd.mono").nth(1).innerText()).trim();
  await page.click(`text="I have it: add components"`);
  await page.fill("#id", "STM32");
  await page.selectOption("#type", "mcu");
  await page.click(`text="Add the component"`);
  await page.waitForSelector("th:text-is('STM32')");
  device = center.application(PRODUCT, secret, DEVICE, "STM32");
  await page.goto(`/devices?product=${PRODUCT}`);
  await reloaded(page, async () => (await page.locator("tbody tr", { hasText: /Online[\s\S]*STM32 1_0_0/ }).count()) === 1);
});

test("a version package is verified on it", async () => {
  const file = center.file("stm32-2_0_0.bin", 150_000);
  await upload("diffuser-2", "2_0_0", file);
  await page.fill("#device", DEVICE);
  await page.click(`text="Verify on this device"`);
  await page.waitForURL(/\/verifications\/\d+/);
  await page.waitForSelector("#state >> text=Passed");
  assert.equal(await page.locator(".steps .is-done").count(), 5);
  sameBytes(file);
});

test("a plan is created, activated and watched until the device is upgraded", async () => {
  const file = center.file("stm32-3_0_0.bin", 200_000);
  await upload("diffuser-3", "3_0_0", file);
  await page.click(`text="Create an Upgrade Plan"`);
  await page.fill("#name", "Autumn");
  await page.waitForSelector("#preview >> text=offered it now");
  await page.click("button:text-is('Save')");
  await page.waitForURL(/\/plans\/\d+/);
  await page.click(`text="Activate Plan"`);
  assert.match(await text("main"), /1 device is offered it now/);
  await page.click("button:text-is('Activate Plan')");
  await page.waitForURL(/said=activated/);
  // Live, without a reload.
  await page.waitForSelector(`#devices >> text=Upgraded`);
  await page.waitForSelector(`#figures >> text=100.0 %`);
  await page.click(`#devices >> text=${DEVICE}`);
  assert.equal(await page.locator(".steps .is-done").count(), 5);
  assert.match(await text("#components"), /2_0_0 \u2192 3_0_0/);
  sameBytes(file);
  for (const code of ["10700", "10701", "10703", "10704", "10705"]) {
    assert.ok(device.lines.some((line) => line.startsWith(code)), `the application was told ${code}`);
  }
});

test("a manual plan waits for its end user on Device Details", async () => {
  const file = center.file("stm32-4_0_0.bin", 120_000);
  await upload("diffuser-4", "4_0_0", file);
  await page.click(`text="Create an Upgrade Plan"`);
  await page.fill("#name", "By hand");
  await page.check("#mode-manual");
  await page.fill("#text_zh", "新版本已就绪");
  await page.fill("#text_en", "A new version is there");
  await page.click("button:text-is('Save')");
  await page.waitForURL(/\/plans\/\d+/);
  await page.click(`text="Activate Plan"`);
  await page.check("text=It takes the place of the plans named above");
  await page.click("button:text-is('Activate Plan')");
  await page.waitForURL(/said=activated/);
  await page.goto(`/products/${PRODUCT}/devices/${DEVICE}`);
  assert.match(await text("#why"), /Waits for the user's confirmation/i);
  assert.match(await text("#why"), /A new version is there/);
  await page.click(`text="Confirm the upgrade"`);
  await page.waitForSelector("#facts >> text=4_0_0");
  sameBytes(file);
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
