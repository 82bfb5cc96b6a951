// Queue: all jobs that haven't ended, in the order of the plan, with planned start and the reason in words.
import { useMemo, useState } from "preact/hooks";
import { has_actions, JobDialog, RowActions } from "../actions";
import { meet_accounts } from "../colours";
import { caller, jobs, use } from "../feed";
import { duration, moment, number } from "../format";
import { is_active, node_names, waits, type JobRow } from "../jobs";
import { said, t } from "../language";
import { LongTable, type Column } from "../long_table";
import { AccountName, JobLink, Loading, StateName } from "../parts";

type Kind = "all" | "waiting" | "running";

function matches(row: JobRow, words: string[]): boolean {
  if (words.length === 0) return true;
  const text = `${row.name} ${row.label} ${row.account} ${row.user} ${row.state} ${row.qos} ${node_names(row.nodes)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

export function QueueTab() {
  const all = use(jobs);
  const me = use(caller);
  const [open, set_open] = useState<JobRow | null>(null); // whose actions are shown
  const [text, set_text] = useState("");
  const [kind, set_kind] = useState<Kind>("all");
  const rows = useMemo(() => {
    if (!all) return [];
    meet_accounts(all.rows.map((row) => row.account));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return all.rows.filter((row) => (kind === "all" || (kind === "waiting" ? waits(row) : is_active(row))) && matches(row, words));
  }, [all, text, kind]);
  if (!all) return <Loading />;
  const now = all.now_ms;
  const columns: Column<JobRow>[] = [
    { title: t("place"), class: "number place aside", cell: (row) => (row.position ? number(row.position) : "") },
    { title: t("job"), class: "job", cell: (row) => <><JobLink name={row.name}>{row.name}</JobLink> <span class="label">{row.label}</span></> },
    { title: t("team"), class: "team", cell: (row) => <AccountName account={row.account} /> },
    { title: t("user"), class: "user aside", cell: (row) => row.user },
    { title: t("GPUs"), class: "number gpus", cell: (row) => number(row.gpus) },
    { title: t("state"), class: "state-cell", cell: (row) => <><StateName state={row.state} />{row.boosted ? <span class="badge">{t("boosted")}</span> : null}</> },
    { title: t("start"), class: "start", cell: (row) => (row.start_ms === null ? "-" : moment(row.start_ms, now)) },
    { title: t("run time"), class: "number run aside", cell: (row) => (is_active(row) && row.start_ms !== null ? `${duration(now - row.start_ms)} / ${duration(row.limit_ms)}` : `- / ${duration(row.limit_ms)}`) },
    { title: t("where, or why not"), class: "why", cell: (row) => (waits(row) ? said(row.why) : node_names(row.nodes)) },
  ];
  if (rows.every((row) => !row.user)) columns.splice(3, 1);
  if (me?.identified) columns.push({ title: t("actions"), class: "acts", cell: (row) => (has_actions(me, row) ? <RowActions row={row} open={() => set_open(row)} /> : "") });
  return (
    <section class="queue">
      <div class="controls">
        <label>
          <span>{t("Filter")}</span>
          <input type="search" value={text} placeholder={t("job, team, state, node")} onInput={(event) => set_text((event.target as HTMLInputElement).value)} />
        </label>
        <div role="group" aria-label={t("Which jobs")} class="choice">
          {(["all", "waiting", "running"] as Kind[]).map((one) => (
            <button type="button" key={one} aria-pressed={kind === one} onClick={() => set_kind(one)}>
              {t(one === "all" ? "all" : one === "waiting" ? "waiting" : "running")}
            </button>
          ))}
        </div>
        <p role="status">{rows.length === all.rows.length ? t("{0} jobs", number(rows.length)) : t("{0} of {1} jobs", number(rows.length), number(all.rows.length))}</p>
      </div>
      <LongTable caption={t("Jobs in the order of the plan")} columns={columns} rows={rows} key_of={(row) => row.name} href_of={(row) => "#/job/" + row.name} empty={t("No job.")} />
      {open ? <JobDialog row={all.rows.find((row) => row.name === open.name) ?? open} on_close={() => set_open(null)} /> : null}
    </section>
  );
}
