// Builds the page where this file lies (CMake runs it in a copy of this folder): fetches the packages when they have changed, checks the types, bundles.
//
//   node build_page.mjs --npm NPM --out FOLDER --heard KO_PO [--check]
//
// The folder gets the page. Packages that can't be fetched leave it as it is: one line says why and what helps, and the exit code is 0, for a build of
// everything has more to do than this; the next one tries again. All else that goes wrong is exit 1. --check builds nothing: exit 1 if the page isn't built.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const folder = dirname(fileURLToPath(import.meta.url));
const stamp = join(folder, "packages_are_here");
const { values: given } = parseArgs({ options: { npm: { type: "string" }, out: { type: "string" }, heard: { type: "string" }, check: { type: "boolean" } } });
if (!given.npm || !given.out || !given.heard) {
  console.error("build_page: --npm, --out and --heard are needed; the head of build_page.mjs says what they are");
  process.exit(2);
}

/// Of all that decides which packages lie in node_modules.
function hash_of_packages() {
  const hash = createHash("sha256").update(process.version);
  for (const name of ["package.json", "package-lock.json", ".npmrc"]) hash.update(readFileSync(join(folder, name)));
  return hash.digest("hex");
}

// These are mistakes in the project or harm on the way; all others are a registry that can't be reached, or doesn't give what it is asked for.
const mistakes = ["EUSAGE", "EINTEGRITY", "EBADENGINE", "EJSONPARSE", "ERESOLVE"];

/// Whether the packages are there. Scripts of packages are not run: none of these needs one.
function fetch_packages() {
  const wanted = hash_of_packages();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return true;
  rmSync(stamp, { force: true });
  // Without a network this must be over soon, not after npm's usual minutes.
  const patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000", "--fetch-timeout=30000"];
  const npm = spawnSync(given.npm, ["ci", "--ignore-scripts", "--no-progress", "--loglevel=error", ...patience], { cwd: folder, encoding: "utf8" });
  if (npm.status === 0) {
    writeFileSync(stamp, wanted);
    return true;
  }
  const said = (npm.error ? String(npm.error) : npm.stderr).split("\n").map((line) => line.replace(/^npm (ERR!|error) ?(network )?/, "").trim()).filter(Boolean);
  const code = said.find((line) => line.startsWith("code "))?.slice(5) ?? "";
  if (npm.error || mistakes.includes(code)) {
    console.error(`build_page: npm ci failed:\n${said.join("\n")}`);
    process.exit(1);
  }
  const reason = said.find((line) => !/^(code|errno|syscall|type) /.test(line)) ?? `npm ended with ${npm.status ?? npm.signal}`;
  const left = existsSync(join(given.out, "index.html")) ? "the page of an earlier build stays" : "without it the scheduler serves a page that says how to get it";
  console.log(`web page: not built, its packages could not be fetched (${reason}). With a network, build again; ${left}.`);
  return false;
}

function run(program, words, environment = {}) {
  const done = spawnSync(process.execPath, [join(folder, "node_modules", program), ...words], { cwd: folder, stdio: "inherit", env: { ...process.env, ...environment } });
  if (done.status !== 0) process.exit(1);
}

if (given.check) {
  const is_built = existsSync(stamp) && existsSync(join(given.out, "index.html"));
  if (!is_built) console.error("web page: not built, its packages could not be fetched; build again with a network");
  process.exit(is_built ? 0 : 1);
}
if (!fetch_packages()) process.exit(0);
run("typescript/bin/tsc", ["--noEmit"]);
run("vite/bin/vite.js", ["build", "--logLevel", "warn"], { ULTRAMARINE_DASHBOARD_OUT: given.out, ULTRAMARINE_HEARD: given.heard });
