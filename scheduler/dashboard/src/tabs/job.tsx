// One job: what it is, why it waits and what it waited for, its ranks, loss and throughput, output, price, and what happened to it.
import { useEffect, useState } from "preact/hooks";
import { JobActions, Ways } from "../actions";
import { meet_accounts } from "../colours";
import { caller, ended_jobs, jobs, nodes, use, use_path } from "../feed";
import { duration, gpu_hours, moment_in_full, money, number } from "../format";
import { has_ended, is_active, node_names, row_of, waits, type JobRow } from "../jobs";
import { said, t } from "../language";
import type { EventList, JobPrice, JobView, ProgressList, WaitsOfJob, WhyReply } from "../messages";
import { AccountName, Loading, Share, StateName } from "../parts";
import { BoostQuestion } from "./boost";
import { Output } from "./output";

type ChartComponent = typeof import("../chart").default;

function Facts({ row, now }: { row: JobRow; now: number }) {
  const facts: [string, preact.ComponentChildren][] = [
    [t("state"), <StateName state={row.state} />],
    [t("team"), <AccountName account={row.account} />],
    [t("user"), row.user],
    [t("GPUs"), number(row.gpus)],
    [waits(row) ? t("planned nodes") : t("nodes"), node_names(row.nodes) || "-"],
    [t("submitted"), moment_in_full(row.submitted_ms)],
    [waits(row) ? t("planned start") : t("start"), row.start_ms === null ? "-" : moment_in_full(row.start_ms)],
    [has_ended(row) ? t("ended") : t("ends at the latest"), row.end_ms === null ? "-" : moment_in_full(row.end_ms)],
    [t("time limit"), duration(row.limit_ms)],
    [t("attempts"), number(row.stays.length)],
  ];
  const used = is_active(row) && row.start_ms !== null ? Math.min(1000, (1000 * (now - row.start_ms)) / row.limit_ms) : null;
  return (
    <>
      <dl class="facts">
        {facts.filter(([, value]) => value !== "").map(([title, value]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {used !== null ? <p class="used">{t("{0} of its time limit has passed.", number(used / 10, 0) + " %")} <Share permille={used} label={t("time limit")} /></p> : null}
    </>
  );
}

function Waiting({ row }: { row: JobRow }) {
  const { name } = row;
  const { value: why } = use_path<WhyReply>(`v1/jobs/${name}/why`, 30_000);
  if (!why) return null;
  return (
    <section>
      <h2>{t("Why it waits")}</h2>
      <ul class="sentences">
        {(why.reasons.length ? why.reasons : [why.why]).map((sentence) => (
          <li key={sentence}>{said(sentence)}</li>
        ))}
      </ul>
      <h2>{t("What would let it start sooner")}</h2>
      <Ways row={row} reply={why} />
      <BoostQuestion name={name} />
    </section>
  );
}

function Waited({ name }: { name: string }) {
  const { value } = use_path<WaitsOfJob>(`v1/jobs/${name}/waits`, 30_000);
  if (!value || (value.wait_ms < 1000 && value.overtaking.length === 0)) return null;
  return (
    <section>
      <h2>{t("What it waited for: {0}", duration(value.wait_ms))}</h2>
      <ul class="sentences">
        {value.parts.filter((part) => part.details.time_ms >= 1000).map((part) => (
          <li key={part.text}>{duration(part.details.time_ms)}: {said(part.text)}</li>
        ))}
        {value.overtaking.map((sentence) => (
          <li key={sentence}>{said(sentence)}</li>
        ))}
      </ul>
    </section>
  );
}

function Price({ name }: { name: string }) {
  const { value } = use_path<JobPrice>(`v1/jobs/${name}/price`, 30_000);
  if (!value) return null;
  return (
    <p>
      {t("{0} GPU-hours so far", gpu_hours(value.held_gpu_ms))}
      {value.currency ? `: ${money(value.cost_milli, value.currency)}` : ""}
      {value.ended ? "" : `; ${t("at most {0}", value.currency ? money(value.at_most_milli, value.currency) : gpu_hours(value.at_most_gpu_ms))}`}
    </p>
  );
}

function Events({ name }: { name: string }) {
  const { value } = use_path<EventList>(`v1/jobs/${name}/events`, 30_000);
  if (!value) return null;
  return (
    <section>
      <h2>{t("What happened")}</h2>
      <ol class="events">
        {value.events.slice().reverse().map((event) => (
          <li key={event.sequence}>
            <time dateTime={new Date(event.at_ms).toISOString()}>{moment_in_full(event.at_ms)}</time> {said(event.sentence)}
          </li>
        ))}
      </ol>
    </section>
  );
}

/// Loss and throughput since the job began, or the scheduler did.
function Training({ view, name }: { view: JobView; name: string }) {
  const [Chart, set_chart] = useState<ChartComponent | null>(null);
  const { value: past } = use_path<ProgressList>(view.details.attempts?.length ? `v1/jobs/${name}/progress` : null, view.progress ? 2_000 : 60_000);
  const points = past?.points ?? [];
  const has_points = points.length > 0;
  useEffect(() => {
    if (has_points && !Chart) void import("../chart").then((module) => set_chart(() => module.default));
  }, [has_points]);
  if (!has_points) return view.progress?.phase ? <p>{view.progress.phase}</p> : null;
  const xs = points.map((point) => point.at_ms / 1000);
  return (
    <section>
      <h2>{t("Training: step {0}", number(points[points.length - 1].step))}</h2>
      {Chart ? (
        <div class="columns">
          <Chart title={t("loss")} xs={xs} ys={points.map((point) => point.loss)} digits={3} />
          <Chart title={t("tokens per second")} xs={xs} ys={points.map((point) => point.tokens_per_s)} digits={0} />
        </div>
      ) : null}
    </section>
  );
}

function Ranks({ view, row }: { view: JobView; row: JobRow }) {
  const list = use(nodes);
  const attempt = view.details.attempts?.[view.details.attempts.length - 1];
  if (!attempt) return null;
  const results = new Map((attempt.gangs?.[0]?.ranks ?? []).map((rank) => [rank.rank, rank]));
  const places = row.nodes.flatMap(({ node, devices }) => devices.map((device) => ({ node, device })));
  return (
    <section>
      <h2>{t("Ranks and their GPUs")}</h2>
      <div class="scrolls" tabIndex={0} role="region" aria-label={t("Ranks and their GPUs")}>
        <table>
          <thead>
            <tr>
              <th scope="col" class="number">{t("GPU of the job")}</th>
              <th scope="col">{t("node")}</th>
              <th scope="col" class="number">{t("GPU")}</th>
              <th scope="col">{t("busy")}</th>
              <th scope="col">{t("ended")}</th>
            </tr>
          </thead>
          <tbody>
            {places.map(({ node, device }, i) => {
              const result = results.get(i);
              const busy = result ? result.device_utilization_permille : (list?.nodes.find((one) => one.node.config.name === node)?.device_utilization_permille[device] ?? 0);
              return (
                <tr key={`${node} ${device}`}>
                  <td class="number">{i}</td>
                  <td>{node}</td>
                  <td class="number">{device}</td>
                  <td>
                    <Share permille={busy} label={t("{0} % busy", Math.round(busy / 10))} /> <small>{Math.round(busy / 10)} %</small>
                  </td>
                  <td>{result ? (result.signal ? t("signal {0}", result.signal) : t("exit code {0}", result.exit_code)) : "-"}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function KnownJob({ name }: { name: string }) {
  const { value: view, problem } = use_path<JobView>(`v1/jobs/${name}`, 2_000);
  if (problem) return <p role="alert">{said(problem.message)}. {said(problem.remedy)}</p>;
  if (!view) return <Loading />;
  const row = row_of(view);
  const now = Date.now();
  meet_accounts([row.account]);
  const failure = view.details.attempts?.[view.details.attempts.length - 1]?.failure;
  return (
    <div class="job-page">
      <h2 class="job-title">{t("Job {0}", name)} {row.label}</h2>
      <JobActions row={row} />
      <Facts row={row} now={now} />
      <Price name={name} />
      {failure && has_ended(row) ? (
        <section>
          <h2>{t("Why it failed")}</h2>
          <p>{said(failure.detail)}</p>
          {failure.last_lines?.length ? <pre class="output" tabIndex={0} aria-label={t("Its last lines")}>{failure.last_lines.join("\n")}</pre> : null}
        </section>
      ) : null}
      {row.state === "queued" ? <Waiting row={row} /> : row.why ? <p>{said(row.why)}</p> : null}
      <Training view={view} name={name} />
      {row.stays.length > 0 && !waits(row) ? <Ranks view={view} row={row} /> : null}
      {row.stays.length > 0 ? <Output name={name} ranks={row.gpus} live={is_active(row)} /> : null}
      <Waited name={name} />
      <Events name={name} />
    </div>
  );
}

function JobFromList({ name }: { name: string }) {
  const all = use(jobs);
  const ended = use(ended_jobs);
  if (!all || !ended) return <Loading />;
  const row = all.rows.find((one) => one.name === name) ?? ended.rows.find((one) => one.name === name);
  if (!row) return <p role="alert">{t("There is no job {0}.", name)}</p>;
  meet_accounts([row.account]);
  return (
    <div class="job-page">
      <h2 class="job-title">{t("Job {0}", name)} {row.label}</h2>
      <Facts row={row} now={all.now_ms} />
      {row.why ? (
        <section>
          <h2>{t("Why it waits")}</h2>
          <p>{said(row.why)}</p>
        </section>
      ) : null}
      {row.step !== null ? <p>{t("Step {0}, loss {1}, {2} tokens per second", number(row.step), number(row.loss ?? 0, 3), number(row.tokens_per_s ?? 0))}</p> : null}
    </div>
  );
}

export function JobTab({ name }: { name: string }) {
  const me = use(caller);
  if (!/^\d+(_\d+)?$/.test(name)) return <p role="alert">{t("There is no job {0}.", name)}</p>;
  if (!me) return <Loading />;
  return me.identified ? <KnownJob name={name} /> : <JobFromList name={name} />;
}

