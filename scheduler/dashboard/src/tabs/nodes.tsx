// Nodes: what state each is in and since when, why it is drained and by whom, what its GPUs do.
import { is_admin, NodeActions } from "../actions";
import { caller, jobs, nodes, use } from "../feed";
import { duration, moment, number } from "../format";
import { said, t } from "../language";
import type { NodeView } from "../messages";
import { JobLink, Loading, Share, StateName } from "../parts";

const sum = (values: (number | null | undefined)[]) => values.reduce<number>((total, value) => total + (value ?? 0), 0);
const highest = (values: (number | null | undefined)[]) => {
  const known = values.filter((value): value is number => typeof value === "number");
  return known.length ? Math.max(...known) : null;
};

function remark(view: NodeView, now: number): string {
  const parts: string[] = [];
  const { drain, lost } = view.node;
  if (drain) parts.push(drain.actor.name ? t("{0} ({1}, since {2})", said(drain.reason), drain.actor.name, moment(drain.since_ms, now)) : t("{0} (since {1})", said(drain.reason), moment(drain.since_ms, now)));
  if (lost) parts.push(t("declared lost: {0}", said(lost.reason)));
  const broken = sum(view.devices.map((device) => device.ecc_uncorrected));
  if (broken > 0) parts.push(t("{0} uncorrected memory errors", number(broken)));
  return parts.join("; ");
}

export function NodesTab() {
  const list = use(nodes);
  const all = use(jobs);
  const manages = is_admin(use(caller));
  if (!list || !all) return <Loading />;
  const names = new Map(all.rows.map((row) => [row.job, row.name]));
  const now = list.now_ms;
  const hot = list.nodes.some((view) => highest(view.devices.map((device) => device.temperature_celsius)) !== null);
  const power = list.nodes.some((view) => highest(view.devices.map((device) => device.power_milliwatts)) !== null);
  return (
    <section>
      <table class="nodes cards">
        <caption>{t("{0} nodes, {1} of them up", number(list.nodes.length), number(list.nodes.filter((view) => view.node.state === "up").length))}</caption>
        <thead>
          <tr>
            <th scope="col">{t("node")}</th>
            <th scope="col">{t("state")}</th>
            <th scope="col">{t("since")}</th>
            <th scope="col">{t("GPUs")}</th>
            <th scope="col" class="number">{t("in use")}</th>
            <th scope="col">{t("busy")}</th>
            {hot ? <th scope="col" class="number">{t("hottest")}</th> : null}
            {power ? <th scope="col" class="number">{t("power")}</th> : null}
            <th scope="col">{t("jobs")}</th>
            <th scope="col" class="number">{t("heard")}</th>
            <th scope="col">{t("remark")}</th>
            {manages ? <th scope="col">{t("actions")}</th> : null}
          </tr>
        </thead>
        <tbody>
          {list.nodes.map((view) => {
            const { config, state, since_ms } = view.node;
            const busy = view.device_utilization_permille.length ? sum(view.device_utilization_permille) / view.device_utilization_permille.length : 0;
            const held_by = [...new Set(view.device_jobs.filter((job): job is number => job !== null))];
            const temperature = highest(view.devices.map((device) => device.temperature_celsius));
            return (
              <tr key={config.name} data-node={config.name}>
                <th scope="row">{config.name}</th>
                <td data-title={t("state")}>
                  <StateName state={state} />
                </td>
                <td data-title={t("since")}>{moment(since_ms, now)}</td>
                <td data-title={t("GPUs")}>
                  {config.gpus} x {config.gpu_type}
                  {view.source === "virtual_devices" ? <> <span class="badge">{t("virtual")}</span></> : null}
                </td>
                <td data-title={t("in use")} class="number">{number(view.allocated)}</td>
                <td data-title={t("busy")}>
                  <Share permille={busy} label={t("{0} % busy", Math.round(busy / 10))} /> <small>{Math.round(busy / 10)} %</small>
                </td>
                {hot ? <td data-title={t("hottest")} class="number">{temperature === null ? "-" : `${temperature} °C`}</td> : null}
                {power ? <td data-title={t("power")} class="number">{number(sum(view.devices.map((device) => device.power_milliwatts)) / 1000)} W</td> : null}
                <td data-title={t("jobs")}>{held_by.length ? <span>{held_by.map((job, i) => <span key={job}>{i ? ", " : ""}<JobLink name={names.get(job) ?? String(job)} /></span>)}</span> : "-"}</td>
                <td data-title={t("heard")} class="number">{state === "down" ? "-" : view.heartbeat_age_ms < 3000 ? t("now") : t("{0} ago", duration(view.heartbeat_age_ms))}</td>
                <td data-title={t("remark")} class="remark">{remark(view, now)}</td>
                {manages ? <td><NodeActions view={view} /></td> : null}
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
