// Pictures of the main pages for the documentation: node screenshots.mjs FOLDER
// Every page in every view, to look at: node screenshots.mjs FOLDER all

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Center, browser, signIn, visit } from "./center.mjs";
import { PRODUCT, fill } from "./fleet.mjs";
import { PAGES, VIEWS } from "./pages.mjs";

const folder = process.argv[2];
if (!folder) throw new Error("say into which folder");
mkdirSync(folder, { recursive: true });

const WIDE = { viewport: { width: 1280, height: 800 } };
const NARROW = { viewport: { width: 390, height: 844 }, colorScheme: "dark", locale: "zh-CN" };
const DARK = { ...WIDE, colorScheme: "dark" };

const PICTURES = [
  ["fleet", "/", WIDE],
  ["plan", "/plans/1", WIDE],
  ["plan-form", `/plans/new?product=${PRODUCT}&package=1`, WIDE],
  ["device", `/products/${PRODUCT}/devices/861400000000000`, WIDE],
  ["component-details", "/plans/1/devices/861200000000000", DARK],
  ["narrow-chinese", "/products/p2weather/devices/wx-berlin-rooftop-00000000000001", NARROW],
];

const everything = () => VIEWS.flatMap((view) => PAGES.map((path) => {
  const page = path === "/" ? "fleet" : path.slice(1).replaceAll(/[^a-z0-9]+/gi, "-");
  return [`${view.locale.slice(0, 2)}-${view.colorScheme}-${view.viewport.width}-${page}`, path, view];
}));
const pictures = process.argv[3] === "all" ? everything() : PICTURES;

const [center, chrome] = await Promise.all([Center.start(), browser()]);
try {
  await fill(center, 4);
  let page;
  let last;
  for (const [name, path, view] of pictures) {
    if (view !== last) {
      await page?.context().close();
      page = await visit(chrome, center, { timezoneId: "Asia/Shanghai", ...view });
      await signIn(page, center);
      last = view;
    }
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
    await page.screenshot({ path: file, fullPage: pictures !== PICTURES });
    console.log(file);
  }
} finally {
  await chrome.close();
  center.stop();
}
