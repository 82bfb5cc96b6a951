// History: what happened in the cluster, event by event, where the caller is known; and jobs that ended, newest first, and how, in words.
import { useMemo, useState } from "preact/hooks";
import { meet_accounts } from "../colours";
import { caller, ended_jobs, use } from "../feed";
import { duration, moment, number } from "../format";
import { node_names, type JobRow } from "../jobs";
import { t } from "../language";
import { LongTable, type Column } from "../long_table";
import { AccountName, JobLink, Loading, StateName } from "../parts";
import { outcome_words } from "../words";
import { PastEvents } from "./past";

function what_happened(row: JobRow): string {
  const last = row.stays[row.stays.length - 1];
  if (!last) return t("It never ran.");
  const ran = duration((last.to ?? last.from) - last.from);
  const where = node_names(last.nodes);
  const end = last.outcome ? outcome_words(last.outcome) : t(row.state);
  return row.stays.length > 1 ? t("Held {0} on {1}, attempt {2}: {3}.", ran, where, row.stays.length, end) : t("Held {0} on {1}: {2}.", ran, where, end);
}

function EndedJobs() {
  const ended = use(ended_jobs);
  const [text, set_text] = useState("");
  const rows = useMemo(() => {
    if (!ended) return [];
    meet_accounts(ended.rows.map((row) => row.account));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return ended.rows.filter((row) => {
      const searched = `${row.name} ${row.label} ${row.account} ${row.user} ${row.state} ${row.stays.map((stay) => stay.outcome).join(" ")}`.toLowerCase();
      return words.every((word) => searched.includes(word));
    });
  }, [ended, text]);
  if (!ended) return <Loading />;
  const columns: Column<JobRow>[] = [
    { title: t("ended"), class: "start", cell: (row) => (row.end_ms === null ? "-" : moment(row.end_ms, ended.now_ms)) },
    { title: t("job"), class: "job", cell: (row) => <><JobLink name={row.name}>{row.name}</JobLink> <span class="label">{row.label}</span></> },
    { title: t("team"), class: "team", cell: (row) => <AccountName account={row.account} /> },
    { title: t("user"), class: "user aside", cell: (row) => row.user },
    { title: t("GPUs"), class: "number gpus", cell: (row) => number(row.gpus) },
    { title: t("state"), class: "state-cell", cell: (row) => <StateName state={row.state} /> },
    { title: t("what happened"), class: "why", cell: what_happened },
  ];
  if (rows.every((row) => !row.user)) columns.splice(3, 1);
  return (
    <>
      <div class="controls">
        <label>
          <span>{t("Filter")}</span>
          <input type="search" value={text} placeholder={t("job, team, state, outcome")} onInput={(event) => set_text((event.target as HTMLInputElement).value)} />
        </label>
        <p role="status">{rows.length === ended.rows.length ? t("{0} jobs", number(rows.length)) : t("{0} of {1} jobs", number(rows.length), number(ended.rows.length))}</p>
      </div>
      <LongTable caption={t("Jobs that ended, newest first")} columns={columns} rows={rows} key_of={(row) => row.name} href_of={(row) => "#/job/" + row.name} empty={t("No job.")} />
    </>
  );
}

export function HistoryTab() {
  const me = use(caller);
  const [all, set_all] = useState(true);
  if (!me) return <Loading />;
  return (
    <section class="queue">
      {me.identified ? (
        <div class="controls">
          <div role="group" aria-label={t("What is shown")} class="choice">
            <button type="button" aria-pressed={all} onClick={() => set_all(true)}>
              {t("All events")}
            </button>
            <button type="button" aria-pressed={!all} onClick={() => set_all(false)}>
              {t("Jobs that ended")}
            </button>
          </div>
        </div>
      ) : null}
      {me.identified && all ? <PastEvents /> : <EndedJobs />}
    </section>
  );
}
