// What happened in the cluster, newest first, in the scheduler's words: a page at a time, and what is new on top of it.
import { useEffect, useMemo, useState } from "preact/hooks";
import { meet_accounts } from "../colours";
import { ask, use_path } from "../feed";
import { moment, moment_in_full, number } from "../format";
import { said, t } from "../language";
import { LongTable, type Column } from "../long_table";
import type { PastList, PastView } from "../messages";
import { AccountName, JobLink, Loading } from "../parts";

const bad = ["gang_failed", "gang_stalled", "node_unreachable", "node_lost", "reject_job"];
const key_of = (event: PastView) => `${event.sequence} ${event.type} ${event.job_name} ${event.node}`;

export function PastEvents() {
  const { value: newest } = use_path<PastList>("v1/history?limit=200", 15_000);
  const [kept, keep] = useState<PastView[]>([]); // newest first
  const [before, set_before] = useState<number | null | undefined>(undefined); // undefined: nothing older was asked for
  const [asking, set_asking] = useState(false);
  const [text, set_text] = useState("");
  useEffect(() => {
    if (!newest) return;
    const last = newest.events[newest.events.length - 1]?.sequence ?? 0;
    const overlaps = kept.length === 0 || kept[0].sequence >= last;
    // Where much has happened meanwhile there is a gap: what is older is asked for again.
    keep(overlaps ? [...newest.events, ...kept.filter((event) => event.sequence < last)] : newest.events);
    if (!overlaps) set_before(undefined);
  }, [newest]);
  const rows = useMemo(() => {
    meet_accounts(kept.map((event) => event.account).filter(Boolean));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return kept.filter((event) => {
      const searched = `${event.job_name} ${event.label} ${event.account} ${event.node} ${event.actor} ${event.sentence} ${said(event.sentence)}`.toLowerCase();
      return words.every((word) => searched.includes(word));
    });
  }, [kept, text]);
  if (!newest) return <Loading />;
  const next = before === undefined ? newest.before : before;
  const ask_older = async () => {
    if (next === null || asking) return;
    set_asking(true);
    try {
      const older = await ask<PastList>(`v1/history?limit=500&before=${next}`);
      keep((now) => [...now, ...older.events]);
      set_before(older.before);
    } catch {
      // The head of the page says that the scheduler doesn't answer; the button stays.
    }
    set_asking(false);
  };
  const columns: Column<PastView>[] = [
    { title: t("when"), class: "start", cell: (event) => <time dateTime={new Date(event.at_ms).toISOString()} title={moment_in_full(event.at_ms)}>{moment(event.at_ms, newest.now_ms)}</time> },
    { title: t("about"), class: "job", cell: (event) => (event.job_name ? <><JobLink name={event.job_name}>{event.job_name}</JobLink> <span class="label">{event.label}</span></> : event.node || t("the cluster")) },
    { title: t("team"), class: "team", cell: (event) => (event.account ? <AccountName account={event.account} /> : "") },
    { title: t("what happened"), class: "why", cell: (event) => <span class={bad.includes(event.type) ? "bad" : undefined} title={said(event.sentence)}>{said(event.sentence)}</span> },
  ];
  return (
    <>
      <div class="controls">
        <label>
          <span>{t("Filter")}</span>
          <input type="search" value={text} placeholder={t("job, team, node, person")} onInput={(event) => set_text((event.target as HTMLInputElement).value)} />
        </label>
        <p role="status">{rows.length === kept.length ? t("{0} events", number(rows.length)) : t("{0} of {1} events", number(rows.length), number(kept.length))}</p>
      </div>
      <LongTable caption={t("What happened in the cluster, newest first")} columns={columns} rows={rows} key_of={key_of} href_of={(event) => (event.job_name ? "#/job/" + event.job_name : "#/nodes")} empty={t("Nothing.")} />
      {next !== null ? (
        <p>
          <button type="button" aria-disabled={asking} onClick={() => void ask_older()}>
            {t("Show what is older")}
          </button>
        </p>
      ) : null}
    </>
  );
}
