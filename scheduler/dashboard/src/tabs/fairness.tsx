// Fairness over time: used against entitled, month by month, as far back as somebody used anything (at most a year).
import { useEffect, useState } from "preact/hooks";
import { ask } from "../feed";
import { percent } from "../format";
import { t } from "../language";
import type { ReportView } from "../messages";
import { AccountName } from "../parts";

const months_most = 12;

function month_before(month: string): string {
  const [year, number] = month.split("-").map(Number);
  return number === 1 ? `${year - 1}-12` : `${year}-${String(number - 1).padStart(2, "0")}`;
}

export function FairnessOverTime({ newest }: { newest: ReportView }) {
  const [older, set_older] = useState<ReportView[]>([]);
  useEffect(() => {
    let wanted = true;
    void (async () => {
      const found: ReportView[] = [];
      for (let month = month_before(newest.month); found.length < months_most - 1; month = month_before(month)) {
        const report = await ask<ReportView>("v1/report?month=" + month);
        if (report.total.used_gpu_ms === 0) break;
        found.unshift(report);
      }
      if (wanted) set_older(found);
    })().catch(() => undefined);
    return () => {
      wanted = false;
    };
  }, [newest.month]);
  if (older.length === 0) return null; // this month stands in the table above
  const months = [...older, newest];
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label={t("Used share by month")}>
      <table class="matrix">
        <caption>{t("Used share by month; behind it what the team is entitled to by the shares of now")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("team")}</th>
            {months.map((report) => (
              <th scope="col" class="number" key={report.month}>
                {report.month}
              </th>
            ))}
            <th scope="col" class="number">{t("entitled")}</th>
          </tr>
        </thead>
        <tbody>
          {newest.accounts.map((one) => (
            <tr key={one.account}>
              <th scope="row">
                <AccountName account={one.account} />
              </th>
              {months.map((report) => {
                const then = report.accounts.find((account) => account.account === one.account);
                return (
                  <td class="number" key={report.month}>
                    {then ? percent(then.used_share_permille) : "-"}
                  </td>
                );
              })}
              <td class="number">{one.entitled_share_permille === null ? "-" : percent(one.entitled_share_permille)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
