// Drives the web page with a real browser, and holds what it shows against the API. Started by page_test.py with everything it needs as one JSON
// argument; says what is wrong, one line each, and exits 1.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const given = JSON.parse(process.argv[2]);
const require = createRequire(join(given.packages, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const sizes = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } };
const open_tabs = ["now", "queue", "timeline", "nodes", "history"];
const identity_tabs = ["teams", "waste"];
const first_view_bytes_max = 200_000;
const frame_ms_max = 100;
const patience = { timeout: 30_000 };
mkdirSync(given.pictures, { recursive: true });

const wrong = [];
let checked = 0;
function check(holds, what) {
  checked += 1;
  if (!holds) wrong.push(what);
}
function same(shown, said, what) {
  check(JSON.stringify(shown) === JSON.stringify(said), `${what}: the page shows ${JSON.stringify(shown)}, the API says ${JSON.stringify(said)}`);
}
const numbers_of = (text) => (text.match(/\d[\d,.]*/g) ?? []).map((word) => Number(word.replace(/,/g, "")));
/// 12, or 12_3 for an element of an array.
const name_of = ({ details }) => (details.array ? `${details.array.array}_${details.array.index}` : String(details.job));
const ultra = (...words) => execFileSync(given.ultra, words, { env: given.environment, cwd: given.folder, encoding: "utf8" });

const browser = await chromium.launch({ executablePath: given.chromium, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });

/// A page at `base` that notes all that goes wrong in it.
async function visit(base, { size = "wide", language = "en", theme = "light" } = {}) {
  const context = await browser.newContext({
    viewport: sizes[size],
    colorScheme: theme,
    locale: language === "ko" ? "ko-KR" : "en-GB",
    timezoneId: "America/New_York", // clocks are the cluster's all the same
  });
  const page = await context.newPage();
  const where = `${size} ${language}`;
  page.refusals_expected = 0; // the browser itself writes each refused request to the console
  page.on("console", (message) => {
    if (message.type() !== "error" || (/status of 409/.test(message.text()) && page.refusals_expected-- > 0)) return;
    wrong.push(`${where}: the console says ${message.text()} (${page.url()})`);
  });
  page.on("pageerror", (error) => wrong.push(`${where}: ${error.message} (${page.url()})`));
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith("blob:")) wrong.push(`${where}: asks elsewhere: ${request.url()}`);
  });
  page.ask = async (path) => (await context.request.get(base + path)).json();
  page.show = async (place) => {
    await page.evaluate((to) => (location.hash = to), "#/" + place);
    await page.waitForSelector("main table, main svg, main .wall, main dl", patience);
  };
  await page.goto(base, { ...patience, waitUntil: "load" });
  await page.waitForSelector("main .wall", patience);
  return page;
}

async function look_over(page, name, { size, language }) {
  const where = `${name} ${size} ${language}`;
  await page.waitForFunction(() => !document.querySelector(".loading"), null, patience);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))); // it is drawn
  const width = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  check(width[0] <= width[1], `${where}: scrolls sideways, ${width[0]} of ${width[1]}`);
  if (size === "narrow") {
    const small = await page.evaluate(() =>
      [...document.querySelectorAll("a[href], button, input, select, [role=gridcell]")]
        .filter((one) => !one.classList.contains("skip") && one.getClientRects().length)
        .map((one) => [one.textContent || one.tagName, one.getBoundingClientRect()])
        .filter(([, box]) => box.height < 40 || box.width < 40)
        .map(([text, box]) => `${text} ${Math.round(box.width)}x${Math.round(box.height)}`),
    );
    check(small.length === 0, `${where}: controls under 40 px: ${small.slice(0, 5).join("; ")}`);
  }
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
  for (const violation of found.violations) wrong.push(`${where}: ${violation.id}: ${violation.help} (${violation.nodes[0].html.slice(0, 160)})`);
  checked += found.passes.length;
  await page.screenshot({ path: join(given.pictures, `${name.replace("/", "-")}-${size}-${language}.png`), fullPage: size === "narrow" });
}

// ---- what each tab shows

async function compare_now(page) {
  await page.show("now");
  const cluster = await page.ask("v1/cluster");
  const nodes = (await page.ask("v1/nodes")).nodes;
  const jobs = new Map((await page.ask("v1/jobs")).jobs.map((job) => [job.details.job, name_of(job)]));
  same(
    await page.locator(".wall-row").evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll("[role=gridcell]")].map((tile) => tile.dataset.job ?? null))),
    nodes.map((node) => node.device_jobs.map((job) => (job === null ? null : jobs.get(job)))),
    "the wall",
  );
  const figures = (await page.locator(".figures dd").allTextContents()).map((text) => numbers_of(text)[0]);
  same(figures.slice(0, 3), [cluster.gpus_allocated, cluster.gpus_idle, cluster.gpus_down], "GPUs in use, idle, not usable");
  same(numbers_of(await page.locator("header .numbers").textContent()), [cluster.nodes_up, cluster.nodes, cluster.gpus_allocated, cluster.gpus, cluster.jobs_running, cluster.jobs_queued].map(Number), "the head");
  check((await page.locator("header .badge").textContent()) === "virtual", "virtual devices are called virtual");
}

async function compare_queue(page) {
  await page.show("queue");
  const jobs = (await page.ask("v1/jobs")).jobs;
  const rows = await page.locator("table.long tbody tr:not(.space)").evaluateAll((all) =>
    all.map((row) => ({
      name: row.querySelector(".job-link").textContent,
      account: row.querySelector(".team").textContent,
      gpus: Number(row.querySelector("td.gpus").textContent),
      state: row.querySelector(".state").textContent,
      start: row.querySelector("td.start").textContent,
      why: row.querySelector("td.why").textContent,
    })),
  );
  const said = jobs.map((job) => {
    const attempt = job.details.attempts.at(-1);
    const waits = ["queued", "held"].includes(job.details.state);
    const start = waits ? job.planned?.start_ms : (attempt.started_ms ?? attempt.decided_ms);
    return {
      name: name_of(job),
      account: job.details.spec.account,
      gpus: job.gpus,
      state: job.details.state,
      start: start ? new Date(start).toISOString() : "-",
      why: waits ? job.why : null,
    };
  });
  same(rows.length, said.length, "rows of the queue");
  rows.forEach((row, i) => {
    const { start, why, ...rest } = said[i] ?? {};
    same({ name: row.name, account: row.account, gpus: row.gpus, state: row.state }, rest, `row ${i + 1} of the queue`);
    if (start) check(start === "-" ? row.start === "-" : row.start.endsWith(start.slice(11, 16)), `job ${row.name} starts at ${row.start}, the API says ${start}`);
    // Lengths of time in a sentence go on while it is read.
    if (why) check(row.why.split("(in ")[0] === why.split("(in ")[0], `job ${row.name}: ${row.why}, the API says ${why}`);
  });
  await page.fill("input[type=search]", "vision");
  const of_vision = jobs.filter((job) => job.details.spec.account === "vision").length;
  await page.waitForFunction((count) => document.querySelectorAll("table.long tbody tr:not(.space)").length === count, of_vision, patience).catch(() => undefined);
  same(await page.locator("table.long tbody tr:not(.space)").count(), of_vision, "rows with vision");
  await page.fill("input[type=search]", "");
}

async function compare_nodes(page) {
  await page.show("nodes");
  const nodes = (await page.ask("v1/nodes")).nodes;
  const rows = await page.locator("table.nodes tbody tr").evaluateAll((all) => all.map((row) => [row.querySelector("th").textContent, row.querySelector(".state").textContent, row.querySelector("td.number").textContent, row.querySelector("td.remark").textContent]));
  same(rows.map((row) => row.slice(0, 3)), nodes.map((node) => [node.node.config.name, node.node.state, String(node.allocated)]), "nodes");
  nodes.forEach((node, i) => node.node.drain && check(rows[i][3].startsWith(node.node.drain.reason), `why ${rows[i][0]} is drained: ${rows[i][3]}`));
  check(nodes.some((node) => node.node.drain), "a node is drained");
}

async function compare_teams(page) {
  await page.show("teams");
  const report = await page.ask("v1/report");
  const rows = await page.locator("table tbody tr[data-account]").evaluateAll((all) => all.map((row) => [row.dataset.account, row.cells[1].textContent, row.cells[2].textContent]));
  same(rows.map((row) => row[0]), report.accounts.map((one) => one.account), "teams");
  rows.forEach((row, i) => {
    const one = report.accounts[i];
    check(Math.abs(numbers_of(row[1])[0] - one.entitled_share_permille / 10) < 0.06, `${row[0]} is entitled to ${row[1]}, the API says ${one.entitled_share_permille}`);
    check(Math.abs(numbers_of(row[2])[0] - one.used_share_permille / 10) < 3, `${row[0]} used ${row[2]}, the API says ${one.used_share_permille}`);
  });
  const waits = await page.ask("v1/waits");
  same(await page.locator("table.matrix tbody tr th").allTextContents(), waits.accounts.map((one) => one.account), "who waited");
}

async function compare_waste(page) {
  await page.show("waste");
  const report = await page.ask("v1/report");
  const rows = await page.locator("table tbody tr[data-account]").evaluateAll((all) => all.map((row) => [row.dataset.account, row.cells[5].textContent]));
  for (const [account, early] of rows) same(Number(early), report.accounts.find((one) => one.account === account).jobs_failed_early, `${account}: failed within 10 minutes`);
  check(rows.some(([, early]) => Number(early) > 0), "a job that failed is to be seen");
}

async function compare_history(page) {
  await page.show("history");
  const past = await page.ask("v1/history?limit=200");
  await page.waitForFunction((count) => document.querySelectorAll("table.long tbody tr:not(.space)").length >= Math.min(count, 20), past.events.length, patience);
  const told = await page.locator("table.long tbody tr:not(.space)").evaluateAll((all) => all.map((row) => [row.querySelector("td.job").textContent.trim(), row.querySelector("td.why").textContent]));
  same(told, past.events.slice(0, told.length).map((event) => [event.job_name ? `${event.job_name} ${event.label}` : event.node || "the cluster", event.sentence]), "what happened");
  for (const word of ["submitted it", "started on", "failed with exit code 3", "drained node08: a fan is to be replaced", "node01 is up"])
    check(past.events.some((event) => event.sentence.includes(word)), `the history has: ${word}`);
  await page.getByRole("button", { name: "Jobs that ended" }).click();
  const ended = (await page.ask("v1/jobs?state=completed,failed,cancelled")).jobs;
  same(
    await page.locator("table.long tbody tr:not(.space)").evaluateAll((all) => all.map((row) => [row.querySelector(".job-link").textContent, row.querySelector(".state").textContent])),
    ended.map((job) => [name_of(job), job.details.state]),
    "ended jobs",
  );
}

async function compare_timeline(page) {
  await page.show("timeline");
  const jobs = (await page.ask("v1/jobs")).jobs;
  const planned = jobs.find((job) => job.details.state === "queued" && job.planned?.start_ms && job.planned.allocation.length);
  const bars = await page.locator("rect.bar title").allTextContents();
  for (const job of jobs.filter((one) => one.details.state === "running")) check(bars.some((text) => text.startsWith(`Job ${name_of(job)} `)), `job ${name_of(job)} has a bar`);
  const at = bars.findIndex((text) => text.startsWith(`Job ${name_of(planned)} `) && text.includes("planned"));
  check(at >= 0, `job ${name_of(planned)} has a planned bar`);
  await page.locator("rect.bar").nth(at).dispatchEvent("click");
  await page.locator("button.asks").click(patience);
  await page.waitForSelector(".boost .sentences li", patience);
  check((await page.locator(".boost").textContent()).includes("GPU-hours. Nothing was changed."), "the bill of a boost");
}

async function compare_job(page) {
  await page.show("job/" + given.running);
  await page.waitForSelector(".facts", patience);
  const events = (await page.ask(`v1/jobs/${given.running}/events`)).events;
  await page.waitForSelector(".events li", patience);
  same((await page.locator(".events li").allTextContents()).map((text) => text.replace(/^\S+, \S+ /, "")).reverse(), events.map((event) => event.sentence), "what happened to it");
  await page.waitForSelector(".chart canvas", patience);
  const points = (await page.ask(`v1/jobs/${given.running}/progress`)).points;
  check(points.length > 3 && points[0].step === 1 && points.every((point, i) => i === 0 || point.step > points[i - 1].step), "the curve has all steps from the first on");
  const drawn = numbers_of(await page.locator(".chart [role=img]").first().getAttribute("aria-label"))[0];
  check(drawn >= points.length - 3 && drawn <= points.length + 3, `the chart has ${drawn} points, the API ${points.length}`);
  await page.getByRole("button", { name: "Show what the ranks write" }).click();
  await page.waitForFunction(() => /step \d+/.test(document.querySelector("pre.output")?.textContent ?? ""), null, patience);
}

async function use_keys(page) {
  await page.show("now");
  await page.waitForSelector('[role=gridcell][tabindex="0"]', patience);
  await page.locator('[role=gridcell][tabindex="0"]').focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  same(await page.evaluate(() => document.activeElement.dataset.at), "1,1", "arrows move over the wall");
  same(await page.locator('[role=gridcell][tabindex="0"]').count(), 1, "one tile is in the order of tabs");
  await page.keyboard.press("Home");
  await page.keyboard.press("PageUp");
  const job = await page.evaluate(() => document.activeElement.dataset.job);
  await page.keyboard.press("Enter");
  await page.waitForFunction((name) => location.hash === "#/job/" + name, job, patience);
  await page.keyboard.press("2");
  await page.waitForFunction(() => location.hash === "#/queue", null, patience);
  await page.waitForSelector("input[type=search]", patience);
  await page.keyboard.press("/");
  same(await page.evaluate(() => document.activeElement.type), "search", "/ goes to the filter");
}

async function use_keys_on_the_timeline(page) {
  await page.show("timeline");
  await page.waitForSelector('rect.bar[tabindex="0"]', patience);
  same(await page.locator('rect.bar[tabindex="0"]').count(), 1, "one bar is in the order of tabs");
  await page.locator('.choice button[aria-pressed="true"]').focus();
  await page.keyboard.press("Tab");
  while (await page.evaluate(() => document.activeElement.closest(".choice") !== null)) await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.matches("rect.bar")), "Tab goes from the choice to the bars");
  const here = () => page.evaluate(() => [document.activeElement.getAttribute("aria-label"), ...["x", "y"].map((name) => Number(document.activeElement.getAttribute(name)))]);
  await page.keyboard.press("Home");
  const first = await here();
  await page.keyboard.press("ArrowDown");
  const below = await here();
  check(below[2] > first[2], `down goes to a lower GPU, from ${first} to ${below}`);
  await page.keyboard.press("ArrowUp");
  same((await here())[2], first[2], "up goes back");
  await page.keyboard.press("End");
  const last = await here();
  check(last[2] > below[2] && (await page.locator('rect.bar[tabindex="0"]').count()) === 1, "End goes to the last bar");
  await page.keyboard.press("ArrowLeft");
  check((await here())[1] <= last[1], "left goes back in time");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).stroke);
  check(outline !== "none", "the bar with the keyboard is marked");
  const label = (await here())[0];
  await page.keyboard.press("Enter");
  const opened = await page.locator(".chosen-job h2").textContent({ timeout: patience.timeout });
  check(label.startsWith(opened.split(" ").slice(0, 2).join(" ")), `Enter explains ${label}: ${opened}`);
}

async function see_it_live(page) {
  await page.show("queue");
  const name = ultra("submit", "--quiet", "--hold", "--account", "speech", "--name", "seen-live", "--", "true").trim();
  const since = Date.now();
  await page.waitForSelector(`a.job-link[href="#/job/${name}"]`, patience);
  console.log(`a new job is seen after ${Date.now() - since} ms`);
  ultra("cancel", name);
  await page.waitForSelector(`a.job-link[href="#/job/${name}"]`, { ...patience, state: "detached" });
}

/// Asks the API until it says so; what it said last.
async function until_said(page, path, holds, what) {
  const end = Date.now() + patience.timeout;
  let value = null;
  while (Date.now() < end) {
    value = await page.ask(path);
    if (holds(value)) break;
    await page.waitForTimeout(100);
  }
  check(holds(value), `${what}: ${JSON.stringify(value).slice(0, 300)}`);
  return value;
}
const submit = (...words) => ultra("submit", "--quiet", "--account", "vision", ...words).trim();
const state_of = (value) => value.details.state;
/// Enter, once the keyboard is where the dialog's question ends.
async function say_yes(page) {
  await page.waitForFunction(() => document.activeElement?.closest("dialog[open] form"), null, patience);
  await page.keyboard.press("Enter");
}
const closed = (page) => page.waitForFunction(() => !document.querySelector("dialog[open]"), null, patience);

async function act_on_jobs(page) {
  // By the keyboard alone, from the queue.
  const acted = submit("--hold", "--name", "acted", "--time", "10m", "--gpus", "56", "--", "true");
  await page.show("queue");
  const row = page.locator("table.long tbody tr", { has: page.locator(`a.job-link[href="#/job/${acted}"]`) });
  await row.locator(".row-actions").focus(patience);
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open]", patience);
  check(await page.evaluate(() => document.querySelector("dialog[open]").contains(document.activeElement)), "the keyboard is in the dialog");
  await page.keyboard.press("2");
  await page.keyboard.press("Escape");
  await closed(page);
  check(await row.locator(".row-actions").evaluate((button) => button === document.activeElement), "Escape goes back to where the dialog was opened");
  await page.keyboard.press("Enter");
  await page.locator('dialog[open] [data-act="release"]').focus(patience);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.type === "submit", null, patience);
  await page.keyboard.press("Enter");
  await until_said(page, `v1/jobs/${acted}`, (job) => state_of(job) === "queued", "released from the queue");
  await page.waitForFunction((name) => document.querySelector(".announcement").textContent === `Job ${name} is released.`, acted, patience);
  await page.keyboard.press("Escape");
  await closed(page);

  // On its own page: held with a reason, boosted by its bill, refused in the scheduler's words, cancelled.
  await page.show("job/" + acted);
  await page.locator('[data-act="hold"]').click(patience);
  await page.locator("dialog[open] input").fill("data is missing");
  await page.keyboard.press("Enter");
  const held = await until_said(page, `v1/jobs/${acted}`, (job) => state_of(job) === "held", "held");
  same(held.details.hold.reason, "data is missing", "the reason of the hold");
  await page.locator('[data-act="release"]').click(patience);
  await say_yes(page);
  await until_said(page, `v1/jobs/${acted}`, (job) => state_of(job) === "queued", "released");
  await page.locator('[data-act="boost"]').click(patience);
  await page.locator("dialog[open] input").fill("a demonstration tomorrow");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open] .bill li", patience);
  check((await page.ask(`v1/jobs/${acted}`)).details.boost === null, "the bill alone changes nothing");
  await page.locator("dialog[open] button[type=submit]").click(patience);
  await until_said(page, `v1/jobs/${acted}`, (job) => job.details.boost !== null, "boosted");
  await page.locator('[data-act="hold"]').click(patience);
  await page.waitForSelector("dialog[open] button[type=submit]", patience);
  ultra("cancel", acted);
  page.refusals_expected = 1;
  await page.locator("dialog[open] button[type=submit]").click(patience);
  await page.waitForSelector("dialog[open] [role=alert]", patience);
  check((await page.locator("dialog[open] [role=alert]").textContent()).includes(`ob ${acted} doesn't wait: it is cancelled`), "a refusal in the scheduler's words");
  await page.keyboard.press("Escape");
  await closed(page);

  // One of the smallest changes that let a job start, from the queue.
  const long = submit("--name", "long-run", "--gpus", "12", "--time", "20h", "--", "sleep", "10000");
  await until_said(page, `v1/jobs/${long}/why`, (why) => why.ways.length > 0, "a way to start");
  await page.show("queue");
  await page.locator("table.long tbody tr", { has: page.locator(`a.job-link[href="#/job/${long}"]`) }).locator(".row-actions").click(patience);
  await page.locator("dialog[open] [data-way]").first().click(patience);
  await page.locator("dialog[open] button[type=submit]").click(patience);
  await until_said(page, `v1/jobs/${long}`, (job) => state_of(job) === "running", "it starts when it is changed so");
  await page.show("job/" + long);
  await page.locator('[data-act="requeue"]').click(patience);
  await say_yes(page);
  await until_said(page, `v1/jobs/${long}`, (job) => job.details.attempts.length > 1 || state_of(job) === "queued", "queued again");
  await page.locator('[data-act="cancel"]').click(patience);
  await say_yes(page);
  await until_said(page, `v1/jobs/${long}`, (job) => state_of(job) === "cancelled", "cancelled");
}

async function act_on_nodes(page) {
  const node07 = (list) => list.nodes.find((one) => one.node.config.name === "node07").node;
  await page.show("nodes");
  await page.locator('tr[data-node="node07"] [data-act="drain"]').click(patience);
  await say_yes(page); // without a reason: the browser asks for one
  await page.locator("dialog[open] input").fill("its disk is to be replaced");
  await page.keyboard.press("Enter");
  await until_said(page, "v1/nodes", (list) => node07(list).drain?.reason === "its disk is to be replaced", "node07 is drained");
  await page.locator('tr[data-node="node07"] [data-act="resume"]').click(patience);
  await say_yes(page);
  await until_said(page, "v1/nodes", (list) => node07(list).drain === null, "node07 is resumed");
}

/// Processor time of each task of the pages' main threads in a trace, in ms.
function work_of_main_threads(events) {
  const mains = new Set(events.filter((one) => one.name === "thread_name" && one.args.name === "CrRendererMain").map((one) => `${one.pid} ${one.tid}`));
  return events.filter((one) => one.name === "RunTask" && one.ph === "X" && one.tdur !== undefined && mains.has(`${one.pid} ${one.tid}`)).map((one) => one.tdur / 1000);
}

async function scroll_a_long_queue(page) {
  ultra("submit", "--quiet", "--hold", "--account", "speech", "--name", "long", "--array", "0-9999", "--", "true");
  await page.show("queue");
  await page.waitForFunction(() => Number(document.querySelector("table.long")?.getAttribute("aria-rowcount")) > 10_000, null, { timeout: 120_000 });
  // What the page itself does: the processor time of each piece of work of its main thread, from a trace of the browser's, and not when a crowded machine
  // lets it. The best of at most three: caches, too, are shared with others.
  let best = null;
  for (let attempt = 0; attempt < 3 && (best === null || best.longest > frame_ms_max); ++attempt) {
    await browser.startTracing(page, { categories: ["__metadata", "disabled-by-default-devtools.timeline"] });
    const seen = await page.evaluate(
      () =>
        new Promise((done) => {
          const begin = performance.now();
          const height = document.documentElement.scrollHeight;
          const seen = { interval: 0, frames: 0, nodes: 0, at: 0 };
          let last = begin;
          const frame = (now) => {
            seen.interval = Math.max(seen.interval, now - last);
            last = now;
            seen.frames += 1;
            seen.nodes = Math.max(seen.nodes, document.getElementsByTagName("*").length);
            if (now - begin >= 5000) return done({ ...seen, at: scrollY });
            scrollTo(0, ((now - begin) / 5000) * height);
            requestAnimationFrame(frame);
          };
          requestAnimationFrame(frame);
        }),
    );
    const work = work_of_main_threads(JSON.parse((await browser.stopTracing()).toString()).traceEvents);
    seen.longest = Math.max(...work);
    console.log(
      `10,000 rows, 5 s of scrolling: ${seen.frames} frames, ${work.length} pieces of work, ${(work.reduce((sum, one) => sum + one, 0) / seen.frames).toFixed(1)} ms a frame, the longest ` +
        `${seen.longest.toFixed(1)} ms; the longest time between frames ${Math.round(seen.interval)} ms; at most ${seen.nodes} elements`,
    );
    check(work.length > seen.frames, `a trace of ${work.length} pieces of work for ${seen.frames} frames`);
    if (best === null || seen.longest < best.longest) best = seen;
  }
  check(best.longest <= frame_ms_max, `the page worked for ${best.longest} ms in one frame`);
  check(best.nodes < 2000, `${best.nodes} elements in the document`);
  check(best.at > 100_000, "the whole queue was scrolled");
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  const end = name_of((await page.ask("v1/jobs")).jobs.at(-1));
  const last = "table.long tbody tr:not(.space)";
  await page.waitForFunction(([rows, name]) => [...document.querySelectorAll(rows)].at(-1)?.querySelector(".job-link")?.textContent === name, [last, end], patience).catch(() => undefined);
  same(await page.locator(last).last().locator(".job-link").textContent(), end, "the end of the queue");
}

try {
  const page = await visit(given.known);
  const bytes = await page.evaluate(() => [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")].filter((one) => !/\/v1\//.test(one.name)).reduce((sum, one) => sum + one.encodedBodySize, 0));
  console.log(`first view: ${bytes} bytes of page`);
  check(bytes > 10_000 && bytes <= first_view_bytes_max, `the first view takes ${bytes} bytes`);
  for (const compare of [compare_now, compare_queue, compare_nodes, compare_teams, compare_waste, compare_history, compare_timeline, compare_job, use_keys, use_keys_on_the_timeline, see_it_live, act_on_jobs, act_on_nodes]) await compare(page);
  await page.context().close();

  for (const size of Object.keys(sizes)) {
    for (const language of ["en", "ko"]) {
      const view = await visit(given.known, { size, language, theme: language === "ko" ? "dark" : "light" });
      for (const name of [...open_tabs, ...identity_tabs]) {
        const link = view.locator(`nav a[href="#/${name}"]`);
        await link.click(patience);
        await view.waitForSelector(`nav a[href="#/${name}"][aria-current=page]`, patience);
        await view.waitForSelector("main table, main svg, main .wall", patience);
        await look_over(view, name, { size, language });
      }
      for (const job of [given.running, given.waiting, given.failed]) {
        await view.show("job/" + job);
        await view.waitForSelector(".events li", patience);
        await look_over(view, "job/" + job, { size, language });
      }
      await view.show("queue");
      await view.locator(".row-actions").first().click(patience);
      await view.waitForSelector("dialog[open] [data-act]", patience);
      await look_over(view, "dialog", { size, language });
      await view.locator('dialog[open] [data-act="cancel"]').click(patience);
      await view.waitForSelector("dialog[open] button[type=submit]", patience);
      await look_over(view, "dialog-cancel", { size, language });
      await view.keyboard.press("Escape");
      await view.keyboard.press("Escape");
      await closed(view);
      if (language === "ko") {
        await view.show("queue");
        const english = (await view.locator("td.why").allTextContents()).filter((text) => /Waits|Expected/.test(text));
        check(english.length === 0, `English in Korean: ${english[0]}`);
        await view.show("history");
        await view.waitForFunction(() => document.querySelectorAll("td.why").length > 5, null, patience);
        const told = (await view.locator("td.why").allTextContents()).filter((text) => !/[가-힣]/.test(text));
        check(told.length === 0, `English in the Korean history: ${told[0]}`);
      }
      await view.context().close();
    }
  }

  const stranger = await visit(given.unknown);
  same(await stranger.locator("nav a").evaluateAll((all) => all.map((one) => one.getAttribute("href").slice(2))), open_tabs, "tabs without identity");
  check((await stranger.locator("footer").textContent()).includes("ultra dashboard"), "how to get an identity");
  for (const name of open_tabs) {
    await stranger.show(name);
    await look_over(stranger, name + "-stranger", { size: "wide", language: "en" });
    same(await stranger.locator("main [data-act], main .row-actions, main [data-way]").count(), 0, `buttons without identity on ${name}`);
  }
  await stranger.show("job/" + given.waiting);
  await look_over(stranger, "job-stranger", { size: "wide", language: "en" });
  await stranger.context().close();

  const long = await visit(given.known);
  await scroll_a_long_queue(long);
} catch (error) {
  wrong.push(String(error.stack ?? error));
} finally {
  await browser.close();
}
for (const line of [...new Set(wrong)]) console.log("wrong: " + line);
console.log(`${checked} checks, ${new Set(wrong).size} of them wrong`);
process.exit(wrong.length ? 1 : 0);
