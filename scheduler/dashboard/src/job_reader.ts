// A worker: reads lists of jobs, which may be long, and hands them over row by row, a thousand at a time, so that the page never stands still.
import { row_of } from "./jobs";
import type { JobList } from "./messages";

const rows_at_a_time = 1000;

self.onmessage = async (asked: MessageEvent<{ number: number; path: string }>) => {
  const { number, path } = asked.data;
  try {
    const reply = await fetch(path, { headers: { Prefer: "return=minimal" }, cache: "no-store" });
    if (!reply.ok) throw new Error(String(reply.status));
    const list = (await reply.json()) as JobList;
    for (let from = 0; from < list.jobs.length; from += rows_at_a_time)
      self.postMessage({ number, rows: list.jobs.slice(from, from + rows_at_a_time).map(row_of) });
    self.postMessage({ number, now_ms: list.now_ms });
  } catch (problem) {
    self.postMessage({ number, error: String(problem) });
  }
};
