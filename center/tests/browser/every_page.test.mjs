// Every page, in both languages, light and dark, wide and narrow: no violation of accessibility rules, nothing that sticks out
// at the side, no page above its size, no trouble in the console.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import axe from "axe-core";
import { CHOSEN, Center, browser, signIn, visit } from "./center.mjs";
import { PRODUCT, fill } from "./fleet.mjs";
import { EMPTY_PAGES, LANGUAGES, LOOKS, PAGES, PAGES_OF_A_VIEWER, STEPS, wear } from "./pages.mjs";

const LARGEST = 150 * 1024;
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

let filled;
let empty;
let chrome;
before(async () => {
  [filled, empty, chrome] = await Promise.all([Center.start(), Center.start(), browser()]);
  filled.admin = CHOSEN;
  await fill(filled);
});
after(async () => {
  await chrome?.close();
  filled?.stop();
  empty?.stop();
});

/** What is wrong with the page as it stands, in every look. */
async function faults(page, name) {
  const wrong = [];
  await page.evaluate(axe.source);
  for (const look of LOOKS) {
    await wear(page, look);
    const of = `${name}, ${look.colorScheme}, ${look.width} px`;
    const out = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (out > 0) wrong.push(`${of}: sticks out by ${out} px`);
    for (const found of await page.evaluate(violations, RULES)) wrong.push(`${of}: ${found}`);
  }
  return wrong;
}

/** Runs in the page. */
async function violations(rules) {
  const { violations } = await window.axe.run({ runOnly: { type: "tag", values: rules }, resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => {
    const named = nodes.slice(0, 2).map((node) => `${node.html} ${node.any?.[0]?.message ?? ""}`);
    return `${id}: ${named.join(" | ")}`;
  });
}

const assets = new Map();

/** Loads a page; what is wrong with it. */
async function opened(page, path, allowed) {
  const answer = await page.goto(path);
  assert.ok(allowed.includes(answer.status()), `${path}: ${answer.status()}`);
  let size = (await answer.body()).length;
  for (const address of await page.evaluate(linked)) {
    if (!assets.has(address)) assets.set(address, (await (await page.request.get(address)).body()).length);
    size += assets.get(address);
  }
  const tooLarge = size > LARGEST ? [`${path}: ${size} bytes with what it links to`] : [];
  return [...tooLarge, ...await faults(page, path)];
}

const troubles = (page) => page.troubles.filter((trouble) => !/status of 404/.test(trouble));

for (const locale of LANGUAGES) {
  test(`every page, ${locale}`, async () => {
    const page = await visit(chrome, filled, { locale });
    await signIn(page, filled);
    const wrong = [];
    for (const path of PAGES) wrong.push(...await opened(page, path, [200, 404]));
    assert.deepEqual([...wrong, ...troubles(page)], []);
    await page.context().close();
  });

  test(`what forms say, ${locale}`, async () => {
    const page = await visit(chrome, filled, { locale });
    await signIn(page, filled);
    const wrong = [];
    for (const [name, go] of STEPS) {
      await go(page, filled);
      wrong.push(...await faults(page, name));
    }
    assert.deepEqual([...wrong, ...troubles(page)], []);
    await page.context().close();
  });

  test(`the pages of a viewer, ${locale}`, async () => {
    const page = await visit(chrome, filled, { locale });
    const { name, password } = filled.viewer;
    filled.passwords = { [name]: password };
    await signIn(page, filled, name);
    const wrong = [];
    for (const path of PAGES_OF_A_VIEWER) wrong.push(...await opened(page, path, [200, 403]));
    assert.deepEqual([...wrong, ...troubles(page)], []);
    await page.context().close();
  });

  test(`an empty center, ${locale}`, async () => {
    const page = await visit(chrome, empty, { locale });
    const wrong = await opened(page, "/sign-in", [200]);
    await signIn(page, empty);
    for (const path of EMPTY_PAGES) wrong.push(...await opened(page, path, [200]));
    assert.deepEqual([...wrong, ...troubles(page)], []);
    await page.context().close();
  });
}

/** Runs in the page: style sheets, scripts and pictures that it loads. */
function linked() {
  return [...document.querySelectorAll("link[href], script[src], img[src]")].map((node) => node.href || node.src);
}

/** An operation of the API's page, opened. */
async function operation(page, words) {
  const view = page.locator("#operations details").filter({ has: page.locator(`summary:text-matches("${words}")`) }).first();
  await view.locator("summary").click();
  return view;
}

/** Sends what the operation's fields hold; what is shown of the answer. */
async function sent(view) {
  await view.locator("button").click();
  const shown = view.locator("pre");
  await shown.filter({ hasText: /^(\d{3} |no answer)/ }).waitFor();
  return shown.innerText();
}

test("the page of the API: read, searched and tried, by the session and by a token", async () => {
  const page = await visit(chrome, filled);
  await signIn(page, filled);
  const wrong = [];
  wrong.push(...await opened(page, "/api/docs", [200]));
  await page.waitForSelector("#operations details");
  wrong.push(...await faults(page, "/api/docs, filled"));

  // A request by the session, as it stands there; one with a name in its path, and one that is refused.
  const products = await operation(page, "GET/api/v1/products[^/]");
  assert.match(await sent(products), new RegExp(`^200 [\\s\\S]*content-type: application/json[\\s\\S]*"key": "${PRODUCT}"`));
  const product = await operation(page, "GET/api/v1/products/{pk}[^/]");
  await product.getByLabel("pk", { exact: true }).fill(PRODUCT);
  assert.match(await sent(product), /^200 [\s\S]*etag: [\s\S]*"name": "Smart Aromatherapy Diffuser"/);
  await product.getByLabel("pk", { exact: true }).fill("p0nothing");
  await product.locator("button").click();
  await product.locator("pre").filter({ hasText: /^404 / }).waitFor();
  // Fields of a body, and of a form with a file.
  await operation(page, "POST/api/v1/products[^/]");
  await operation(page, "POST/api/v1/products/{pk}/packages[^/]");
  wrong.push(...await faults(page, "/api/docs, operations open"));

  // The one that the search leaves, by a token; a wrong one is refused, though there is a session.
  await page.fill("#find", "webhooks");
  assert.equal(await page.locator("#operations details:visible").filter({ hasText: "/products" }).count(), 0);
  const webhooks = await operation(page, "GET/api/v1/webhooks[^/]");
  await page.fill("#token", "not a token");
  assert.match(await sent(webhooks), /^401 /);
  await page.fill("#token", readFileSync(join(filled.data, "token"), "utf8").trim());
  await webhooks.locator("button").click();
  await webhooks.locator("pre").filter({ hasText: /^200 [\s\S]*"chat"/ }).waitFor();
  assert.deepEqual([...wrong, ...troubles(page)], []);
  await page.context().close();
});

test("style sheet and scripts are fetched once and kept", async () => {
  const page = await visit(chrome, filled);
  await signIn(page, filled);
  for (const address of await page.evaluate(linked)) {
    const answer = await page.request.get(address);
    assert.match(answer.headers()["cache-control"], /immutable/, address);
  }
  await page.context().close();
});
