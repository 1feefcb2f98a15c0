// A center on free ports with a folder of its own, devices beside it, and a browser. None of it outlives the test.

import { spawn, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const programs = process.env.QUECOTA_PROGRAMS;
if (!programs) throw new Error("QUECOTA_PROGRAMS: the folder of quecota-center and reference-device");

/** Longest wait for anything. */
export const DEADLINE = 60_000;

const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** A process that dies with this one. */
export function start(program, words, options = {}) {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", program, ...words], { stdio: ["ignore", "pipe", "inherit"], ...options });
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

export class Center {
  static async start() {
    const center = new Center();
    center.folder = mkdtempSync(join(tmpdir(), "quecota-console-"));
    center.data = join(center.folder, "data");
    const words = ["serve", "--log", "warn", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data", center.data];
    center.process = start(join(programs, "quecota-center"), words);
    const lines = createInterface({ input: center.process.stdout });
    const late = setTimeout(() => { throw new Error("the center did not start"); }, DEADLINE);
    for await (const line of lines) {
      const [, name, address] = line.match(/^(mqtt|http): (?:mqtt|http):\/\/(.*)$/) ?? [];
      if (name) center[name] = address;
      const [, password] = line.match(/^sign in: account admin, one-time password (.*)$/) ?? [];
      if (password) { center.password = password; break; }
    }
    clearTimeout(late);
    center.process.stdout.resume();
    center.url = `http://${center.http}`;
    return center;
  }

  /** Runs a command of the center; what it printed. */
  run(...words) {
    return execFileSync(join(programs, "quecota-center"), [...words, "--data", this.data], {
      env: { ...process.env, QUECOTA_SERVER: this.url }, encoding: "utf8",
    });
  }

  /** Devices that a program plays; `script` as its documentation has it. */
  devices(product, secret, { key = "860000000000001", script, count = 1, component = "STM32:1_0_0" } = {}) {
    const words = ["--server", this.mqtt, "--product-key", product, "--product-secret", secret, "--device-key", key, "--devices", String(count)];
    if (script) {
      const file = join(this.folder, `${key}.script`);
      writeFileSync(file, script);
      words.push("--script", file);
    } else {
      words.push("--component", component);
    }
    const child = start(join(programs, "reference-device"), words);
    child.stdout.resume();
    return child;
  }

  /** The C example of an application with an MCU, whose flash is a file; it asks for a plan each second. */
  application(product, secret, key, component) {
    const examples = process.env.QUECOTA_EXAMPLES;
    if (!examples) throw new Error("QUECOTA_EXAMPLES: the folder of the built c-examples; `cargo xtask test browser` sets it");
    const flash = join(this.folder, `${key}.flash`);
    const words = ["--server", `mqtt://${this.mqtt}`, "--product-key", product, "--product-secret", secret, "--component", component];
    const env = { ...process.env, QUECOTA_DIR: join(this.folder, key), QUECOTA_DEVICE_KEY: key, QUECOTA_STAGING: "65536" };
    const child = start(join(examples, "sota"), [...words, "--version", "1_0_0", "--request-every", "1", "--flash", flash], { env });
    const lines = [];
    createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
    return { flash, lines, kill: () => child.kill() };
  }

  /** A file of so many bytes that repeat nowhere, the same for the same name. */
  file(name, bytes) {
    const path = join(this.folder, name);
    const blocks = Array.from({ length: Math.ceil(bytes / 32) }, (_, index) => createHash("sha256").update(`${name} ${index}`).digest());
    writeFileSync(path, Buffer.concat(blocks).subarray(0, bytes));
    return path;
  }

  stop() {
    for (const child of children) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export async function browser() {
  return chromium.launch({ executablePath: process.env.QUECOTA_CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** A page whose errors and whose requests to anywhere else fail the test that calls `quiet`. */
export async function visit(browser, center, options = {}) {
  const context = await browser.newContext({ locale: "en-US", timezoneId: "Europe/Berlin", baseURL: center.url, ...options });
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  page.troubles = [];
  context.on("request", (request) => {
    if (!request.url().startsWith(center.url)) page.troubles.push(`request to ${request.url()}`);
  });
  page.on("console", (message) => {
    // Chromium calls every answer of 4xx an error; a form that is refused is meant to be.
    const isRefusal = /status of (401|403|409|422)/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !isRefusal) page.troubles.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.troubles.push(String(error)));
  return page;
}

export const CHOSEN = "correct horse battery staple";

/** Signs in; the first time by the one-time password, which is changed then. */
export async function signIn(page, center, name = "admin") {
  center.chosen ??= new Set();
  const isFirst = !center.chosen.has(name);
  const oneTime = center.passwords?.[name] ?? center.password;
  await page.goto("/sign-in");
  await page.fill("#name", name);
  await page.fill("#password", isFirst ? oneTime : CHOSEN);
  await page.click("form.card button.main");
  if (isFirst) {
    await page.waitForURL(/\/password/);
    await page.fill("#current", oneTime);
    await page.fill("#new", CHOSEN);
    await page.fill("#again", CHOSEN);
    await page.click("form.card button.main");
    center.chosen.add(name);
  }
  await page.waitForURL("/");
}

/** Loads the page again until it holds: a list that is not live. */
export async function reloaded(page, holds) {
  const deadline = Date.now() + 2 * DEADLINE;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${await page.locator("main").innerText()}`);
    await page.waitForTimeout(150);
    await page.reload();
  }
}
