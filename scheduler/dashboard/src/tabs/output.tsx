// What the ranks of a job write, live, all of them or one.
import { useEffect, useRef, useState } from "preact/hooks";
import { said, t } from "../language";
import type { ErrorReply, LogLine } from "../messages";

const lines_most = 2000;

interface Line {
  rank: number;
  stream: string;
  text: string;
}

const bytes_of = (base64: string) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

export function Output({ name, ranks, live }: { name: string; ranks: number; live: boolean }) {
  const [open, set_open] = useState(false);
  const [rank, set_rank] = useState(-1);
  const [lines, set_lines] = useState<Line[]>([]);
  const [problem, set_problem] = useState("");
  const screen = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const gone = new AbortController();
    const kept: Line[] = [];
    const unfinished = new Map<string, string>();
    const decoders = new Map<string, TextDecoder>();
    let drawing = 0;
    const draw = () => {
      if (!drawing)
        drawing = window.setTimeout(() => {
          drawing = 0;
          set_lines(kept.slice());
        }, 150);
    };
    const take = (piece: LogLine) => {
      if (piece.error) kept.push({ rank: piece.rank, stream: "err", text: said(piece.error) });
      const key = `${piece.rank} ${piece.stream}`;
      let decoder = decoders.get(key);
      if (!decoder) decoders.set(key, (decoder = new TextDecoder()));
      const parts = ((unfinished.get(key) ?? "") + decoder.decode(bytes_of(piece.data_base64 ?? ""), { stream: true })).split("\n");
      unfinished.set(key, parts.pop() ?? "");
      for (const text of parts) kept.push({ rank: piece.rank, stream: piece.stream, text });
      if (kept.length > lines_most) kept.splice(0, kept.length - lines_most);
      draw();
    };
    void (async () => {
      const query = [live ? "follow=1" : "", rank >= 0 ? `rank=${rank}` : ""].filter(Boolean).join("&");
      const reply = await fetch(`v1/jobs/${name}/logs${query ? "?" + query : ""}`, { signal: gone.signal, cache: "no-store" });
      if (!reply.ok || !reply.body) {
        const refusal = (await reply.json().catch(() => null)) as ErrorReply | null;
        set_problem(said(refusal?.message ?? reply.statusText));
        return;
      }
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (rest + value).split("\n");
        rest = parts.pop() ?? "";
        for (const part of parts) if (part) take(JSON.parse(part) as LogLine);
      }
      draw();
    })().catch((failure: unknown) => {
      if (!gone.signal.aborted) set_problem(String(failure));
    });
    set_lines([]);
    set_problem("");
    return () => {
      gone.abort();
      window.clearTimeout(drawing);
    };
  }, [open, rank, name]);
  useEffect(() => {
    const pane = screen.current;
    if (pane && pane.scrollHeight - pane.scrollTop - pane.clientHeight < 200) pane.scrollTop = pane.scrollHeight;
  }, [lines]);
  return (
    <section>
      <h2>{t("Output")}</h2>
      <div class="controls">
        <button type="button" aria-pressed={open} onClick={() => set_open(!open)}>
          {open ? t("Close") : t("Show what the ranks write")}
        </button>
        {open && ranks > 1 ? (
          <label>
            <span>{t("rank")}</span>
            <select value={rank} onChange={(event) => set_rank(Number((event.target as HTMLSelectElement).value))}>
              <option value={-1}>{t("all")}</option>
              {Array.from({ length: ranks }, (_, i) => (
                <option key={i} value={i}>
                  {i}
                </option>
              ))}
            </select>
          </label>
        ) : null}
      </div>
      {problem ? <p role="alert">{problem}</p> : null}
      {open && !problem ? (
        <pre class="output" ref={screen} tabIndex={0} role="log" aria-label={t("Output of job {0}", name)}>
          {lines.length === 0 ? t("Nothing so far.") : null}
          {lines.map((line, i) => (
            <span key={i} class={line.stream === "err" ? "from-err" : undefined}>
              {ranks > 1 && rank < 0 ? <b>{line.rank} </b> : null}
              {line.text + "\n"}
            </span>
          ))}
        </pre>
      ) : null}
    </section>
  );
}
