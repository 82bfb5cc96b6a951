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
    timezoneId: "UTC",
  });
  const page = await context.newPage();
  const where = `${size} ${language}`;
  page.on("console", (message) => message.type() === "error" && wrong.push(`${where}: the console says ${message.text()} (${page.url()})`));
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
  await page.waitForTimeout(300);
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
  await page.waitForTimeout(200);
  same(await page.locator("table.long tbody tr:not(.space)").count(), jobs.filter((job) => job.details.spec.account === "vision").length, "rows with vision");
  await page.fill("input[type=search]", "");
}

async function compare_nodes(page) {
  await page.show("nodes");
  const nodes = (await page.ask("v1/nodes")).nodes;
  const rows = await page.locator("table.nodes tbody tr").evaluateAll((all) => all.map((row) => [row.querySelector("th").textContent, row.querySelector(".state").textContent, row.querySelector("td.number").textContent, row.lastElementChild.textContent]));
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

async function see_it_live(page) {
  await page.show("queue");
  const name = ultra("submit", "--quiet", "--hold", "--account", "speech", "--name", "seen-live", "--", "true").trim();
  const since = Date.now();
  await page.waitForSelector(`a.job-link[href="#/job/${name}"]`, patience);
  console.log(`a new job is seen after ${Date.now() - since} ms`);
  ultra("cancel", name);
  await page.waitForSelector(`a.job-link[href="#/job/${name}"]`, { ...patience, state: "detached" });
}

async function scroll_a_long_queue(page) {
  ultra("submit", "--quiet", "--hold", "--account", "speech", "--name", "long", "--array", "0-9999", "--", "true");
  await page.show("queue");
  await page.waitForFunction(() => Number(document.querySelector("table.long")?.getAttribute("aria-rowcount")) > 10_000, null, { timeout: 120_000 });
  let best = null;
  for (let attempt = 0; attempt < 5 && (best === null || best.worst > 100); ++attempt) {
    const seen = await page.evaluate(
      () =>
        new Promise((done) => {
          const begin = performance.now();
          const height = document.documentElement.scrollHeight;
          let last = begin;
          let worst = 0;
          let nodes = 0;
          const frame = (now) => {
            worst = Math.max(worst, now - last);
            last = now;
            nodes = Math.max(nodes, document.getElementsByTagName("*").length);
            if (now - begin >= 5000) return done({ worst: Math.round(worst), nodes, at: scrollY });
            scrollTo(0, ((now - begin) / 5000) * height);
            requestAnimationFrame(frame);
          };
          requestAnimationFrame((now) => {
            last = now;
            frame(now);
          });
        }),
    );
    if (best === null || seen.worst < best.worst) best = seen;
  }
  console.log(`10,000 rows: worst frame ${best.worst} ms, ${best.nodes} elements`);
  check(best.worst <= 100, `a frame of ${best.worst} ms`);
  check(best.nodes < 2000, `${best.nodes} elements in the document`);
  check(best.at > 100_000, "the whole queue was scrolled");
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.waitForTimeout(500);
  const row = await page.locator("table.long tbody tr:not(.space)").last().locator(".job-link").textContent();
  same(row, name_of((await page.ask("v1/jobs")).jobs.at(-1)), "the end of the queue");
}

try {
  const page = await visit(given.known);
  const bytes = await page.evaluate(() => [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")].filter((one) => !/\/v1\//.test(one.name)).reduce((sum, one) => sum + one.encodedBodySize, 0));
  console.log(`first view: ${bytes} bytes of page`);
  check(bytes > 10_000 && bytes <= first_view_bytes_max, `the first view takes ${bytes} bytes`);
  for (const compare of [compare_now, compare_queue, compare_nodes, compare_teams, compare_waste, compare_history, compare_timeline, compare_job, use_keys, see_it_live]) await compare(page);
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
      if (language === "ko") {
        await view.show("queue");
        const english = (await view.locator("td.why").allTextContents()).filter((text) => /Waits|Expected/.test(text));
        check(english.length === 0, `English in Korean: ${english[0]}`);
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
