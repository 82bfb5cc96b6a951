// Teams: what each is entitled to and used this month, what it waits for, what it cost; who waited for whom.
import { useMemo } from "preact/hooks";
import { meet_accounts } from "../colours";
import { jobs, report, use, waits as wait_roll_up } from "../feed";
import { duration, gpu_hours, money, number, percent } from "../format";
import { is_active, waits } from "../jobs";
import { said, t } from "../language";
import type { WaitRollUp } from "../messages";
import { AccountName, Loading, Share } from "../parts";
import { cause_words } from "../words";
import { FairnessOverTime } from "./fairness";

function WhoWaited({ roll_up }: { roll_up: WaitRollUp }) {
  const columns = useMemo(() => {
    const totals = new Map<string, number>();
    for (const account of roll_up.accounts)
      for (const row of account.rows) {
        const key = row.for_account ? "account:" + row.for_account : "cause:" + row.cause;
        totals.set(key, (totals.get(key) ?? 0) + row.gpu_ms);
      }
    return [...totals].sort((a, b) => b[1] - a[1]).map(([key]) => key);
  }, [roll_up]);
  const most = Math.max(1, ...roll_up.accounts.flatMap((account) => account.rows.map((row) => row.gpu_ms)));
  const title = (key: string) => (key.startsWith("account:") ? key.slice(8) : cause_words(key.slice(6)));
  return (
    <>
      <div class="scrolls" tabIndex={0} role="region" aria-label={t("Who waited for whom")}>
        <table class="matrix">
          <caption>{t("Who waited for whom this month, in GPU-hours: a row waited, a column is what for")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("team")}</th>
              {columns.map((key) => (
                <th scope="col" class="number" key={key}>
                  {title(key)}
                </th>
              ))}
              <th scope="col" class="number">{t("sum")}</th>
            </tr>
          </thead>
          <tbody>
            {roll_up.accounts.map((account) => (
              <tr key={account.account}>
                <th scope="row">
                  <AccountName account={account.account} />
                </th>
                {columns.map((key) => {
                  const cell = account.rows.filter((row) => (row.for_account ? "account:" + row.for_account : "cause:" + row.cause) === key).reduce((sum, row) => sum + row.gpu_ms, 0);
                  const level = cell ? 1 + Math.min(3, Math.floor((4 * cell) / most)) : 0;
                  return (
                    <td key={key} class={`number level-${level}`}>
                      {cell ? gpu_hours(cell) : "·"}
                    </td>
                  );
                })}
                <td class="number">{gpu_hours(account.gpu_ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ul class="sentences">
        {roll_up.accounts.flatMap((account) => account.text.slice(0, 2).map((text) => <li key={account.account + text}>{said(text)}</li>))}
      </ul>
    </>
  );
}

export function TeamsTab() {
  const month = use(report);
  const all = use(jobs);
  const roll_up = use(wait_roll_up);
  if (!month || !all || !roll_up) return <Loading />;
  meet_accounts([...month.accounts.map((one) => one.account), ...all.rows.map((row) => row.account)]);
  const gpus_now = new Map<string, [number, number]>();
  for (const row of all.rows) {
    const sums = gpus_now.get(row.account) ?? [0, 0];
    if (is_active(row)) sums[0] += row.gpus;
    else if (waits(row)) sums[1] += row.gpus;
    gpus_now.set(row.account, sums);
  }
  return (
    <section class="teams">
      <table class="cards">
        <caption>{t("Teams in {0}: what each is entitled to, and what it used", month.month)}</caption>
        <thead>
          <tr>
            <th scope="col">{t("team")}</th>
            <th scope="col" class="number">{t("entitled")}</th>
            <th scope="col" class="number">{t("used")}</th>
            <th scope="col">{t("used against entitled")}</th>
            <th scope="col" class="number">{t("GPU-hours")}</th>
            <th scope="col" class="number">{t("GPUs in use")}</th>
            <th scope="col" class="number">{t("waited for")}</th>
            <th scope="col" class="number">{t("median wait")}</th>
            <th scope="col" class="number">{t("completed")}</th>
            <th scope="col" class="number">{t("failed")}</th>
            {month.currency ? <th scope="col" class="number">{t("cost")}</th> : null}
          </tr>
        </thead>
        <tbody>
          {month.accounts.map((one) => {
            const [running, waiting] = gpus_now.get(one.account) ?? [0, 0];
            const entitled = one.entitled_share_permille;
            return (
              <tr key={one.account} data-account={one.account}>
                <th scope="row" class={`depth-${Math.min(3, one.depth)}`}>
                  <AccountName account={one.account} />
                </th>
                <td data-title={t("entitled")} class="number">{entitled === null ? "-" : percent(entitled)}</td>
                <td data-title={t("used")} class="number">{percent(one.used_share_permille)}</td>
                <td data-title={t("used against entitled")}>
                  <Share permille={one.used_share_permille} mark={entitled} label={t("used {0}, entitled to {1}", percent(one.used_share_permille), entitled === null ? "-" : percent(entitled))} />
                </td>
                <td data-title={t("GPU-hours")} class="number">{gpu_hours(one.used_gpu_ms)}</td>
                <td data-title={t("GPUs in use")} class="number">{number(running)}</td>
                <td data-title={t("waited for")} class="number">{number(waiting)}</td>
                <td data-title={t("median wait")} class="number">{one.median_wait_ms === null ? "-" : duration(one.median_wait_ms)}</td>
                <td data-title={t("completed")} class="number">{number(one.jobs_completed)}</td>
                <td data-title={t("failed")} class="number">{number(one.jobs_failed)}</td>
                {month.currency ? <td data-title={t("cost")} class="number">{money(one.cost_milli, month.currency)}</td> : null}
              </tr>
            );
          })}
        </tbody>
      </table>
      <FairnessOverTime newest={month} />
      <WhoWaited roll_up={roll_up} />
    </section>
  );
}
