// Small pieces that several tabs show.
import { account_class } from "./colours";
import { number, percent } from "./format";
import { t } from "./language";

export function AccountName({ account }: { account: string }) {
  return (
    <span class="account-name">
      <span class={account_class(account) + " chip"} aria-hidden="true" />
      {account}
    </span>
  );
}

export const StateName = ({ state }: { state: string }) => <span class={`state state-${state}`}>{t(state)}</span>;

export const JobLink = ({ name, children }: { name: string; children?: preact.ComponentChildren }) => (
  <a href={"#/job/" + name} class="job-link">
    {children ?? name}
  </a>
);

export function Figure({ title, value, unit, of }: { title: string; value: string; unit?: string; of?: string }) {
  return (
    <div class="figure">
      <dt>{title}</dt>
      <dd>
        {value}
        {unit ? <small> {unit}</small> : null}
        {of ? <small class="of"> {of}</small> : null}
      </dd>
    </div>
  );
}

/// A bar of 0 to 1000 thousandths, with a mark where it should be.
export function Share({ permille, mark, label }: { permille: number; mark?: number | null; label: string }) {
  return (
    <span class="share" role="img" aria-label={label}>
      <span class="share-bar">
        <span class="share-fill" style={{ width: `${Math.min(100, permille / 10)}%` }} />
        {mark !== undefined && mark !== null ? <span class="share-mark" style={{ left: `${Math.min(100, mark / 10)}%` }} /> : null}
      </span>
    </span>
  );
}

export const Loading = () => <p class="loading">{t("Reading ...")}</p>;

export const share_words = (permille: number) => percent(permille);
export const gpus_words = (count: number) => t(count === 1 ? "{0} GPU" : "{0} GPUs", number(count));
