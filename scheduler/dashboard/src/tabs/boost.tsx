// What a boost of a waiting job would cost the others: the bill, before anybody asks for it. Nothing is changed by the question.
import { useState } from "preact/hooks";
import { ApiProblem, ask } from "../feed";
import { gpu_hours } from "../format";
import { said, t } from "../language";
import type { WhatIfReply } from "../messages";
import { Moved } from "../moved";

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
