// Every page of the console, as the fleet of fleet.mjs fills it, and the views that each is looked at in.

import { PRODUCT } from "./fleet.mjs";

const OTHERS_DEVICE = "/products/p2weather/devices/wx-berlin-rooftop-00000000000001";

export const PAGES = [
  "/", "/password", "/accounts", "/webhooks", "/webhooks/1", "/audit", "/settings", "/products", "/products/new", `/products/${PRODUCT}`,
  "/devices", "/devices?product=p2weather", "/devices?key=none",
  `/products/${PRODUCT}/devices/861200000000000`, `/products/${PRODUCT}/devices/861200000000000/delete`, OTHERS_DEVICE,
  "/packages", "/packages/new", "/packages/1", "/packages/4", "/plans", "/plans/new", `/plans/new?product=${PRODUCT}&package=1`,
  "/plans/1", "/plans/1?state=upgrade_failed", "/plans/1/terminate", "/plans/1/clone", "/plans/1/devices/861200000000000",
  "/plans/2", "/plans/2/edit", "/plans/2/activate", "/plans/3", "/verifications", "/verifications/1", `/products/${PRODUCT}/devices/862000000000000`, "/nothing-here",
];

/** Pages that have something to say when nothing is there yet. */
export const EMPTY_PAGES = ["/", "/accounts", "/webhooks", "/audit", "/products", "/devices", "/packages", "/packages/new", "/plans", "/plans/new", "/verifications"];

/** What comes of something that a person does: its name, and how to get there. */
export const STEPS = [
  ["a product that is refused", async (page) => {
    await page.goto("/products/new");
    await page.fill("#name", "Kettle");
    await page.fill("#key", "a key");
    await page.click("form.card button.main");
  }],
  ["a product's secret", async (page) => {
    await page.goto("/products/new");
    await page.fill("#name", "Kettle");
    await page.fill("#key", `p3kettle${Date.now() % 1_000_000}`);
    await page.click("form.card button.main");
    await page.waitForSelector("[role=status]");
  }],
  ["a component that is in use", async (page) => {
    await page.goto(`/products/${PRODUCT}`);
    await page.click("form[action$='/components/STM32/delete'] button");
  }],
  ["a package with a file that is none", async (page, center) => {
    await page.goto("/packages/new");
    await page.setInputFiles("#file", center.file("stm32.exe", 10));
    await page.waitForSelector("#file-fault:not(:empty)");
  }],
  ["a package that a plan needs", async (page) => {
    await page.goto("/packages/1");
    await page.click("form[action='/packages/1/delete'] button");
  }],
  ["a plan with a bad line", async (page) => {
    await page.goto(`/plans/new?product=${PRODUCT}&package=1`);
    await page.fill("#name", "Winter");
    await page.fill("#whitelist", "861100000000000\nnot a key\n");
    await page.fill("#period_from", "22:00");
    await page.fill("#period_until", "04:00");
    await page.click("button[value=save]");
    await page.waitForSelector(".is-wrong .fault");
  }],
  ["a plan that is not terminated by another name", async (page) => {
    await page.goto("/plans/1/terminate");
    await page.fill("#confirm", "another");
    await page.click("form.card button.danger");
    await page.waitForSelector(".fault");
  }],
  ["an appointment that is too short", async (page) => {
    await page.goto(OTHERS_DEVICE);
    await page.click("#why summary");
    const [from, until] = await page.locator("#why input[type=datetime-local]").all();
    await until.fill(await from.inputValue());
    await page.click("button[value=appoint]");
    await page.waitForSelector(".wrong");
  }],
  ["an account that is refused", async (page) => {
    await page.goto("/accounts");
    await page.locator("summary").first().click();
    await page.fill("#name", "Not a name");
    await page.click("form[action='/accounts'] button.main");
    await page.waitForSelector(".fault");
  }],
  ["an account's password", async (page, center) => {
    await page.goto("/accounts");
    await page.locator("summary").first().click();
    const name = `vera${Date.now() % 1_000_000}`;
    await page.fill("#name", name);
    await page.click("form[action='/accounts'] button.main");
    center.viewer = { name, password: (await page.locator(".said dd").innerText()).trim() };
  }],
  ["a token's secret", async (page) => {
    await page.goto("/accounts");
    await page.locator("summary").last().click();
    await page.fill("#token", `ci${Date.now() % 1_000_000}`);
    await page.click("form[action='/tokens'] button.main");
    await page.waitForSelector(".said");
  }],
  ["a webhook that is refused", async (page) => {
    await page.goto("/webhooks");
    await page.click("summary");
    await page.fill("#name", "chat 2");
    await page.fill("#url", "https://chat.invalid/hook");
    await page.click("form[action='/webhooks'] button.main");
    await page.waitForSelector(".fault");
  }],
  ["a webhook's new secret", async (page) => {
    await page.goto("/webhooks/1");
    await page.click("form[action='/webhooks/1/secret'] button");
    await page.waitForSelector(".said");
  }],
  ["a form whose session is over", async (page) => {
    await page.goto("/products/new");
    await page.fill("#name", "Kept");
    await page.fill("#key", "p4kept");
    await page.context().clearCookies({ name: "quecota_session" });
    await page.click("form.card button.main");
    await page.waitForSelector("input[name=kept]", { state: "attached" });
  }],
  ["a password that is wrong", async (page) => {
    await page.fill("#name", "admin");
    await page.fill("#password", "not the password");
    await page.click("form.card button.main");
    await page.waitForSelector(".fault");
  }],
  ["the form once more", async (page, center) => {
    await page.fill("#name", "admin");
    await page.fill("#password", center.admin);
    await page.click("form.card button.main");
    await page.waitForSelector("input[name=key]", { state: "attached" });
  }],
];

/** Pages of somebody who only looks, and one that is not theirs. */
export const PAGES_OF_A_VIEWER = ["/", `/products/${PRODUCT}`, "/packages/1", "/plans/1", OTHERS_DEVICE, "/settings"];

export const LANGUAGES = ["en-US", "zh-CN"];
export const LOOKS = ["light", "dark"].flatMap((colorScheme) => [1440, 360].map((width) => ({ colorScheme, width })));

/** Shows the page in this look. */
export async function wear(page, { colorScheme, width }) {
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height: width < 500 ? 740 : 900 });
}
