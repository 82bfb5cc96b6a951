// What the page knows of the cluster, kept fresh. A source is one question to the API; it is asked again while somebody looks at it, when
// the cluster has changed or its answer has become old. That it has changed is told by the stream /v1/events; while there is none, by asking.
import { useEffect, useState } from "preact/hooks";
import { use_time_zone } from "./format";
import type { JobRow } from "./jobs";
import type { AccountReport, CallerView, ClusterView, ErrorReply, NodeList, ReportView, WaitRollUp } from "./messages";

export interface Source<T> {
  value: T | null;
  read_ms: number; // when it was read last, by this machine's clock
  revision: number; // of the cluster, when it was asked for
  took_ms: number;
  period_ms: number; // older than this it is read again in any case
  in_flight: boolean;
  watchers: Set<() => void>;
  read: () => Promise<T>;
}

export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly reply: ErrorReply,
  ) {
    super(reply.message);
  }
}

export async function ask<T>(path: string, body?: unknown): Promise<T> {
  const reply = await fetch(path, {
    cache: "no-store",
    method: body === undefined ? "GET" : "POST",
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (reply.ok) return (await reply.json()) as T;
  const problem = (await reply.json().catch(() => ({ code: "", field: "", message: reply.statusText, remedy: "" }))) as ErrorReply;
  throw new ApiProblem(reply.status, problem);
}

// ---- jobs, by the worker

export interface Jobs {
  now_ms: number;
  rows: JobRow[];
}

let worker: Worker | null = null;
let asked = 0;
const open_lists = new Map<number, { rows: JobRow[]; done: (jobs: Jobs) => void; failed: (problem: Error) => void }>();

function read_jobs(path: string): Promise<Jobs> {
  if (!worker) {
    worker = new Worker(new URL("./job_reader.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<{ number: number; rows?: JobRow[]; now_ms?: number; error?: string }>) => {
      const list = open_lists.get(data.number);
      if (!list) return;
      if (data.rows) {
        for (const row of data.rows) list.rows.push(row);
        return;
      }
      open_lists.delete(data.number);
      if (data.error !== undefined) list.failed(new Error(data.error));
      else list.done({ now_ms: data.now_ms ?? 0, rows: list.rows });
    };
  }
  const number = ++asked;
  return new Promise((done, failed) => {
    open_lists.set(number, { rows: [], done, failed });
    worker?.postMessage({ number, path: new URL(path, location.href).href });
  });
}

// ---- sources

const sources: Source<unknown>[] = [];

export function source<T>(period_ms: number, read: () => Promise<T>): Source<T> {
  const made: Source<T> = { value: null, read_ms: 0, revision: -1, took_ms: 0, period_ms, in_flight: false, watchers: new Set(), read };
  sources.push(made as Source<unknown>);
  return made;
}

export const caller = source<CallerView>(600_000, () => ask("v1/caller"));
export const cluster = source<ClusterView>(15_000, async () => {
  const view = await ask<ClusterView>("v1/cluster");
  use_time_zone(view.time_zone);
  return view;
});
export const nodes = source<NodeList>(3_000, () => ask("v1/nodes"));
export const jobs = source<Jobs>(15_000, () => read_jobs("v1/jobs"));
export const ended_jobs = source<Jobs>(60_000, () => read_jobs("v1/jobs?state=completed,failed,cancelled"));
export const report = source<ReportView>(60_000, () => ask("v1/report"));
export const waits = source<WaitRollUp>(60_000, () => ask("v1/waits"));

export type { AccountReport };

let revision = 0;
let stream_open = false;
export let away = false; // the scheduler didn't answer the last question
const away_watchers = new Set<() => void>();

function set_away(now_away: boolean) {
  if (away === now_away) return;
  away = now_away;
  for (const watcher of away_watchers) watcher();
}

async function refresh(one: Source<unknown>) {
  one.in_flight = true;
  const asked_at = performance.now();
  const revision_then = revision;
  try {
    const value = await one.read();
    one.value = value;
    one.revision = revision_then;
    if (one === (cluster as Source<unknown>)) revision = Math.max(revision, (value as ClusterView).journal_sequence);
    set_away(false);
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) set_away(true);
    one.revision = revision_then;
  }
  one.took_ms = performance.now() - asked_at;
  one.read_ms = performance.now();
  one.in_flight = false;
  for (const watcher of one.watchers) watcher();
}

/// Asks what is due. What takes long is asked for less often: at most a fifth of the time is spent on it.
export function look_around() {
  if (document.hidden) return;
  const now = performance.now();
  for (const one of sources) {
    if (one.in_flight || one.watchers.size === 0) continue;
    const age = now - one.read_ms;
    const never = one.read_ms === 0;
    const period = one === (cluster as Source<unknown>) && !stream_open ? 2_000 : one.period_ms;
    const changed = one.revision < revision && age >= Math.max(1_000, 5 * one.took_ms);
    if (never || changed || age >= Math.max(period, 5 * one.took_ms)) void refresh(one);
  }
}

export function start() {
  setInterval(look_around, 500);
  document.addEventListener("visibilitychange", look_around);
  const stream = new EventSource("v1/events");
  stream.addEventListener("changed", (event) => {
    stream_open = true;
    revision = Math.max(revision, Number(JSON.parse((event as MessageEvent<string>).data).revision));
    look_around();
  });
  stream.onerror = () => {
    stream_open = false;
  };
}

/// The newest answer of a source, null until there is one; the component is drawn again with each.
export function use<T>(one: Source<T> | null): T | null {
  const [, redraw] = useState(0);
  useEffect(() => {
    if (!one) return undefined;
    const watcher = () => redraw((count) => count + 1);
    one.watchers.add(watcher);
    look_around();
    return () => void one.watchers.delete(watcher);
  }, [one]);
  return one ? one.value : null;
}

/// One question that only this component asks, again whenever the cluster has changed. No path, no question.
export function use_path<T>(path: string | null, period_ms: number): { value: T | null; problem: ErrorReply | null } {
  const [found, set_found] = useState<{ path: string | null; value: T | null; problem: ErrorReply | null }>({ path: null, value: null, problem: null });
  useEffect(() => {
    if (!path) return undefined;
    const own = source<T>(period_ms, async () => {
      try {
        const value = await ask<T>(path);
        set_found({ path, value, problem: null });
        return value;
      } catch (problem) {
        if (problem instanceof ApiProblem) set_found({ path, value: null, problem: problem.reply });
        throw problem;
      }
    });
    own.watchers.add(() => undefined);
    look_around();
    return () => {
      own.watchers.clear();
      sources.splice(sources.indexOf(own as Source<unknown>), 1);
    };
  }, [path, period_ms]);
  return found.path === path ? found : { value: null, problem: null };
}

export function use_away(): boolean {
  const [, redraw] = useState(0);
  useEffect(() => {
    const watcher = () => redraw((count) => count + 1);
    away_watchers.add(watcher);
    return () => void away_watchers.delete(watcher);
  }, []);
  return away;
}
