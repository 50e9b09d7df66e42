// What must hold of the dashboard in a browser. Run by run.py.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chromium } from "playwright-core";

const { ADMIN, TOKEN, CHROMIUM, OUT, PROFILE, CTL } = process.env;
const origin = `http://${ADMIN}`;
const status = async () => (await fetch(`${origin}/status`)).json();
const rollout = async () => (await status()).controls.rollouts.moving;

const browser = await chromium.launchPersistentContext(PROFILE, {
  executablePath: CHROMIUM,
  headless: true,
  viewport: { width: 1280, height: 900 },
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(15_000);
const complaints = [];
const foreign = [];
page.on("console", (message) => { if (["error", "warning"].includes(message.type())) complaints.push(message.text()); });
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("request", (request) => { if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) foreign.push(request.url()); });
const text = async (selector) => (await page.locator(selector).innerText()).trim();
const group = (number) => new Intl.NumberFormat("en-US").format(number);
let passed = 0;
async function check(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    console.log(`FAIL  ${name}`);
    await page.screenshot({ path: `${OUT}/failed.png`, fullPage: true });
    throw error;
  }
}

const answer = await page.goto(`${origin}/dashboard`);
await page.locator("#live.on").waitFor();

await check("the page's policy allows one script, one style and its own origin", async () => {
  const policy = answer.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
});

await check("the numbers are those of /status", async () => {
  await page.locator("#f-requests").waitFor();
  const now = await status();
  const { requests } = now.traffic;
  await page.waitForFunction((total) => document.querySelector("#f-requests").textContent === total, group(requests.since_start.total));
  assert.ok(requests.since_start.total >= 45, `${requests.since_start.total} requests`);
  const exact = page.locator("#f-today span");
  assert.equal(await exact.getAttribute("title"), `${now.spend.today.cost_usd} USD`);
  assert.ok(Number(now.spend.today.cost_usd) > 0);
  for (const upstream of now.traffic.upstreams) {
    const cells = await page.locator("#upstreams tr.up", { has: page.getByRole("rowheader", { name: upstream.upstream, exact: true }) }).locator("td").allInnerTexts();
    const attempts = Object.values(upstream.outcomes).reduce((all, one) => all + one, 0);
    assert.equal(cells[1].trim(), group(attempts), upstream.upstream);
  }
  for (const one of now.refusals.counts) {
    const row = page.locator("#refusals table").first().locator("tr", { hasText: one.reason.replaceAll("_", " ") }).filter({ hasText: one.layer.replaceAll("_", " ") });
    assert.equal((await row.locator("td").last().innerText()).trim(), group(one.count), one.reason);
  }
  for (const [at, tenant] of now.spend.tenants.entries()) {
    const row = page.locator("#spend table").nth(2).locator("tbody tr").nth(at);
    assert.equal(await row.locator("td").last().locator("span").getAttribute("title"), `${tenant.cost_usd} USD`);
  }
  for (const reason of ["unauthenticated", "rate_limited"]) assert.ok(now.refusals.counts.some((one) => one.reason === reason), reason);
});

await check("an open breaker and its alert are said in words", async () => {
  await page.waitForFunction(() => document.querySelector("#alerts").textContent.includes("broken: breaker open"));
  assert.match(await text("#upstreams tr:has-text('broken')"), /open/);
  assert.match(await page.title(), /▲/);
});

await check("savings are against the model that is chosen", async () => {
  await page.locator("#baseline").selectOption("gpt-4.1");
  const saving = (await status()).spend.savings.find((one) => one.baseline === "gpt-4.1");
  await page.waitForFunction((title) => document.querySelector("#f-saved span").title === title, `${saving.saved_usd} USD`);
});

await page.screenshot({ path: `${OUT}/desktop.png`, fullPage: true });
if (process.env.SHOT) {
  // The README's picture, with something going on.
  const ends = Date.now() + 40_000;
  while (Date.now() < ends) {
    const body = JSON.stringify({ model: "demo-small", stream: Math.random() < 0.5, max_tokens: 300, messages: [{ role: "user", content: "Hello there!" }] });
    const key = Math.random() < 0.96 ? "beta-key" : "stolen-key";
    const asked = fetch(`http://${process.env.RELAY}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${key}` }, body });
    await (await asked).text();
    await page.waitForTimeout(60 + 160 * Math.random() * (1 + Math.sin(Date.now() / 6000)));
  }
  await page.screenshot({ path: process.env.SHOT, clip: { x: 0, y: 0, width: 1280, height: 1010 } });
}
await page.emulateMedia({ colorScheme: "dark" });
await page.screenshot({ path: `${OUT}/dark.png`, fullPage: true });
await page.emulateMedia({ colorScheme: "light" });

await check("pause asks for a token and pauses", async () => {
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#token-text").fill("wrong-token-wrong-token");
  await page.getByRole("button", { name: "Use it" }).click();
  await page.locator("#said.bad").waitFor();
  assert.match(await text("#said"), /token/);
  assert.equal((await rollout()).state, "active");
  complaints.splice(0, complaints.length, ...complaints.filter((one) => !one.includes("401")));
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#token-text").fill(TOKEN);
  await page.keyboard.press("Enter");
  await page.locator("#state-moving", { hasText: "paused" }).waitFor();
  assert.equal((await rollout()).state, "paused");
});

await check("resume goes on", async () => {
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator("#state-moving", { hasText: "active" }).waitFor();
  assert.equal((await rollout()).state, "active");
});

await check("rolling back is asked for again, is cancelled by Escape, and is done by keyboard alone", async () => {
  const back = page.getByRole("button", { name: "Roll back now" });
  await back.focus();
  await page.keyboard.press("Enter");
  await page.locator("#ask-sure[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#ask-sure:not([open])").waitFor({ state: "attached" });
  assert.equal((await rollout()).state, "active");
  assert.ok(await back.evaluate((button) => button === document.activeElement), "focus comes back");
  await page.keyboard.press("Enter");
  await page.locator("#ask-sure[open]").waitFor();
  await page.locator("#sure-ok").focus();
  await page.keyboard.press("Enter");
  await page.locator("#state-moving", { hasText: "rolled back" }).waitFor();
  const now = await status();
  assert.equal(now.controls.rollouts.moving.state, "rolled_back");
  assert.deepEqual(now.controls.splits.moving.targets.map((target) => target.weight > 0), [true, false]);
  assert.equal(now.changes[0].who, "ops");
});

await check("a breaker is forced and reset", async () => {
  const row = page.locator("#upstreams tr.up", { hasText: "broken" });
  await row.getByText("Force", { exact: true }).click();
  await row.getByRole("button", { name: "Close" }).click();
  await page.locator("#upstreams", { hasText: "forced closed" }).waitFor();
  assert.equal((await status()).controls.breakers.broken.state, "forced_closed");
  await row.getByRole("button", { name: "Reset" }).click();
  await page.locator("#upstreams tr.up:has-text('broken')", { hasText: "in service" }).waitFor();
});

await check("a member is taken out of a balancer, and put back", async () => {
  const member = page.locator("#pools tr", { has: page.getByRole("rowheader", { name: "new", exact: true }) });
  await member.getByRole("button", { name: "Take out" }).click();
  await page.locator("#ask-sure[open]").waitFor();
  assert.match(await text("#sure-text"), /new/);
  await page.keyboard.press("Escape");
  const drained = async () => (await status()).controls.balances.pool.members.map((one) => one.drained);
  assert.deepEqual(await drained(), [false, false]);
  await member.getByRole("button", { name: "Take out" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("#sure-ok").focus();
  await page.keyboard.press("Enter");
  await member.getByText("taken out").waitFor();
  assert.deepEqual(await drained(), [false, true]);
  await member.getByRole("button", { name: "Put back" }).click();
  await member.getByText("in service").waitFor();
  assert.deepEqual(await drained(), [false, false]);
});

await check("hedging is switched off and on", async () => {
  const hedge = page.locator("#pools tr", { has: page.getByRole("rowheader", { name: "quick", exact: true }) });
  assert.match(await hedge.innerText(), /20\.00 s/);
  await hedge.getByRole("button", { name: "Switch off" }).click();
  await page.locator("#sure-ok").click();
  await hedge.getByRole("button", { name: "Switch on" }).waitFor();
  assert.equal((await status()).controls.hedges.quick.enabled, false);
  await hedge.getByRole("button", { name: "Switch on" }).click();
  await hedge.getByRole("button", { name: "Switch off" }).waitFor();
  assert.equal((await status()).controls.hedges.quick.enabled, true);
});

await check("a cache is purged", async () => {
  const ask = async () => {
    const body = JSON.stringify({ model: "pooled", temperature: 0, messages: [{ role: "user", content: "Hello there!" }] });
    const headers = { "content-type": "application/json", authorization: "Bearer acme-key" };
    const answer = await fetch(`http://${process.env.RELAY}/v1/chat/completions`, { method: "POST", headers, body });
    await answer.text();
    return answer.headers.get("x-relay-cache");
  };
  assert.deepEqual([await ask(), await ask()], ["miss", "hit"]);
  await page.waitForFunction(() => document.querySelector("#caches td:nth-of-type(2)").textContent === "1");
  await page.getByRole("button", { name: "Purge" }).click();
  await page.locator("#sure-ok").click();
  await page.waitForFunction(() => document.querySelector("#caches td:nth-of-type(2)").textContent === "0");
  assert.equal((await status()).changes[0].action, "purge");
  assert.equal(await ask(), "miss");
});

await check("everything that can be done is reached by Tab, and focus stays while numbers change", async () => {
  await page.locator("body").evaluate(() => document.activeElement?.blur());
  const reached = new Set();
  for (let steps = 0; steps < 60; steps += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement?.innerText || document.activeElement?.id));
  }
  for (const name of ["Skip to the figures", "Hold updates", "Forget token", "Force", "Begin again", "Take out", "Switch off", "Purge", "gpt-4.1"]) {
    assert.ok([...reached].some((one) => one?.includes(name)), `${name} is not reached: ${[...reached].join(" | ")}`);
  }
  const again = page.getByRole("button", { name: "Begin again" });
  await again.focus();
  await page.waitForTimeout(2500);
  assert.ok(await again.evaluate((button) => button === document.activeElement));
});

await check("updates can be held", async () => {
  await page.getByRole("button", { name: "Hold updates" }).click();
  const before = await text("#scope");
  await page.waitForTimeout(2500);
  assert.equal(await text("#scope"), before);
  await page.getByRole("button", { name: "Hold updates" }).click();
  await page.locator("#live.on").waitFor();
});

await check("a phone shows all of it without scrolling sideways", async () => {
  for (const width of [320, 390]) {
    await page.setViewportSize({ width, height: 800 });
    await page.waitForTimeout(300);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${wide} px at ${width}`);
  }
  await page.screenshot({ path: `${OUT}/phone.png`, fullPage: true });
  await page.setViewportSize({ width: 1280, height: 900 });
});

await check("nothing moves for those who want no motion", async () => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  const running = await page.evaluate(() => document.getAnimations().filter((one) => one.playState === "running").length);
  assert.equal(running, 0);
  await page.emulateMedia({ reducedMotion: "no-preference" });
});

await check("the same is done from a shell", async () => {
  const env = { ...process.env, RELAY_ADMIN: ADMIN, RELAY_ADMIN_TOKEN: TOKEN };
  const ctl = (...words) => execFileSync(CTL, ["ctl", ...words], { env, encoding: "utf8" });
  assert.match(ctl("resume"), /rolled_back/);
  assert.equal((await rollout()).state, "active");
  assert.match(ctl("status"), /rollout +moving +active, stage 1 of 3/);
  assert.match(ctl("rollback", "--all"), /"state":"rolled_back"/);
  assert.equal((await rollout()).state, "rolled_back");
  const refused = spawnSync(CTL, ["ctl", "resume"], { env: { ...env, RELAY_ADMIN_TOKEN: "" }, encoding: "utf8" });
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /needs a token/);
});

await check("the console is silent and nobody else was asked", async () => {
  assert.deepEqual(complaints, []);
  assert.deepEqual(foreign, []);
});

await browser.close();
console.log(`dashboard: ${passed} passed, 0 failed`);
