// Waste: GPU time of this month that was held for nothing: by attempts that failed, and before and after ranks ran; by team, and by owner.
import { meet_accounts } from "../colours";
import { ended_jobs, report, use } from "../feed";
import { duration, gpu_hours, money, moment, number, percent } from "../format";
import { t } from "../language";
import { AccountName, Figure, JobLink, Loading, Share } from "../parts";
import { outcome_words } from "../words";

interface Failed {
  owner: string;
  account: string;
  jobs: number;
  gpu_ms: number;
}

export function WasteTab() {
  const month = use(report);
  const ended = use(ended_jobs);
  if (!month || !ended) return <Loading />;
  meet_accounts(month.accounts.map((one) => one.account));
  const { total, currency } = month;
  const cost = (gpu_ms: number) => money((gpu_ms / 3_600_000) * month.price_per_gpu_hour_milli, currency);
  const lost = total.failed_gpu_ms + total.idle_gpu_ms;
  const accounts = [...month.accounts].filter((one) => one.used_gpu_ms > 0).sort((a, b) => b.failed_gpu_ms + b.idle_gpu_ms - a.failed_gpu_ms - a.idle_gpu_ms);
  const by_owner = new Map<string, Failed>();
  const failures = ended.rows.flatMap((row) =>
    row.stays
      .filter((stay) => stay.to !== null && stay.to >= month.start_ms && !["succeeded", "cancelled", "preempted", ""].includes(stay.outcome))
      .map((stay) => ({ row, outcome: stay.outcome, to: stay.to ?? 0, gpu_ms: ((stay.to ?? 0) - Math.max(stay.from, month.start_ms)) * stay.nodes.reduce((sum, node) => sum + node.devices.length, 0) })),
  );
  for (const { row, gpu_ms } of failures) {
    const key = row.user + "\n" + row.account;
    const one = by_owner.get(key) ?? { owner: row.user, account: row.account, jobs: 0, gpu_ms: 0 };
    by_owner.set(key, { ...one, jobs: one.jobs + 1, gpu_ms: one.gpu_ms + gpu_ms });
  }
  failures.sort((a, b) => b.gpu_ms - a.gpu_ms);
  return (
    <section class="waste">
      <dl class="figures">
        <Figure title={t("GPU-hours used in {0}", month.month)} value={gpu_hours(total.used_gpu_ms)} />
        <Figure title={t("for nothing")} value={gpu_hours(lost)} of={total.used_gpu_ms ? percent((1000 * lost) / total.used_gpu_ms) : undefined} />
        <Figure title={t("by failed attempts")} value={gpu_hours(total.failed_gpu_ms)} />
        <Figure title={t("held but idle")} value={gpu_hours(total.idle_gpu_ms)} />
        {currency ? <Figure title={t("cost of that")} value={cost(lost)} /> : null}
      </dl>
      <table class="cards">
        <caption>{t("By team, most first")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("team")}</th>
            <th scope="col" class="number">{t("GPU-hours used")}</th>
            <th scope="col" class="number">{t("failed attempts")}</th>
            <th scope="col" class="number">{t("held but idle")}</th>
            <th scope="col">{t("share for nothing")}</th>
            <th scope="col" class="number">{t("failed within 10 minutes")}</th>
            {currency ? <th scope="col" class="number">{t("cost of that")}</th> : null}
          </tr>
        </thead>
        <tbody>
          {accounts.map((one) => {
            const wasted = one.failed_gpu_ms + one.idle_gpu_ms;
            const share = one.used_gpu_ms ? (1000 * wasted) / one.used_gpu_ms : 0;
            return (
              <tr key={one.account} data-account={one.account}>
                <th scope="row">
                  <AccountName account={one.account} />
                </th>
                <td data-title={t("GPU-hours used")} class="number">{gpu_hours(one.used_gpu_ms)}</td>
                <td data-title={t("failed attempts")} class="number">{gpu_hours(one.failed_gpu_ms)}</td>
                <td data-title={t("held but idle")} class="number">{gpu_hours(one.idle_gpu_ms)}</td>
                <td data-title={t("share for nothing")}>
                  <Share permille={share} label={percent(share)} /> <small>{percent(share)}</small>
                </td>
                <td data-title={t("failed within 10 minutes")} class="number">{number(one.jobs_failed_early)}</td>
                {currency ? <td data-title={t("cost of that")} class="number">{cost(wasted)}</td> : null}
              </tr>
            );
          })}
        </tbody>
      </table>
      <div class="columns">
        <table class="cards">
          <caption>{t("Failed attempts by owner")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("owner")}</th>
              <th scope="col">{t("team")}</th>
              <th scope="col" class="number">{t("attempts")}</th>
              <th scope="col" class="number">{t("GPU-hours")}</th>
            </tr>
          </thead>
          <tbody>
            {[...by_owner.values()].sort((a, b) => b.gpu_ms - a.gpu_ms).slice(0, 20).map((one) => (
              <tr key={one.owner + one.account}>
                <th scope="row">{one.owner || "-"}</th>
                <td data-title={t("team")}><AccountName account={one.account} /></td>
                <td data-title={t("attempts")} class="number">{number(one.jobs)}</td>
                <td data-title={t("GPU-hours")} class="number">{gpu_hours(one.gpu_ms)}</td>
              </tr>
            ))}
            {by_owner.size === 0 ? <tr><td colSpan={4}>{t("None.")}</td></tr> : null}
          </tbody>
        </table>
        <table class="cards">
          <caption>{t("Failed attempts that held most")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("job")}</th>
              <th scope="col">{t("team")}</th>
              <th scope="col">{t("outcome")}</th>
              <th scope="col" class="number">{t("GPU-hours")}</th>
              <th scope="col" class="number">{t("ended")}</th>
            </tr>
          </thead>
          <tbody>
            {failures.slice(0, 20).map(({ row, outcome, gpu_ms, to }) => (
              <tr key={row.name + to}>
                <th scope="row"><JobLink name={row.name}>{row.name} {row.label}</JobLink></th>
                <td data-title={t("team")}><AccountName account={row.account} /></td>
                <td data-title={t("outcome")}>{outcome_words(outcome)}</td>
                <td data-title={t("GPU-hours")} class="number">{gpu_hours(gpu_ms)}</td>
                <td data-title={t("ended")} class="number" title={duration(ended.now_ms - to)}>{moment(to, ended.now_ms)}</td>
              </tr>
            ))}
            {failures.length === 0 ? <tr><td colSpan={5}>{t("None.")}</td></tr> : null}
          </tbody>
        </table>
      </div>
    </section>
  );
}
