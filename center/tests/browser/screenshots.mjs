// Pictures of the main pages for the documentation: node screenshots.mjs FOLDER
// Every page in every look, to look at: node screenshots.mjs FOLDER all

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CHOSEN, Center, browser, signIn, visit } from "./center.mjs";
import { PRODUCT, fill } from "./fleet.mjs";
import { EMPTY_PAGES, LANGUAGES, LOOKS, PAGES, STEPS, wear } from "./pages.mjs";

const [folder, all] = process.argv.slice(2);
if (!folder) throw new Error("say into which folder");
mkdirSync(folder, { recursive: true });

const WIDE = { viewport: { width: 1280, height: 800 } };
const NARROW = { viewport: { width: 390, height: 844 }, colorScheme: "dark", locale: "zh-CN" };
const DARK = { ...WIDE, colorScheme: "dark" };

const PICTURES = [
  ["fleet", "/", WIDE],
  ["verification", "/verifications/1", WIDE],
  ["plan", "/plans/1", WIDE],
  ["plan-form", `/plans/new?product=${PRODUCT}&package=1`, WIDE],
  ["device", `/products/${PRODUCT}/devices/861400000000000`, WIDE],
  ["component-details", "/plans/1/devices/861200000000000", DARK],
  ["narrow-chinese", "/products/p2weather/devices/wx-berlin-rooftop-00000000000001", NARROW],
];

/** A file's name for a page. */
const named = (path) => (path === "/" ? "fleet" : path.replaceAll(/[^a-z0-9]+/gi, "-").replaceAll(/^-|-$/g, ""));

const chrome = await browser();
const centers = [];

async function started(size) {
  const center = await Center.start();
  centers.push(center);
  center.admin = CHOSEN;
  if (size) await fill(center, size);
  return center;
}

async function ofTheDocumentation() {
  const center = await started(4);
  for (const [name, path, view] of PICTURES) {
    const page = await visit(chrome, center, { timezoneId: "Asia/Shanghai", ...view });
    await signIn(page, center);
    await page.goto(path);
    if (name === "plan-form") {
      await page.fill("#name", "Winter");
      await page.fill("#period_from", "22:00");
      await page.fill("#period_until", "04:00");
      await page.waitForSelector("#preview >> .lead");
      await page.waitForFunction(() => !document.querySelector(".preview.is-old"));
    }
    // The live stream has told what it had to.
    await page.waitForTimeout(1000);
    const file = join(folder, `${name}.png`);
    await page.screenshot({ path: file });
    console.log(file);
    await page.context().close();
  }
}

async function everything() {
  const [filled, empty] = [await started(4), await started(0)];
  const looks = [...LOOKS, { colorScheme: "light", width: 1920 }];
  for (const locale of LANGUAGES) {
    const taken = async (page, name) => {
      await page.waitForTimeout(300);
      for (const look of looks) {
        await wear(page, look);
        const file = join(folder, `${name}-${locale.slice(0, 2)}-${look.colorScheme}-${look.width}.png`);
        await page.screenshot({ path: file, fullPage: true });
      }
      console.log(join(folder, name));
    };
    let page = await visit(chrome, filled, { locale, timezoneId: "Asia/Shanghai" });
    await signIn(page, filled);
    for (const path of PAGES) {
      await page.goto(path);
      await taken(page, named(path));
    }
    for (const [name, go] of STEPS) {
      await go(page, filled);
      await taken(page, `step-${named(name)}`);
    }
    await page.context().close();
    page = await visit(chrome, empty, { locale });
    await page.goto("/sign-in");
    await taken(page, "empty-sign-in");
    await signIn(page, empty);
    for (const path of EMPTY_PAGES) {
      await page.goto(path);
      await taken(page, `empty-${named(path)}`);
    }
    await page.context().close();
  }
}

try {
  await (all === "all" ? everything() : ofTheDocumentation());
} finally {
  await chrome.close();
  for (const center of centers) center.stop();
}
