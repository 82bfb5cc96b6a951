// Timeline: which GPUs held what, hold it now, and are planned for whom. A line for each GPU of each node; now is the upright line.
import { useMemo, useRef, useState } from "preact/hooks";
import { JobActions } from "../actions";
import { account_class, meet_accounts } from "../colours";
import { caller, ended_jobs, jobs, nodes, use } from "../feed";
import { clock, clocks_of, duration, moment, moment_in_full } from "../format";
import { has_ended, is_active, waits, type JobRow } from "../jobs";
import { said, t } from "../language";
import type { NodeAllocation } from "../messages";
import { AccountName, gpus_words, JobLink, Loading, StateName } from "../parts";
import { BoostQuestion } from "./boost";

interface Bar {
  row: JobRow;
  from: number;
  to: number;
  kind: "past" | "held" | "planned";
  node: string;
  first: number; // device
  count: number;
}

const lane = 6; // height of a GPU, in units of the drawing
const gap = 8;
const width = 1000;
const spans: [string, number, number][] = [
  ["6 h", 2, 4],
  ["24 h", 8, 16],
  ["7 d", 48, 120],
];
const hour = 3_600_000;

function bars_of(row: JobRow, kind: Bar["kind"], from: number, to: number, allocation: NodeAllocation[]): Bar[] {
  const bars: Bar[] = [];
  for (const { node, devices } of allocation) {
    for (let i = 0; i < devices.length; ) {
      let j = i;
      while (j + 1 < devices.length && devices[j + 1] === devices[j] + 1) ++j;
      bars.push({ row, from, to, kind, node, first: devices[i], count: j - i + 1 });
      i = j + 1;
    }
  }
  return bars;
}

const key_of = (bar: Bar) => `${bar.row.name} ${bar.node} ${bar.first} ${bar.from}`;

/// Where an arrow leads from a bar: in time along its GPU, or to the next GPU with a bar, there to the one that is nearest in time.
function neighbour(bars: Bar[], tops: Map<string, number>, from: Bar, key: string): Bar | undefined {
  const line = (bar: Bar) => (tops.get(bar.node) ?? 0) + bar.first * lane;
  const middle = (bar: Bar) => (bar.from + bar.to) / 2;
  const least = (candidates: Bar[], distance: (bar: Bar) => number) =>
    candidates.reduce<Bar | undefined>((best, bar) => (best === undefined || distance(bar) < distance(best) ? bar : best), undefined);
  const here = line(from);
  switch (key) {
    case "ArrowRight":
      return least(bars.filter((bar) => bar.node === from.node && bar !== from && bar.from >= from.to), (bar) => bar.from * 1e-3 + Math.abs(line(bar) - here));
    case "ArrowLeft":
      return least(bars.filter((bar) => bar.node === from.node && bar !== from && bar.to <= from.from), (bar) => -bar.to * 1e-3 + Math.abs(line(bar) - here));
    case "ArrowDown":
    case "ArrowUp": {
      const down = key === "ArrowDown";
      const next = least(bars.filter((bar) => (down ? line(bar) > here : line(bar) < here)), (bar) => Math.abs(line(bar) - here));
      return next && least(bars.filter((bar) => line(bar) === line(next)), (bar) => Math.abs(middle(bar) - middle(from)));
    }
    case "Home":
      return least(bars, (bar) => line(bar) * 1e15 + bar.from);
    case "End":
      return least(bars, (bar) => -line(bar) * 1e15 - bar.from);
  }
  return undefined;
}

function explanation(bar: Bar, now: number): string {
  const head = `${t("Job {0}", bar.row.name)} ${bar.row.label} (${bar.row.account}, ${gpus_words(bar.row.gpus)})`;
  const times = `${moment(bar.from, now)} - ${moment(bar.to, now)}`;
  const kind = bar.kind === "past" ? t("held") : bar.kind === "held" ? t("holds, at most until then") : t("planned");
  return `${head}\n${times}: ${kind}${bar.kind === "planned" && bar.row.why ? "\n" + said(bar.row.why) : ""}`;
}

export function TimelineTab() {
  const list = use(nodes);
  const all = use(jobs);
  const ended = use(ended_jobs);
  const me = use(caller);
  const [span, set_span] = useState(1);
  const [chosen, choose] = useState<string | null>(null);
  const [reached, reach] = useState(""); // the bar that Tab leads to
  const drawing = useRef<SVGSVGElement>(null);
  const [, back, ahead] = spans[span];
  const now = all?.now_ms ?? 0;
  const start = now - back * hour;
  const end = now + ahead * hour;

  const bars = useMemo(() => {
    const made: Bar[] = [];
    for (const row of [...(ended?.rows ?? []), ...(all?.rows ?? [])]) {
      row.stays.forEach((stay, i) => {
        const is_current = i + 1 === row.stays.length && is_active(row);
        made.push(...bars_of(row, is_current ? "held" : "past", stay.from, is_current ? Math.max(row.end_ms ?? now, now) : (stay.to ?? now), stay.nodes));
      });
      if (waits(row) && row.start_ms !== null && row.end_ms !== null) made.push(...bars_of(row, "planned", row.start_ms, row.end_ms, row.nodes));
    }
    return made.filter((bar) => bar.to > start && bar.from < end);
  }, [all, ended, span]);
  if (!list || !all || !ended) return <Loading />;
  meet_accounts([...all.rows, ...ended.rows].map((row) => row.account));

  const tops = new Map<string, number>();
  let height = 18;
  for (const view of list.nodes) {
    tops.set(view.node.config.name, height);
    height += view.node.config.gpus * lane + gap;
  }
  const x = (ms: number) => ((Math.min(end, Math.max(start, ms)) - start) / (end - start)) * width;
  const tick = (back + ahead) * hour > 100 * hour ? 24 * hour : (back + ahead) * hour > 12 * hour ? 3 * hour : hour;
  const ticks: number[] = [];
  for (let at = Math.ceil(start / tick) * tick; at < end; at += tick) ticks.push(at);
  const shown = bars.filter((bar) => tops.has(bar.node));
  const tab_stop = shown.find((bar) => key_of(bar) === reached) ?? shown[0];
  const press = (event: KeyboardEvent, bar: Bar) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      choose(bar.row.name);
      event.preventDefault();
      return;
    }
    const next = neighbour(shown, tops, bar, event.key);
    if (!next && !/^(Arrow|Home$|End$)/.test(event.key)) return;
    event.preventDefault();
    if (!next) return;
    reach(key_of(next));
    drawing.current?.querySelector<SVGElement>(`[data-bar="${CSS.escape(key_of(next))}"]`)?.focus();
  };
  const row = chosen === null ? undefined : [...all.rows, ...ended.rows].find((one) => one.name === chosen);

  return (
    <section class="timeline">
      <div class="controls">
        <div role="group" aria-label={t("How much is shown")} class="choice">
          {spans.map(([title], i) => (
            <button type="button" key={title} aria-pressed={i === span} onClick={() => set_span(i)}>
              {title}
            </button>
          ))}
        </div>
        <p>
          <span class="key key-past" /> {t("past")} <span class="key key-held" /> {t("held now, until its time limit")} <span class="key key-planned" /> {t("planned")} · {t("times of {0}", clocks_of())}
        </p>
      </div>
      <div class="gantt">
        <div class="gantt-names" aria-hidden="true" style={{ "--height": String(height) }}>
          {list.nodes.map((view) => (
            <span key={view.node.config.name} style={{ top: `${(100 * (tops.get(view.node.config.name) ?? 0)) / height}%` }}>
              {view.node.config.name}
            </span>
          ))}
        </div>
        <svg ref={drawing} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="group" aria-label={t("Timeline of all GPUs: {0} bars from {1} to {2}. The queue has the same in a table.", shown.length, moment_in_full(start), moment_in_full(end))} style={{ "--height": String(height) }}>
          {ticks.map((at) => (
            <line key={at} class="tick" x1={x(at)} x2={x(at)} y1="14" y2={height} />
          ))}
          {list.nodes.map((view) => (
            <rect key={view.node.config.name} class={view.node.state === "up" ? "floor" : "floor floor-not-up"} x="0" width={width} y={tops.get(view.node.config.name)} height={view.node.config.gpus * lane} />
          ))}
          {shown.map((bar) => {
            const words = explanation(bar, now);
            return (
              <rect
                key={key_of(bar)}
                data-bar={key_of(bar)}
                role="button"
                tabIndex={bar === tab_stop ? 0 : -1}
                aria-label={words}
                aria-pressed={bar.row.name === chosen}
                class={`${account_class(bar.row.account)} bar bar-${bar.kind}${bar.row.name === chosen ? " chosen" : ""}`}
                x={x(bar.from)}
                width={Math.max(1.5, x(bar.to) - x(bar.from))}
                y={(tops.get(bar.node) ?? 0) + bar.first * lane + 0.5}
                height={bar.count * lane - 1}
                onClick={() => choose(bar.row.name)}
                onFocus={() => reach(key_of(bar))}
                onKeyDown={(event) => press(event, bar)}
              >
                <title>{words}</title>
              </rect>
            );
          })}
          <line class="now-line" x1={x(now)} x2={x(now)} y1="0" y2={height} />
        </svg>
        <div class="gantt-hours" aria-hidden="true">
          {ticks.map((at) => (
            <span key={at} style={{ left: `${x(at) / 10}%` }}>
              {tick >= 24 * hour ? moment(at, 0).replace(/ \d\d:\d\d$/, "") : clock(at)}
            </span>
          ))}
        </div>
      </div>
      <div class="chosen-job" aria-live="polite">
        {row ? (
          <>
            <h2>
              <JobLink name={row.name}>{t("Job {0}", row.name)} {row.label}</JobLink> <StateName state={row.state} />
            </h2>
            <p>
              <AccountName account={row.account} /> · {gpus_words(row.gpus)} · {row.start_ms !== null ? `${moment(row.start_ms, now)} - ${row.end_ms !== null ? moment(row.end_ms, now) : ""} (${duration((row.end_ms ?? now) - row.start_ms)})` : "-"}
            </p>
            {row.why ? <p>{said(row.why)}</p> : null}
            <JobActions key={row.name} row={row} />
            {me?.identified && row.state === "queued" && !has_ended(row) ? <BoostQuestion key={row.name} name={row.name} /> : null}
          </>
        ) : (
          <p>{t("Point at a bar to read what it is; click it, or go to it with Tab and the arrows and press Enter, to keep it here.")}</p>
        )}
      </div>
    </section>
  );
}
