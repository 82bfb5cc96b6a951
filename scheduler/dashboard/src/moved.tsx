// Whose planned starts a change moves, and by how much.
import { duration, moment, number } from "./format";
import { t } from "./language";
import type { MovedStart } from "./messages";
import { AccountName, JobLink } from "./parts";

export function Moved({ caption, moved }: { caption: string; moved: MovedStart[] }) {
  if (moved.length === 0) return null;
  const now = Date.now();
  return (
    <table class="cards">
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col">{t("job")}</th>
          <th scope="col">{t("team")}</th>
          <th scope="col" class="number">{t("GPUs")}</th>
          <th scope="col" class="number">{t("planned start")}</th>
          <th scope="col" class="number">{t("then")}</th>
          <th scope="col" class="number">{t("difference")}</th>
        </tr>
      </thead>
      <tbody>
        {moved.slice(0, 50).map((one) => {
          const by = one.before_ms && one.after_ms ? one.after_ms - one.before_ms : null;
          return (
            <tr key={one.job}>
              <th scope="row"><JobLink name={String(one.job)} /></th>
              <td data-title={t("team")}><AccountName account={one.account} /></td>
              <td data-title={t("GPUs")} class="number">{number(one.gpus)}</td>
              <td data-title={t("planned start")} class="number">{one.before_ms ? moment(one.before_ms, now) : "-"}</td>
              <td data-title={t("then")} class="number">{one.after_ms ? moment(one.after_ms, now) : "-"}</td>
              <td data-title={t("difference")} class="number">{by === null ? "-" : t(by > 0 ? "{0} later" : "{0} sooner", duration(Math.abs(by)))}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
