// What the caller may do to jobs and nodes: buttons that open a dialog, which says what would happen and asks once more. Whether it may be done is for
// the scheduler to say, and its refusals are shown in its words; a button is left out only where the caller's roles never allow it.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { announce } from "./announce";
import { ApiProblem, ask, caller, use, use_path } from "./feed";
import { gpu_hours } from "./format";
import { has_ended, is_active, type JobRow } from "./jobs";
import { said, t } from "./language";
import type { CallerView, ErrorReply, FavourReply, NodeView, WayView, WhyReply } from "./messages";
import { Moved } from "./moved";
import { Loading } from "./parts";

type Act = "cancel" | "hold" | "release" | "requeue" | "boost";

/// The English of each: the button, what the dialog asks, what was done.
const act_words: Record<Act, { button: string; question: string; meaning: string; done: string }> = {
  cancel: { button: "Cancel", question: "Cancel job {0}?", meaning: "It never runs, or is stopped.", done: "Job {0} is cancelled." },
  hold: { button: "Hold", question: "Hold job {0}?", meaning: "It waits until it is released.", done: "Job {0} is held." },
  release: { button: "Release", question: "Release job {0}?", meaning: "It takes part in the queue again.", done: "Job {0} is released." },
  requeue: { button: "Requeue", question: "Stop job {0} and queue it again?", meaning: "What it did since its last checkpoint is lost.", done: "Job {0} is stopped and queued again." },
  boost: { button: "Boost", question: "Put job {0} ahead of all others?", meaning: "First the bill: who would start later for it.", done: "Job {0} is boosted." },
};

const is_one_of = (me: CallerView, ...roles: string[]) => roles.some((role) => me.roles.includes(role));
const is_own = (me: CallerView, row: JobRow) => row.user !== "" && row.user === me.user && is_one_of(me, "user", "lead", "admin");
export const may_change = (me: CallerView | null, row: JobRow) => me !== null && me.identified && (is_own(me, row) || is_one_of(me, "admin", "lead"));
export const is_admin = (me: CallerView | null) => me !== null && me.identified && is_one_of(me, "admin");

function acts_on(me: CallerView | null, row: JobRow): Act[] {
  if (!me?.identified) return [];
  const acts: Act[] = [];
  if (may_change(me, row)) {
    if (row.state === "queued") acts.push("hold");
    if (row.state === "held") acts.push("release");
    if (is_active(row) && row.state !== "stopping") acts.push("requeue");
    if (!has_ended(row)) acts.push("cancel");
  }
  if (row.state === "queued" && is_one_of(me, "manager", "admin")) acts.push("boost");
  return acts;
}

const problem_of = (failure: unknown): ErrorReply =>
  failure instanceof ApiProblem ? failure.reply : { code: "", field: "", message: t("The scheduler doesn't answer."), remedy: "" };

/// What the scheduler said no to, in its words.
function Refusal({ problem }: { problem: ErrorReply | null }) {
  if (!problem) return null;
  const sentence = (text: string) => (text ? said(text[0].toUpperCase() + text.slice(1)) + (/[.?!]$/.test(text) ? "" : ".") : "");
  return (
    <p role="alert" class="refusal">
      {sentence(problem.message)} {sentence(problem.remedy)}
    </p>
  );
}

/// A dialog over the page. The keyboard stays in it; Escape closes it and goes back to where it was opened.
export function Dialog({ title, on_close, children }: { title: string; on_close: () => void; children: preact.ComponentChildren }) {
  const place = useRef<HTMLDialogElement>(null);
  const title_id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    const dialog = place.current;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <dialog
      ref={place}
      aria-labelledby={title_id}
      onCancel={(event) => {
        event.preventDefault();
        on_close();
      }}
    >
      <h2 id={title_id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface Question {
  confirm: string; // on the button
  run: (reason: string) => Promise<unknown>;
  on_done: () => void;
  on_back: () => void;
  on_refused?: (problem: ErrorReply) => boolean; // whether it was taken care of
  reason?: "asked" | "needed";
  children?: preact.ComponentChildren;
}

/// The end of every dialog: a reason where one is wanted, yes and no, and what was refused.
function Confirmation({ confirm, run, on_done, on_back, on_refused, reason, children }: Question) {
  const [text, set_text] = useState("");
  const [problem, set_problem] = useState<ErrorReply | null>(null);
  const [busy, set_busy] = useState(false);
  const first = useRef<HTMLElement>(null);
  useEffect(() => first.current?.focus(), []);
  const confirmed = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    set_busy(true);
    set_problem(null);
    try {
      await run(text.trim());
      on_done();
    } catch (failure) {
      const refusal = problem_of(failure);
      if (!on_refused?.(refusal)) set_problem(refusal);
      set_busy(false);
    }
  };
  return (
    <form onSubmit={(event) => void confirmed(event)}>
      {children}
      {reason ? (
        <label class="reason">
          <span>{reason === "needed" ? t("Reason, for those whom it concerns") : t("Reason (may be left out)")}</span>
          <input type="text" ref={first as preact.RefObject<HTMLInputElement>} value={text} maxLength={200} required={reason === "needed"} onInput={(event) => set_text((event.target as HTMLInputElement).value)} />
        </label>
      ) : null}
      <Refusal problem={problem} />
      <p class="answers">
        <button type="submit" class="asks" ref={reason ? undefined : (first as preact.RefObject<HTMLButtonElement>)} aria-disabled={busy}>
          {confirm}
        </button>
        <button type="button" onClick={on_back}>
          {t("Leave it")}
        </button>
      </p>
    </form>
  );
}

/// A favour: asked for with a reason, then its bill, and only with the token of that bill is it granted.
function FavourQuestion({ act, name, on_done, on_back }: { act: Act; name: string; on_done: () => void; on_back: () => void }) {
  const [offer, set_offer] = useState<{ reason: string; reply: FavourReply } | null>(null);
  if (!offer)
    return (
      <Confirmation
        key="reason"
        confirm={t("Show the bill")}
        reason="needed"
        run={async (reason) => set_offer({ reason, reply: await ask<FavourReply>("v1/favours", { favour: act, job: name, reason }) })}
        on_done={() => undefined}
        on_back={on_back}
      >
        <p>{t("Others may start later for it. Nothing is changed before you have seen by how much.")}</p>
      </Confirmation>
    );
  const { reply, reason } = offer;
  return (
    <Confirmation
      key={reply.token}
      confirm={t("Grant it")}
      run={() => ask("v1/favours", { favour: act, job: name, reason, token: reply.token })}
      on_done={on_done}
      on_back={on_back}
    >
      <ul class="sentences bill">
        {reply.sentences.map((sentence) => (
          <li key={sentence}>{said(sentence)}</li>
        ))}
      </ul>
      <p>{t("Displaced: {0} GPU-hours.", gpu_hours(reply.bill.displaced_gpu_ms))}</p>
      <Moved caption={t("Would start later")} moved={reply.bill.delayed} />
      <Moved caption={t("Would start sooner")} moved={reply.bill.helped} />
    </Confirmation>
  );
}

function ActQuestion({ act, name, on_end }: { act: Act; name: string; on_end: () => void }) {
  const [wants_bill, set_wants_bill] = useState(act === "boost");
  const done = () => {
    announce(t(act_words[act].done, name));
    on_end();
  };
  if (wants_bill) return <FavourQuestion act={act} name={name} on_done={done} on_back={on_end} />;
  return (
    <Confirmation
      confirm={t(act_words[act].button)}
      reason={act === "hold" ? "asked" : undefined}
      run={(reason) => ask(`v1/jobs/${name}/${act}`, act === "hold" ? { reason } : {})}
      on_done={done}
      on_back={on_end}
      on_refused={(problem) => {
        const is_favour = problem.code === "conflict" && problem.field === "token";
        if (is_favour) set_wants_bill(true);
        return is_favour;
      }}
    >
      <p>{t(act_words[act].meaning)}</p>
    </Confirmation>
  );
}

/// The buttons of a job, for whoever may use them.
export function JobActions({ row }: { row: JobRow }) {
  const me = use(caller);
  const [open, set_open] = useState<Act | null>(null);
  const acts = acts_on(me, row);
  if (acts.length === 0 && open === null) return null;
  return (
    <div class="actions" role="group" aria-label={t("Actions on job {0}", row.name)}>
      {acts.map((act) => (
        <button type="button" key={act} data-act={act} onClick={() => set_open(act)}>
          {t(act_words[act].button)}
        </button>
      ))}
      {open ? (
        <Dialog title={t(act_words[open].question, `${row.name} ${row.label}`.trim())} on_close={() => set_open(null)}>
          <ActQuestion act={open} name={row.name} on_end={() => set_open(null)} />
        </Dialog>
      ) : null}
    </div>
  );
}

/// What would let a job start sooner; whoever may change it takes one of the offers.
export function Ways({ row, reply }: { row: JobRow; reply: WhyReply }) {
  const me = use(caller);
  const [open, set_open] = useState<WayView | null>(null);
  if (reply.ways.length === 0 && open === null) return <p>{said(reply.no_way)}</p>;
  return (
    <>
      <ol class="sentences ways">
        {reply.ways.map((way) => (
          <li key={way.number}>
            {said(way.sentence)}{" "}
            {may_change(me, row) ? (
              <button type="button" data-way={way.number} onClick={() => set_open(way)}>
                {t("Change it so")}
              </button>
            ) : null}
          </li>
        ))}
      </ol>
      {open ? (
        <Dialog title={t("Change job {0}?", `${row.name} ${row.label}`.trim())} on_close={() => set_open(null)}>
          <Confirmation
            confirm={t("Change it so")}
            run={() => ask(`v1/jobs/${row.name}/edit`, Object.fromEntries(Object.entries(open.change).filter(([, value]) => value !== null)))}
            on_done={() => {
              announce(t("Job {0} is changed; its age in the queue stays.", row.name));
              set_open(null);
            }}
            on_back={() => set_open(null)}
          >
            <p>{said(open.sentence)}</p>
            <p>{t("Its age in the queue stays.")}</p>
          </Confirmation>
        </Dialog>
      ) : null}
    </>
  );
}

function WhyInFull({ row }: { row: JobRow }) {
  const { value: why } = use_path<WhyReply>(`v1/jobs/${row.name}/why`, 30_000);
  if (!why) return <Loading />;
  return (
    <>
      <ul class="sentences">
        {(why.reasons.length ? why.reasons : [why.why]).map((sentence) => (
          <li key={sentence}>{said(sentence)}</li>
        ))}
      </ul>
      <h3>{t("What would let it start sooner")}</h3>
      <Ways row={row} reply={why} />
    </>
  );
}

/// Whether there is anything for the caller to do with a job.
export const has_actions = (me: CallerView | null, row: JobRow) => acts_on(me, row).length > 0;

/// In a list: the button that opens all there is to do with the job of this row.
export const RowActions = ({ row, open }: { row: JobRow; open: () => void }) => (
  <button type="button" class="row-actions" aria-label={t("Actions on job {0}", row.name)} title={t("Actions on job {0}", row.name)} onClick={open}>
    ⋯
  </button>
);

export function JobDialog({ row, on_close }: { row: JobRow; on_close: () => void }) {
  return (
    <Dialog title={`${t("Job {0}", row.name)} ${row.label}`} on_close={on_close}>
      <JobActions row={row} />
      {row.state === "queued" ? <WhyInFull row={row} /> : null}
      <p class="answers">
        <button type="button" onClick={on_close}>
          {t("Close")}
        </button>
      </p>
    </Dialog>
  );
}

/// Drain or resume a node, for admins.
export function NodeActions({ view }: { view: NodeView }) {
  const me = use(caller);
  const [open, set_open] = useState<"drain" | "resume" | null>(null);
  if (!is_admin(me)) return null;
  const { config, drain } = view.node;
  const act = drain ? "resume" : "drain";
  const words =
    open === "resume"
      ? { question: "Let node {0} take jobs again?", meaning: "Its drain ends at once.", confirm: "Resume", done: "Node {0} takes jobs again." }
      : { question: "Drain node {0}?", meaning: "It takes no new jobs; what runs there finishes.", confirm: "Drain", done: "Node {0} takes no new jobs." };
  return (
    <>
      <button type="button" data-act={act} aria-label={t(act === "drain" ? "Drain node {0}" : "Resume node {0}", config.name)} onClick={() => set_open(act)}>
        {t(act === "drain" ? "Drain" : "Resume")}
      </button>
      {open ? (
        <Dialog title={t(words.question, config.name)} on_close={() => set_open(null)}>
          <Confirmation
            confirm={t(words.confirm)}
            reason={open === "drain" ? "needed" : undefined}
            run={(reason) => ask(`v1/nodes/${open}`, open === "drain" ? { nodes: [config.name], reason } : { nodes: [config.name] })}
            on_done={() => {
              announce(t(words.done, config.name));
              set_open(null);
            }}
            on_back={() => set_open(null)}
          >
            <p>{t(words.meaning)}</p>
          </Confirmation>
        </Dialog>
      ) : null}
    </>
  );
}
