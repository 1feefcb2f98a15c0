// Every page, in both languages, light and dark, wide and narrow: no violation of accessibility rules, nothing that sticks out
// at the side, no page above its size, no trouble in the console.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { Center, browser, signIn, visit } from "./center.mjs";
import { fill } from "./fleet.mjs";
import { PAGES, VIEWS } from "./pages.mjs";

const LARGEST = 150 * 1024;

let center;
let chrome;
before(async () => {
  [center, chrome] = await Promise.all([Center.start(), browser()]);
  await fill(center);
});
after(async () => {
  await chrome?.close();
  center?.stop();
});

for (const view of VIEWS) {
  test(`every page, ${view.locale}, ${view.colorScheme}, ${view.viewport.width} px`, async () => {
    const page = await visit(chrome, center, { ...view, reducedMotion: "reduce" });
    await signIn(page, center);
    const wrong = [];
    const assets = new Map();
    for (const path of PAGES) {
      const answer = await page.goto(path);
      assert.ok([200, 404].includes(answer.status()), `${path}: ${answer.status()}`);
      let size = (await answer.body()).length;
      for (const address of await page.evaluate(linked)) {
        if (!assets.has(address)) assets.set(address, (await (await page.request.get(address)).body()).length);
        size += assets.get(address);
      }
      if (size > LARGEST) wrong.push(`${path}: ${size} bytes with what it links to`);
      const out = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (out > 0) wrong.push(`${path}: sticks out by ${out} px`);
      const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
      for (const { id, nodes } of violations) {
        wrong.push(`${path}: ${id}: ${nodes.slice(0, 2).map((node) => `${node.html} ${node.any?.[0]?.message ?? ""}`).join(" | ")}`);
      }
    }
    const troubles = page.troubles.filter((trouble) => !/status of 404/.test(trouble));
    assert.deepEqual([...wrong, ...troubles], []);
    await page.context().close();
  });
}

/** Runs in the page: style sheets, scripts and pictures that it loads. */
function linked() {
  return [...document.querySelectorAll("link[href], script[src], img[src]")].map((node) => node.href || node.src);
}

test("style sheet and scripts are fetched once and kept", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  for (const address of await page.evaluate(linked)) {
    const answer = await page.request.get(address);
    assert.match(answer.headers()["cache-control"], /immutable/, address);
  }
  await page.context().close();
});
