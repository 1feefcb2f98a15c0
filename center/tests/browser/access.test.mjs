// Who may do what on the pages: a viewer looks, an operator changes, an administrator gives access; and a form outlives its session.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Center, browser, signIn, visit } from "./center.mjs";

const PRODUCT = "p1roles";

let center;
let chrome;
before(async () => {
  [center, chrome] = await Promise.all([Center.start(), browser()]);
  center.run("product", "create", "--key", PRODUCT, "--name", "Roles");
  center.run("product", "create", "--key", "p2hidden", "--name", "Hidden");
  center.run("component", "add", PRODUCT, "STM32", "--type", "mcu");
  center.run("package", "add", "--product", PRODUCT, "--component", "STM32", "--name", "one", "--target", "1", center.file("one.bin", 100));
  center.run("plan", "create", "--name", "Quiet", "--product", PRODUCT, "--component", "STM32=1");
});
after(async () => {
  await chrome?.close();
  center?.stop();
});

const quiet = (page) => assert.deepEqual(page.troubles, []);
const text = (page, selector) => page.locator(selector).innerText();

test("an administrator adds accounts and tokens; each secret is shown once", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  center.passwords = {};
  for (const [name, role, product] of [["vera", "viewer"], ["otto", "operator", PRODUCT]]) {
    await page.goto("/accounts");
    await page.click('text="Add an account"');
    await page.fill("#name", name);
    await page.selectOption("#role", role);
    if (product) await page.check(`input[name=account-product][value=${product}]`);
    await page.click('button:text-is("Add the account")');
    center.passwords[name] = (await text(page, ".said dd")).trim();
    assert.match(await text(page, "main"), new RegExp(name));
  }
  await page.click('text="Make a token"');
  await page.fill("#token", "ci");
  await page.click('button:text-is("Make the token")');
  const secret = (await text(page, ".said dd")).trim();
  const answer = await fetch(`${center.url}/api/v1/products`, { headers: { authorization: `Bearer ${secret}` } });
  assert.equal(answer.status, 200);
  await page.click('button:has-text("Revoke")');
  await page.waitForURL(/said=deleted/);
  const after_ = await fetch(`${center.url}/api/v1/products`, { headers: { authorization: `Bearer ${secret}` } });
  assert.equal(after_.status, 401);
  quiet(page);
  await page.context().close();
});

test("a viewer sees everything and can change nothing", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center, "vera");
  assert.doesNotMatch(await text(page, ".places"), /Accounts|Settings/);
  for (const path of ["/products", `/products/${PRODUCT}`, "/packages", "/packages/1", "/plans", "/plans/1"]) {
    await page.goto(path);
    const forms = await page.locator("main form[method=post]").count();
    assert.equal(forms, 0, path);
    assert.equal(await page.locator("main a.main, main button.danger, main a.danger").count(), 0, path);
  }
  // Not even with the right token of their own session.
  const csrf = await page.inputValue("form[action='/sign-out'] input[name=csrf]");
  const actions = [
    "/plans/new", "/plans/preview", ...["edit", "activate", "suspend", "resume", "terminate", "clone", "delete", "order"].map((word) => `/plans/1/${word}`),
    "/packages/1/verify", "/packages/1/delete", "/products/new", `/products/${PRODUCT}`, `/products/${PRODUCT}/components`,
    `/products/${PRODUCT}/components/STM32/delete`, `/products/${PRODUCT}/devices/d1`, ...["forbid", "allow", "delete"].map((word) => `/products/${PRODUCT}/devices/d1/${word}`), `/products/${PRODUCT}/secret`,
    "/accounts", "/accounts/otto/role",
    "/accounts/otto/reset", "/accounts/otto/delete", "/tokens", "/tokens/1/revoke",
  ];
  for (const path of actions) {
    const answer = await page.request.post(path, { form: { csrf }, maxRedirects: 0 });
    assert.equal(answer.status(), 403, path);
  }
  const upload = { csrf, files: "", file: { name: "two.bin", mimeType: "application/octet-stream", buffer: Buffer.from("two") } };
  assert.equal((await page.request.post(`/packages/new/${PRODUCT}`, { multipart: upload })).status(), 403);
  for (const path of ["/accounts", "/audit", "/settings"]) assert.equal((await page.request.get(path)).status(), 403, path);
  await page.goto("/plans/1");
  assert.match(await text(page, "main"), /Saved/);
  quiet(page);
  await page.context().close();
});

test("an operator of one product works with that one alone", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center, "otto");
  await page.goto("/products");
  assert.doesNotMatch(await text(page, "main"), /Hidden/);
  assert.equal((await page.request.get("/products/p2hidden")).status(), 403);
  await page.goto("/plans/1");
  await page.click('text="Activate Plan"');
  await page.click('button:text-is("Activate Plan")');
  await page.waitForURL(/said=activated/);
  await page.goto(`/products/${PRODUCT}`);
  await page.fill("#id", "SENSOR");
  await page.click('text="Add the component"');
  await page.waitForSelector("th:text-is('SENSOR')");
  quiet(page);
  await page.context().close();
});

test("what was entered is kept when the session ends in the middle of a form", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  await page.goto("/products/new");
  await page.fill("#name", "Kept over the sign-in");
  await page.fill("#key", "p3kept");
  await page.context().clearCookies({ name: "quecota_session" });
  await page.click('button:text-is("Create")');
  assert.match(await text(page, "main"), /what you entered is kept/);
  await page.fill("#name", "admin");
  await page.fill("#password", "correct horse battery staple");
  await page.click("form.card button.main");
  await page.click('text="Send it again"');
  assert.match(await text(page, "main"), /p3kept/);
  quiet(page);
  await page.context().close();
});

test("a form that was begun before another sign-in is sent once more, and does nothing by itself", async () => {
  const page = await visit(chrome, center);
  await signIn(page, center);
  await page.goto("/products/new");
  await page.fill("#name", "Begun before");
  await page.fill("#key", "p4begun");
  const other = await page.context().newPage();
  await other.context().clearCookies({ name: "quecota_session" });
  await signIn(other, center);
  await page.click('button:text-is("Create")');
  assert.match(await text(page, "main"), /Send the form once more/);
  assert.equal((await page.request.get("/products/p4begun")).status(), 404);
  await page.click('text="Send it again"');
  assert.match(await text(page, "main"), /p4begun/);
  quiet(page);
  await page.context().close();
});

test("a package that was to be sent when the session ended: its form is there again, with scripts and without", async () => {
  const file = center.file("kept.bin", 100);
  const page = await visit(chrome, center);
  await signIn(page, center);
  const begun = async (page) => {
    await page.goto(`/packages/new?product=${PRODUCT}`);
    await page.fill("#name", "kept");
    await page.fill("#target", "2");
    await page.setInputFiles("#file", file);
    await page.context().clearCookies({ name: "quecota_session" });
    await page.click('text="Add the package"');
  };
  await begun(page);
  await page.waitForSelector("#file-fault >> text=Your session is over");
  const other = await page.context().newPage();
  await signIn(other, center);
  await page.click('text="Add the package"');
  await page.waitForURL(/\/packages\/\d+\?said=added/);
  quiet(page);
  await page.context().close();

  const plain = await visit(chrome, center, { javaScriptEnabled: false });
  await signIn(plain, center);
  await begun(plain);
  await plain.fill("#name", "admin");
  await plain.fill("#password", "correct horse battery staple");
  await plain.click("form.card button.main");
  assert.equal(await plain.inputValue("#name"), "kept");
  assert.equal(await plain.inputValue("#target"), "2");
  quiet(plain);
  await plain.context().close();
});
