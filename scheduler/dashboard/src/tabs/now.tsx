// Now: the wall of GPUs, one row a node, and beside it who holds what, what starts next and why the first ones wait.
import { useRef, useState } from "preact/hooks";
import { account_class, meet_accounts } from "../colours";
import { cluster, jobs, nodes, use } from "../feed";
import { clock, duration, moment, number } from "../format";
import { is_active, waits, type JobRow } from "../jobs";
import { said, t } from "../language";
import type { NodeView } from "../messages";
import { AccountName, Figure, gpus_words, JobLink, Loading } from "../parts";

interface Tile {
  node: NodeView;
  device: number;
  job: JobRow | null;
  busy: number; // permille
}

function words_of(tile: Tile, now: number): string {
  const place = t("{0} GPU {1}", tile.node.node.config.name, tile.device);
  if (!tile.job) return tile.node.node.state === "up" ? t("{0}: idle", place) : t("{0}: idle, the node is {1}", place, t(tile.node.node.state));
  const left = tile.job.end_ms ? duration(tile.job.end_ms - now) : "";
  // Begins with what stands on the tile.
  return t("{0} {1}: job {2}, {3}, {4} % busy, at most {5} left", tile.job.name, tile.job.account, tile.job.label, place, Math.round(tile.busy / 10), left);
}

function progress_of(job: JobRow, now: number): number {
  if (job.start_ms === null || job.end_ms === null || job.end_ms <= job.start_ms) return 0;
  return Math.min(1, Math.max(0, (now - job.start_ms) / (job.end_ms - job.start_ms)));
}

function Wall({ all, by_job, now }: { all: NodeView[]; by_job: Map<number, JobRow>; now: number }) {
  const [[row, column], focus] = useState([0, 0]);
  const grid = useRef<HTMLDivElement>(null);
  const widest = Math.max(1, ...all.map((node) => node.node.config.gpus));

  const move = (to_row: number, to_column: number) => {
    const next_row = Math.min(all.length - 1, Math.max(0, to_row));
    const next_column = Math.min(all[next_row].node.config.gpus - 1, Math.max(0, to_column));
    focus([next_row, next_column]);
    grid.current?.querySelector<HTMLElement>(`[data-at="${next_row},${next_column}"]`)?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    const target = (event.target as HTMLElement).dataset.at;
    if (!target) return;
    const [r, c] = target.split(",").map(Number);
    const steps: Record<string, [number, number]> = {
      ArrowUp: [r - 1, c],
      ArrowDown: [r + 1, c],
      ArrowLeft: [r, c - 1],
      ArrowRight: [r, c + 1],
      Home: [r, 0],
      End: [r, 1e6],
      PageUp: [0, c],
      PageDown: [1e6, c],
    };
    const to = steps[event.key];
    if (to) {
      event.preventDefault();
      move(...to);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      (event.target as HTMLElement).click();
    }
  };

  return (
    <div class="wall" role="grid" aria-label={t("All GPUs, a row for each node")} ref={grid} onKeyDown={pressed} style={{ "--gpus": String(widest) }}>
      {all.map((node, r) => (
        <div role="row" class="wall-row" key={node.node.config.name}>
          <div role="rowheader" class="wall-node">
            {node.node.config.name}
            {node.node.state !== "up" ? <small class={`state state-${node.node.state}`}>{t(node.node.state)}</small> : null}
          </div>
          {Array.from({ length: node.node.config.gpus }, (_, c) => {
            const number_of_job = node.device_jobs[c] ?? null;
            const job = number_of_job === null ? null : (by_job.get(number_of_job) ?? null);
            const tile: Tile = { node, device: c, job, busy: node.device_utilization_permille[c] ?? 0 };
            const is_focus = r === row && c === column;
            const first_of_job = job !== null && (c === 0 || node.device_jobs[c - 1] !== number_of_job);
            const words = words_of(tile, now);
            return (
              <div
                role="gridcell"
                key={c}
                data-at={`${r},${c}`}
                data-job={job?.name}
                tabIndex={is_focus ? 0 : -1}
                aria-label={words}
                title={words}
                class={"tile " + (job ? account_class(job.account) : node.node.state === "up" ? "idle" : "not-up") + (job && node.node.state !== "up" ? " hatched" : "")}
                onFocus={() => focus([r, c])}
                onClick={() => job && (location.hash = "#/job/" + job.name)}
              >
                {job ? (
                  <>
                    <span class="tile-job">{job.name}</span>{" "}
                    <span class="tile-account">{first_of_job ? job.account : ""}</span>
                    <span class="tile-bars">
                      <span class="tile-busy" style={{ width: `${tile.busy / 10}%` }} />
                      <span class="tile-progress" style={{ width: `${progress_of(job, now) * 100}%` }} />
                    </span>
                  </>
                ) : (
                  <span class="tile-job">{node.node.state === "up" ? "·" : "×"}</span>
                )}
              </div>
            );
          })}
        </div>
      ))}
    </div>
  );
}

export function NowTab() {
  const now = use(cluster);
  const list = use(nodes);
  const all = use(jobs);
  if (!now || !list || !all) return <Loading />;
  meet_accounts(all.rows.map((row) => row.account));
  const by_job = new Map<number, JobRow>();
  const held = new Map<string, { running: number; waiting: number; jobs: number }>();
  let waiting_gpus = 0;
  let longest = 0;
  const waiting: JobRow[] = [];
  for (const row of all.rows) {
    const account = held.get(row.account) ?? { running: 0, waiting: 0, jobs: 0 };
    held.set(row.account, account);
    if (is_active(row)) {
      by_job.set(row.job, row);
      account.running += row.gpus;
      account.jobs += 1;
    } else if (waits(row)) {
      account.waiting += row.gpus;
      waiting_gpus += row.gpus;
      waiting.push(row);
      if (row.state === "queued") longest = Math.max(longest, all.now_ms - row.submitted_ms);
    }
  }
  const next = waiting
    .filter((row) => row.start_ms !== null)
    .sort((a, b) => (a.start_ms ?? 0) - (b.start_ms ?? 0))
    .slice(0, 6);
  const first = waiting.filter((row) => row.state === "queued" && row.position > 0).sort((a, b) => a.position - b.position).slice(0, 3);

  return (
    <div class="now">
      <section class="now-wall" aria-label={t("The wall")}>
        <Wall all={list.nodes} by_job={by_job} now={list.now_ms} />
        <p class="legend">
          <span class="legend-bars" aria-hidden="true">
            <span class="tile-busy" />
            <span class="tile-progress" />
          </span>
          {t("In each tile: the job; the upper bar is how busy the GPU is, the lower one how much of the time limit has passed.")}
          {now.virtual_devices ? " " + t("The GPUs are virtual.") : ""}
        </p>
      </section>
      <section class="now-side">
        <dl class="figures">
          <Figure title={t("GPUs in use")} value={number(now.gpus_allocated)} of={`/ ${number(now.gpus)}`} />
          <Figure title={t("idle")} value={number(now.gpus_idle)} />
          <Figure title={t("not usable")} value={number(now.gpus_down)} />
          <Figure title={t("GPUs waited for")} value={number(waiting_gpus)} />
          <Figure title={t("jobs waiting")} value={number(waiting.length)} />
          <Figure title={t("longest wait")} value={waiting.length ? duration(longest) : "-"} />
        </dl>
        <table>
          <caption>{t("Teams")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("team")}</th>
              <th scope="col" class="number">{t("GPUs in use")}</th>
              <th scope="col" class="number">{t("waited for")}</th>
              <th scope="col" class="number">{t("jobs running")}</th>
            </tr>
          </thead>
          <tbody>
            {[...held].sort((a, b) => b[1].running - a[1].running || (a[0] < b[0] ? -1 : 1)).map(([account, sums]) => (
              <tr key={account}>
                <th scope="row">
                  <AccountName account={account} />
                </th>
                <td class="number">{number(sums.running)}</td>
                <td class="number">{number(sums.waiting)}</td>
                <td class="number">{number(sums.jobs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <table class="next">
          <caption>{t("Starts next")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("start")}</th>
              <th scope="col">{t("job")}</th>
              <th scope="col">{t("team")}</th>
              <th scope="col" class="number">{t("GPUs")}</th>
            </tr>
          </thead>
          <tbody>
            {next.map((row) => (
              <tr key={row.name}>
                <td title={moment(row.start_ms ?? 0, all.now_ms)}>{clock(row.start_ms ?? 0)} <small>({duration((row.start_ms ?? 0) - all.now_ms)})</small></td>
                <td>
                  <JobLink name={row.name}>{row.name} {row.label}</JobLink>
                </td>
                <td>
                  <AccountName account={row.account} />
                </td>
                <td class="number">{number(row.gpus)}</td>
              </tr>
            ))}
            {next.length === 0 ? (
              <tr>
                <td colSpan={4}>{t("Nothing waits.")}</td>
              </tr>
            ) : null}
          </tbody>
        </table>
        {first.length ? (
          <div>
            <h2>{t("First in the queue")}</h2>
            <ul class="sentences">
              {first.map((row) => (
                <li key={row.name}>
                  <JobLink name={row.name}>{t("Job {0}", row.name)}</JobLink> ({row.account}, {gpus_words(row.gpus)}): {said(row.why)}
                </li>
              ))}
            </ul>
          </div>
        ) : null}
      </section>
    </div>
  );
}
