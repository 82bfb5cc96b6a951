// What a boost of a waiting job would cost the others: the bill, before anybody asks for it. Nothing is changed by the question.
import { useState } from "preact/hooks";
import { ApiProblem, ask } from "../feed";
import { duration, gpu_hours, moment, number } from "../format";
import { said, t } from "../language";
import type { MovedStart, WhatIfReply } from "../messages";
import { AccountName, JobLink } from "../parts";

function Moved({ caption, moved }: { caption: string; moved: MovedStart[] }) {
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

export function BoostQuestion({ name }: { name: string }) {
  const [reply, set_reply] = useState<WhatIfReply | null>(null);
  const [problem, set_problem] = useState("");
  const [asking, set_asking] = useState(false);
  const ask_it = async () => {
    set_asking(true);
    try {
      set_reply(await ask<WhatIfReply>("v1/whatif", { boost: name }));
      set_problem("");
    } catch (failure) {
      set_problem(failure instanceof ApiProblem ? said(failure.reply.message) : t("The scheduler doesn't answer."));
    }
    set_asking(false);
  };
  return (
    <div class="boost" aria-live="polite">
      <button type="button" class="asks" disabled={asking} onClick={() => void ask_it()}>
        {t("What would a boost of job {0} cost?", name)}
      </button>
      {problem ? <p>{problem}</p> : null}
      {reply ? (
        <>
          <ul class="sentences">
            {reply.sentences.map((sentence) => (
              <li key={sentence}>{said(sentence)}</li>
            ))}
          </ul>
          <p>{t("Displaced: {0} GPU-hours. Nothing was changed.", gpu_hours(reply.displaced_gpu_ms))}</p>
          <Moved caption={t("Would start later")} moved={reply.delayed} />
          <Moved caption={t("Would start sooner")} moved={reply.helped} />
        </>
      ) : null}
    </div>
  );
}
